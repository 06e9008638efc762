"""The transport of the server that plays Kaggle: a proxy that terminates TLS with its own certificate authority."""

from __future__ import annotations

import errno
import socket
import ssl
import struct
import sys
import time
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from threading import Lock
from typing import Any, Protocol

import trustme
from kaggle_faults import Fault
from kaggle_wire import Answer, Request, refusal


class Host(Protocol):
    """What answers the requests that arrive."""

    def plays(self, host: str) -> bool: ...
    def hear(self, request: Request) -> Fault | None: ...
    def answer(self, request: Request, content: bytes, whole: bool, fault: Fault | None) -> Answer: ...


@cache
def authority() -> trustme.CA:
    """Return the authority of this process that signs certificates."""
    return trustme.CA()


@cache
def _context(host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(host).configure_cert(context)
    return context


class Proxy(ThreadingMixIn, TCPServer):
    """Accepts connections on a port of its own, each in a thread.

    Attributes:
        errors: What the server itself did wrong.
    """

    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, host: Host) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.host = host
        self.errors: list[Exception] = []
        self._open: set[socket.socket] = set()
        self._closing = False
        self._lock = Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.keep(request)
        super().process_request(request, client_address)

    def keep(self, connection: socket.socket, instead_of: socket.socket | None = None) -> None:
        """Remember a connection, so that it can be ended.

        Raises:
            ConnectionAbortedError: All are being ended.
        """
        with self._lock:
            self._open.discard(instead_of or connection)
            if self._closing:
                raise ConnectionAbortedError
            self._open.add(connection)

    def forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def hang_up(self) -> None:
        """End all connections, so that threads that wait for a client continue."""
        with self._lock:
            self._closing = True
            for connection in self._open:
                _shut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep an error, unless a client just disconnected."""
        error = sys.exception()
        gone = isinstance(error, OSError) and error.errno == errno.ENOTCONN  # before the handshake
        if isinstance(error, Exception) and not (
            gone or isinstance(error, (ConnectionError, ssl.SSLError, TimeoutError))
        ):
            self.errors.append(error)


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    host = ""  # the one connected to; empty before that

    def do_CONNECT(self) -> None:
        host = self.path.rpartition(":")[0]
        fault = self.server.host.hear(Request("CONNECT", host, ""))
        if fault:
            self._refuse_to_connect(fault)
        elif not self.server.host.plays(host):
            self._send(refusal(403, "", "html"), close=True)
        else:
            self.connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._speak_tls(host)

    def _refuse_to_connect(self, fault: Fault) -> None:
        if fault.hang_up:
            self._hang_up(fault.hang_up)
        elif status := fault.kind if isinstance(fault.kind, int) else fault.status:
            self._send(refusal(status, "", "html"), close=True)
        else:
            self._hang_up("cut")

    def _speak_tls(self, host: str) -> None:
        plain, context = self.connection, _context(host)
        secured = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self.rfile.close()
        self.connection = secured
        self.rfile = secured.makefile("rb")
        self.wfile = secured.makefile("wb", 0)  # type: ignore[assignment]
        self.server.keep(secured, instead_of=plain)
        secured.do_handshake()
        self.host = host
        self.close_connection = False  # although Python before 3.12 asks for the tunnel in HTTP/1.0

    def _serve(self) -> None:
        if not self.host:
            self.server.host.plays(f"http: {self.path}")
            self._send(refusal(403, "", "html"), close=True)
            return
        request = Request.read(self.command, self.host, self.path, self.headers)
        fault = self.server.host.hear(request)
        if fault and fault.hang_up:
            self._serve_and_hang_up(request, fault)
            return
        content, whole = self._content()
        if not whole and self.command != "PUT":  # what has arrived of an upload is kept
            raise ConnectionAbortedError
        if fault and fault.kind == "slow":
            fault.received.set()
            time.sleep(fault.after or 0)
        self._send(self.server.host.answer(request, content, whole, fault), close=not whole)

    def _serve_and_hang_up(self, request: Request, fault: Fault) -> None:
        uploading = self.command == "PUT"
        content, whole = self._content(fault.after if uploading else None)
        if not fault.undone:
            answer = self.server.host.answer(request, content, whole, fault)
            self._send(answer, stop=0 if uploading or fault.kind == "lost response" else fault.after)
        self._hang_up(fault.hang_up)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _content(self, stop: int | None = None) -> tuple[bytes, bool]:
        """Read a request's body, at most `stop` bytes; also return whether that is all of it."""
        length = int(self.headers.get("Content-Length") or 0)
        wanted = length if stop is None else min(stop, length)
        content = bytearray()
        if wanted and hasattr(socket, "TCP_QUICKACK"):  # behind a proxy urllib3 leaves 40 ms of Nagle's waiting
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        with suppress(ConnectionError, ssl.SSLError):
            while len(content) < wanted and (part := self.rfile.read1(wanted - len(content))):
                content += part
        return bytes(content), len(content) == length

    def _send(self, answer: Answer, stop: int | None = None, close: bool = False) -> None:
        """Send a response; with `stop` only that many bytes of its body, and if 0, not even the headers."""
        if stop == 0:
            return
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        if close:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.connection.sendall(answer.body[:stop])

    def _hang_up(self, how: str) -> None:
        """End the connection: ``cut`` closes it, ``reset`` resets it, ``no response`` waits until the client leaves."""
        self.close_connection = True
        if how == "no response":
            while self.rfile.read(1):
                pass
        if how == "reset":  # with unsent bytes thrown away, closing sends RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            _shut(self.connection)

    def finish(self) -> None:
        self.server.forget(self.connection)
        with suppress(OSError):
            super().finish()
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # that of TLS would forget its state in other threads
