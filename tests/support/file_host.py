"""A host of one file, over a real socket, that fails as a script says."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

CONTENT = bytes(range(251)) * 4000  # a MB
HALF = len(CONTENT) // 2
SECRET = "X-Goog-Signature=5ec4e7"
MD5 = md5(CONTENT).hexdigest()
Action = Callable[["Handler"], None]


@dataclass
class Host:
    """A host of one file. Each request takes the next entry of `script`; later ones get the right response."""

    content: bytes = CONTENT
    etag: str = '"one"'
    modified: str = "Tue, 24 Nov 2015 10:00:00 GMT"
    headers: list[tuple[str, str]] = field(default_factory=list)
    script: list[Action] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    asked: int = 0
    received: bytearray = field(default_factory=bytearray)
    bodies: list[int] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def address(self) -> str:
        """Return a new signed address each time."""
        self.asked += 1
        return f"{self.url}/data/train.zip?token={self.asked}&{SECRET}"

    def header(self, name: str) -> list[str]:
        """Return a header of all requests, empty where it was missing."""
        return [headers.get(name, "") for _, headers in self.requests]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host: Host

    def setup(self) -> None:
        super().setup()
        self.host.connections.append(self.connection)

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(serve)

    def do_PUT(self) -> None:
        self._answer(store)

    def _answer(self, properly: Callable[[Handler], None]) -> None:
        self.host.requests.append((self.path, dict(self.headers.items())))
        (self.host.script.pop(0) if self.host.script else properly)(self)

    def send(self, status: int, headers: list[tuple[str, str]], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def reset(self) -> None:
        """Reset the connection, as a crashing host does."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.close()


def facts(host: Host) -> list[tuple[str, str]]:
    known = [("ETag", host.etag), ("Last-Modified", host.modified)]
    return [*(pair for pair in known if pair[1]), *host.headers]


def serve(handler: Handler) -> None:
    """Respond as hosts should: send the requested range if the file is the same, else all."""
    host = handler.host
    start = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if not start or handler.headers.get("If-Range") not in (host.etag, host.modified):
        handler.send(200, [("Content-Length", str(len(host.content))), *facts(host)], host.content)
    elif int(start[1]) >= len(host.content):
        handler.send(416, [("Content-Range", f"bytes */{len(host.content)}"), ("Content-Length", "0")])
    else:
        rest(handler, int(start[1]))


def rest(handler: Handler, start: int, announced: str = "") -> None:
    content = handler.host.content[start:]
    where = announced or f"bytes {start}-{len(handler.host.content) - 1}/{len(handler.host.content)}"
    headers = [("Content-Range", where), ("Content-Length", str(len(content))), *facts(handler.host)]
    handler.send(206, headers, content)


def status(code: int, **headers: str) -> Action:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return lambda handler: handler.send(code, [*pairs, ("Content-Length", "0")])


def some(n: int, then: Action) -> Action:
    """Send the first `n` bytes of the requested ones, then fail."""

    def action(handler: Handler) -> None:
        start = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        content = handler.host.content
        where = [("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")] if start else []
        length = ("Content-Length", str(len(content) - start))
        handler.send(206 if start else 200, [length, *where, *facts(handler.host)], content[start : start + n])
        then(handler)

    return action


def silence(handler: Handler) -> None:
    handler.wfile.flush()
    handler.host.closing.wait(30)
    handler.close()


def all_of_it(handler: Handler) -> None:
    handler.send(200, [("Content-Length", str(len(handler.host.content))), *facts(handler.host)], handler.host.content)


def chunked(n: int, end: bool = True) -> Action:
    def action(handler: Handler) -> None:
        handler.send(200, [("Transfer-Encoding", "chunked"), *facts(handler.host)])
        handler.wfile.write(b"%x\r\n%b\r\n" % (n, handler.host.content[:n]) + (b"0\r\n\r\n" if end else b""))
        if not end:
            handler.close()

    return action


def body(handler: Handler, n: int | None = None) -> bytes:
    data = handler.rfile.read(int(handler.headers["Content-Length"]) if n is None else n)
    handler.host.bodies.append(len(data))
    return data


def store(handler: Handler) -> None:
    """Respond as resumable addresses should."""
    received = handler.host.received
    where = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)", handler.headers.get("Content-Range", ""))
    data = body(handler)
    if where and where[1] is None:
        incomplete(handler) if len(received) < int(where[3]) else status(200)(handler)
        return
    start = int(where[1]) if where else 0
    assert start <= len(received)
    if where:
        assert int(where[2]) == start + len(data) - 1
        assert int(where[3]) == start + len(data)
    received[start:] = data
    status(201)(handler)


def incomplete(handler: Handler) -> None:
    n = len(handler.host.received)
    status(308, **({"Range": f"bytes=0-{n - 1}"} if n else {}))(handler)


@contextmanager
def hosting() -> Iterator[Host]:
    """Serve `CONTENT` on a local port, without a proxy."""
    host = Host()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"host": host}))
    server.daemon_threads = False
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # of connections that the test has cut
    host.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
            patch.delenv(name, raising=False)
        yield host
    host.closing.set()
    server.shutdown()
    for connection in host.connections:  # urllib3 keeps some until the garbage collector comes
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    thread.join()
    server.server_close()
