"""Files fetched and sent over real sockets, from a host that fails as told: kagglekit.online.transfer and upload."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from rich.console import Console

from kagglekit.errors import UserError
from kagglekit.online.patience import Fault, Patience
from kagglekit.online.transfer import Fetched, Source, fetch
from kagglekit.online.upload import AddressGone, upload
from kagglekit.progress import Display, amount

CONTENT = bytes(range(251)) * 4000  # a MB
HALF = len(CONTENT) // 2
SECRET = "X-Goog-Signature=5ec4e7"
MD5 = md5(CONTENT).hexdigest()


@dataclass
class Host:
    """A host of one file. Each request takes the next entry of `script`; after those it is answered properly."""

    content: bytes = CONTENT
    etag: str = '"one"'
    modified: str = "Tue, 24 Nov 2015 10:00:00 GMT"
    headers: list[tuple[str, str]] = field(default_factory=list)
    script: list[Callable[[Handler], None]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    asked: int = 0
    received: bytearray = field(default_factory=bytearray)
    bodies: list[int] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def address(self) -> str:
        """Give out a new signed address each time."""
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
        """End the connection as a crashing host does."""
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
    """Answer as hosts should: the rest where it is asked for and the file is the same, else all."""
    host = handler.host
    start = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if not start or handler.headers.get("If-Range") not in (host.etag, host.modified):
        handler.send(200, [("Content-Length", str(len(host.content))), *facts(host)], host.content)
    elif int(start[1]) >= len(host.content):
        handler.send(416, [("Content-Range", f"bytes */{len(host.content)}"), ("Content-Length", "0")])
    else:
        rest(handler, int(start[1]))


def rest(handler: Handler, start: int, told: str = "") -> None:
    content = handler.host.content[start:]
    where = told or f"bytes {start}-{len(handler.host.content) - 1}/{len(handler.host.content)}"
    headers = [("Content-Range", where), ("Content-Length", str(len(content))), *facts(handler.host)]
    handler.send(206, headers, content)


Action = Callable[[Handler], None]


def status(code: int, **headers: str) -> Action:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return lambda handler: handler.send(code, [*pairs, ("Content-Length", "0")])


def some(n: int, then: Action) -> Action:
    """Send the first `n` bytes of what was asked for, then fail."""

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


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    host = Host()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"host": host}))
    server.daemon_threads = False
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # of connections that the test has cut
    host.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield host
    host.closing.set()
    server.shutdown()
    for connection in host.connections:  # urllib3 keeps some until the garbage collector comes
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    thread.join()
    server.server_close()


@dataclass
class Told:
    """A display to a file, and what was said."""

    said: io.StringIO = field(default_factory=io.StringIO)

    @property
    def display(self) -> Display:
        return Display(Console(file=self.said, width=200))

    @property
    def lines(self) -> list[str]:
        return self.said.getvalue().splitlines()


def get(host: Host, file: Path, seconds: float = 3, md5: str = "", told: Told | None = None) -> Fetched:
    told = told or Told()
    try:
        return fetch(Source("train.zip", host.address, md5), file, Patience(seconds, told.display.say), told.display)
    finally:
        assert SECRET not in told.said.getvalue()


def fails(host: Host, file: Path, words: str, seconds: float = 0.6, md5: str = "") -> UserError:
    """Check that a file can't be fetched, that the message has these words and no secret, and there is no such file."""
    with pytest.raises(UserError, match=words) as caught:
        get(host, file, seconds, md5)
    assert SECRET not in str(caught.value)
    assert "token" not in str(caught.value)
    assert caught.value.hint
    assert not file.exists()
    return caught.value


def is_here(file: Path) -> bool:
    """Whether the file is right and alone."""
    return file.read_bytes() == CONTENT and [path.name for path in file.parent.iterdir()] == [file.name]


def note(file: Path, content: bytes, **facts: Any) -> None:
    """Leave what a killed process leaves."""
    file.parent.mkdir(exist_ok=True)
    file.with_name(f"{file.name}.part").write_bytes(content)
    known = {"total": len(CONTENT), "etag": '"one"', "modified": "", "md5": ""}
    file.with_name(f"{file.name}.part.json").write_text(json.dumps(known | facts))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "train.zip"


def test_a_file_is_fetched_and_its_size_checked(host: Host, file: Path) -> None:
    told = Told()
    assert get(host, file, told=told) == Fetched(len(CONTENT), MD5, "size")
    assert is_here(file)
    assert host.header("Accept-Encoding") == ["identity"]
    assert host.header("Range") == [""]
    assert len(told.lines) == 1
    assert re.fullmatch(r"fetched train\.zip: 1\.0 MB in 0 s \([0-9.]+ [kMG]B/s\)", told.lines[0])


@pytest.mark.parametrize("joined", [True, False])
def test_the_md5_that_the_host_tells_is_checked(host: Host, file: Path, joined: bool) -> None:
    value = base64.b64encode(bytes.fromhex(MD5)).decode()
    hashes = [f"crc32c=n03x6A==,md5={value}"] if joined else ["crc32c=n03x6A==", f"md5={value}"]
    host.headers = [("x-goog-hash", each) for each in hashes]
    assert get(host, file).checked == "md5"
    file.unlink()
    host.content = CONTENT[:-1] + b"!"
    fails(host, file, f"train.zip came damaged twice: its md5 is {md5(host.content).hexdigest()}, expected is {MD5}")
    assert not list(file.parent.iterdir())


def test_what_is_no_md5_in_a_header_is_passed_over(host: Host, file: Path) -> None:
    host.headers = [("x-goog-hash", "crc32c=abc,md5=short,md5=,what,md5=!!!")]
    assert get(host, file).checked == "size"


def test_the_md5_of_a_stored_compressed_file_is_not_that_of_what_comes(host: Host, file: Path) -> None:
    host.headers = [("x-goog-hash", f"md5={base64.b64encode(bytes(16)).decode()}")]
    host.headers += [("x-goog-stored-content-encoding", "gzip")]
    assert get(host, file).checked == "size"


def test_bytes_are_kept_as_they_are_stored(host: Host, file: Path) -> None:
    host.content = gzip.compress(CONTENT, mtime=0)
    host.headers = [("Content-Encoding", "gzip")]
    assert get(host, file).md5 == md5(host.content).hexdigest()


def test_the_md5_known_beforehand_is_checked(host: Host, file: Path) -> None:
    assert get(host, file, md5=MD5).checked == "md5"
    file.unlink()
    fails(host, file, f"its md5 is {MD5}, expected is {'0' * 32}", md5="0" * 32)
    assert len(host.requests) == 3  # one, then one and one more
    assert not list(file.parent.iterdir())


def test_a_file_damaged_once_is_fetched_once_more_from_the_start(host: Host, file: Path) -> None:
    def damaged(handler: Handler) -> None:
        handler.send(200, [("Content-Length", str(len(CONTENT))), *facts(host)], bytes(len(CONTENT)))

    host.script = [damaged]
    told = Told()
    get(host, file, md5=MD5, told=told)
    assert is_here(file)
    assert host.header("Range") == ["", ""]
    assert told.lines[0] == "went on after a fault: a damaged file"


FAULTS: dict[str, tuple[Action, str, int]] = {  # what happens, how it is called, what has arrived
    "503": (status(503, Retry_After="0"), "HTTP 503", 0),
    "429": (status(429), "HTTP 429", 0),
    "408": (status(408), "HTTP 408", 0),
    "500": (status(500), "HTTP 500", 0),
    "502": (status(502), "HTTP 502", 0),
    "504": (status(504), "HTTP 504", 0),
    "closed": (Handler.close, "connection closed", 0),
    "reset": (Handler.reset, "connection reset", 0),
    "silence": (silence, "silence", 0),
    "cut": (some(HALF, Handler.close), "cut in the middle", HALF),
    "reset in the middle": (some(1000, Handler.reset), "connection reset", -1),
    "silence in the middle": (some(HALF, silence), "silence", HALF),
    "nothing of it": (some(0, Handler.close), "cut in the middle", 0),
}


@pytest.mark.parametrize(("fault", "words", "arrived"), FAULTS.values(), ids=FAULTS)
def test_a_fault_that_passes_ends_in_the_file_and_one_line(
    host: Host, file: Path, fault: Action, words: str, arrived: int
) -> None:
    host.script = [fault]
    told = Told()
    get(host, file, told=told)
    assert is_here(file)
    assert told.lines[0] == f"went on after a fault: {words}"
    assert len(told.lines) == 2
    if arrived >= 0:  # after a reset the system may throw away what it has
        assert host.header("Range") == ["", f"bytes={arrived}-" if arrived else ""]
        assert host.header("If-Range") == ["", '"one"' if arrived else ""]
    assert host.asked == 1


def test_many_faults_in_a_row_are_one_line(host: Host, file: Path) -> None:
    host.script = [status(503), some(1000, Handler.close), some(1000, Handler.close), Handler.close, status(429)]
    told = Told()
    get(host, file, told=told)
    assert is_here(file)
    assert told.lines[0] == "went on after 5 faults: HTTP 503, cut in the middle, connection closed, HTTP 429"
    assert host.header("Range")[-1] == "bytes=2000-"


def test_the_time_to_come_back_is_kept(host: Host, file: Path) -> None:
    host.script = [status(503, Retry_After="1")]
    started = time.monotonic()
    get(host, file)
    assert time.monotonic() - started >= 1


LASTING: dict[str, tuple[Action, str]] = {
    "503": (status(503), "HTTP 503, for 1 s"),
    "closed": (Handler.close, "connection closed, for 1 s"),
    "silence": (silence, "silence, for 1 s"),
    "no patience": (status(429, Retry_After="700"), "HTTP 429\nthe host asks to come back in 11 min 40 s"),
    "denied": (status(403), "HTTP 403"),
    "missing": (status(404), "HTTP 404"),
    "strange": (status(204), "HTTP 204"),
    "unasked part": (lambda handler: rest(handler, 5), "HTTP 206"),
}


@pytest.mark.parametrize(("fault", "words"), LASTING.values(), ids=LASTING)
def test_what_lasts_ends_with_a_message(host: Host, file: Path, fault: Action, words: str) -> None:
    host.script = [fault] * 99
    started = time.monotonic()
    fails(host, file, f"cannot fetch train.zip from http://127.0.0.1:[0-9]+/data/train.zip: {words}")
    assert time.monotonic() - started < 3


def test_a_host_that_is_not_there_ends_with_a_message(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        host = Host(url=f"http://127.0.0.1:{closed.getsockname()[1]}")
    fails(host, file, "connection refused, for 1 s\ntry again later")


def test_a_cut_that_lasts_keeps_what_has_arrived_for_the_next_call(host: Host, file: Path) -> None:
    host.script = [some(HALF, Handler.close), *[status(503)] * 99]
    error = fails(host, file, "HTTP 503")
    assert error.hint == "502.0 kB of it have arrived and are kept: the same command goes on from there"
    host.script = []
    told = Told()
    get(host, file, told=told)
    assert is_here(file)
    assert host.header("Range")[-1] == f"bytes={HALF}-"
    assert told.lines[0].endswith(", 502.0 kB of it earlier)")


def test_a_trickle_is_no_progress(host: Host, file: Path) -> None:
    def trickle(handler: Handler) -> None:
        handler.send(200, [("Content-Length", str(len(CONTENT))), *facts(host)])
        while not host.closing.wait(0.02):
            handler.wfile.write(b"x")

    host.script = [trickle] * 9
    started = time.monotonic()
    fails(host, file, "almost silence, for 1 s")
    assert time.monotonic() - started < 3


def test_an_expired_address_is_replaced_and_the_file_gone_on_with(host: Host, file: Path) -> None:
    host.script = [some(HALF, Handler.close), status(403)]
    told = Told()
    get(host, file, told=told)
    assert is_here(file)
    assert host.asked == 2
    assert [path.split("token=")[1][0] for path, _ in host.requests] == ["1", "1", "2"]
    assert host.header("Range")[-1] == f"bytes={HALF}-"
    assert told.lines[0] == "went on after 2 faults: cut in the middle, HTTP 403"


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_an_address_refused_twice_is_the_end_and_what_has_arrived_is_kept(host: Host, file: Path, code: int) -> None:
    host.script = [some(HALF, Handler.close), status(code), status(code)]
    fails(host, file, f"HTTP {code}\n502.0 kB of it have arrived")
    assert (host.asked, len(host.requests)) == (2, 3)
    get(host, file)
    assert is_here(file)
    assert host.header("Range")[-1] == f"bytes={HALF}-"


def test_asking_for_an_address_is_tried_again_too(host: Host, file: Path) -> None:
    errors = iter([requests.ConnectionError("Connection refused"), Fault("HTTP 503")])

    def address() -> str:
        for error in errors:
            raise error
        return host.address()

    told = Told()
    fetch(Source("train.zip", address), file, Patience(2, told.display.say), told.display)
    assert told.lines[0] == "went on after 2 faults: connection refused, HTTP 503"


def test_an_address_that_takes_long_to_get_costs_no_patience(host: Host, file: Path) -> None:
    host.content = CONTENT[:9999]
    host.script = [status(503)]

    def slowly() -> str:
        time.sleep(0.4)
        return host.address()

    fetch(Source("train.zip", slowly), file, Patience(0.3), Told().display)
    assert file.read_bytes() == CONTENT[:9999]


def test_a_refused_address_is_the_callers_to_word(host: Host, file: Path) -> None:
    refusal = UserError("accept the rules")

    def address() -> str:
        raise refusal

    with pytest.raises(UserError) as caught:
        fetch(Source("train.zip", address), file, Patience(2), Told().display)
    assert caught.value is refusal
    assert not host.requests


def test_an_error_in_the_program_keeps_its_traceback(host: Host, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kagglekit.online.transfer.told_origin", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        get(host, file)


def changed(how: Action | None = None) -> Action:
    """Cut the file in the middle, and replace it by another at the host."""

    def action(handler: Handler) -> None:
        handler.host.content, new = bytes(len(CONTENT)), handler.host.content
        some(HALF, Handler.close)(handler)
        handler.host.content, handler.host.etag = new, '"two"'
        handler.host.modified = "Tue, 24 Nov 2015 11:00:00 GMT"
        if how:
            handler.host.script.insert(0, how)

    return action


def test_a_file_that_changes_meanwhile_is_begun_anew(host: Host, file: Path) -> None:
    host.script = [changed()]
    get(host, file)
    assert is_here(file)
    assert host.header("If-Range") == ["", '"one"']


def test_a_host_that_does_not_hear_if_range_is_seen_through(host: Host, file: Path) -> None:
    host.script = [changed(lambda handler: rest(handler, HALF))]
    told = Told()
    get(host, file, told=told)
    assert is_here(file)
    assert told.lines[0] == "went on after 2 faults: cut in the middle, the file has changed"


def test_a_host_without_ranges_sends_all_again(host: Host, file: Path) -> None:
    host.script = [some(HALF, Handler.close), all_of_it]
    get(host, file)
    assert is_here(file)
    assert len(host.requests) == 2


def test_a_host_without_ranges_that_always_cuts_is_left_after_five_beginnings(host: Host, file: Path) -> None:
    host.etag = host.modified = ""
    host.script = [some(HALF, Handler.close)] * 99
    fails(host, file, "cut in the middle\ntry again later", seconds=30)
    assert len(host.requests) == 5
    assert set(host.header("Range")) == {""}


END = len(CONTENT) - 1
WRONG_PARTS: dict[str, Action] = {
    "begins before": lambda handler: rest(handler, HALF - 1),
    "begins after": lambda handler: rest(handler, HALF + 1),
    "ends before": lambda handler: rest(handler, HALF, f"bytes {HALF}-{END - 1}/{END + 1}"),
    "other size": lambda handler: rest(handler, HALF, f"bytes {HALF}-{END + 1}/{END + 2}"),
    "longer than told": lambda handler: rest(handler, HALF, f"bytes {HALF}-{END + 1}/*"),
    "nonsense": lambda handler: rest(handler, HALF, "octets 1-2"),
    "untold": lambda handler: handler.send(206, [("Content-Length", "9")], bytes(9)),
}


@pytest.mark.parametrize("answer", WRONG_PARTS.values(), ids=WRONG_PARTS)
def test_another_part_than_asked_for_is_not_taken(host: Host, file: Path, answer: Action) -> None:
    host.script = [some(HALF, Handler.close), answer]
    get(host, file)
    assert is_here(file)
    assert host.header("Range") == ["", f"bytes={HALF}-", ""]


def test_parts_without_a_byte_end_with_a_message(host: Host, file: Path) -> None:
    def empty(handler: Handler) -> None:
        handler.send(206, [("Content-Range", f"bytes {HALF}-{END}/{END + 1}"), ("Connection", "close"), *facts(host)])
        handler.close()

    host.script = [some(HALF, Handler.close), *[empty] * 999]
    fails(host, file, "cut in the middle, for 1 s\n502.0 kB")
    assert len(host.requests) < 30


def test_a_file_that_is_cut_down_to_what_has_arrived_is_begun_anew(host: Host, file: Path) -> None:
    note(file, CONTENT[:HALF])
    host.content = bytes(HALF)
    get(host, file)
    assert file.read_bytes() == bytes(HALF)


def test_a_slow_line_needs_no_patience(host: Host, file: Path) -> None:
    """It takes longer than the patience lasts, then is cut; the rest is fetched all the same."""

    def slow(handler: Handler) -> None:
        handler.send(200, [("Content-Length", str(len(CONTENT))), *facts(host)])
        for start in range(0, len(CONTENT) - 70_000, 70_000):
            handler.wfile.write(CONTENT[start : start + 70_000])
            time.sleep(0.05)
        handler.close()

    host.script = [slow]
    started = time.monotonic()
    get(host, file, 0.5)
    assert time.monotonic() - started > 0.5
    assert is_here(file)


def test_more_than_there_should_be_is_refused(host: Host, file: Path) -> None:
    def endless(handler: Handler) -> None:
        where = f"bytes {HALF}-{len(CONTENT) - 1}/{len(CONTENT)}"
        handler.send(206, [("Transfer-Encoding", "chunked"), ("Content-Range", where), *facts(host)])
        handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (HALF + 99, bytes(HALF + 99)))

    host.script = [some(HALF, Handler.close), endless] * 2
    fails(host, file, "train.zip came damaged twice: it has 1,004,099 bytes, expected are 1,004,000")
    assert not list(file.parent.iterdir())


def test_a_weak_tag_does_not_count_but_the_date_does(host: Host, file: Path) -> None:
    host.etag = 'W/"one"'
    host.script = [some(HALF, Handler.close)]
    get(host, file)
    assert is_here(file)
    assert host.header("If-Range") == ["", host.modified]


def test_without_tag_and_date_a_file_is_begun_anew(host: Host, file: Path) -> None:
    host.etag = host.modified = ""
    host.script = [some(HALF, Handler.close)]
    get(host, file)
    assert is_here(file)
    assert host.header("Range") == ["", ""]


def test_a_file_of_unknown_size_is_fetched(host: Host, file: Path) -> None:
    host.script = [chunked(HALF, end=False), chunked(len(CONTENT))]
    told = Told()
    assert get(host, file, told=told).checked == "nothing"
    assert is_here(file)
    assert told.lines[0] == "went on after a fault: cut in the middle"


def test_an_empty_file_is_fetched(host: Host, file: Path) -> None:
    host.content = b""
    assert get(host, file).bytes == 0
    assert file.read_bytes() == b""


def test_redirects_are_followed_also_by_the_rest(host: Host, file: Path) -> None:
    moved = status(302, Location="/elsewhere")
    host.script = [moved, some(HALF, Handler.close), moved]
    get(host, file)
    assert is_here(file)
    assert host.header("Range")[-1] == f"bytes={HALF}-"


LEFT: dict[str, tuple[bytes, dict[str, Any], str]] = {  # what a killed process left, and what is asked for then
    "half": (CONTENT[:HALF], {}, f"bytes={HALF}-"),
    "all but a byte": (CONTENT[:-1], {}, f"bytes={len(CONTENT) - 1}-"),
    "nothing yet": (b"", {}, ""),
    "more than all": (CONTENT + b"!", {}, ""),
    "of another file": (bytes(HALF), {"etag": '"other"'}, f"bytes={HALF}-"),
    "by date": (CONTENT[:HALF], {"etag": "", "modified": "Tue, 24 Nov 2015 10:00:00 GMT"}, f"bytes={HALF}-"),
    "unknown whose": (bytes(HALF), {"etag": ""}, ""),
    "all of it, unknown whose": (bytes(len(CONTENT)), {"etag": ""}, ""),
    "all of unknown size": (CONTENT, {"total": None}, f"bytes={len(CONTENT)}-"),
    "beyond the end": (bytes(len(CONTENT) + 5), {"total": None}, f"bytes={len(CONTENT) + 5}-"),
    "by another version": (bytes(HALF), {"sha256": "0"}, ""),
}


@pytest.mark.parametrize(("content", "facts", "asked"), LEFT.values(), ids=LEFT)
def test_whatever_a_killed_process_left_the_file_gets_right(
    host: Host, file: Path, content: bytes, facts: dict[str, Any], asked: str
) -> None:
    note(file, content, **facts)
    get(host, file)
    assert is_here(file)
    assert host.header("Range")[0] == asked


@pytest.mark.parametrize("text", [None, "", "{", "[]", '"x"', '{"total": "1", "etag": "\\"one\\""}'])
def test_a_part_without_a_proper_note_is_begun_anew(host: Host, file: Path, text: str | None) -> None:
    note(file, bytes(HALF))
    if text is None:
        file.with_name("train.zip.part.json").unlink()
    else:
        file.with_name("train.zip.part.json").write_text(text)
    get(host, file)
    assert is_here(file)
    assert host.header("Range") == [""]


def test_a_note_without_its_part_does_no_harm(host: Host, file: Path) -> None:
    note(file, b"")
    file.with_name("train.zip.part").unlink()
    get(host, file)
    assert is_here(file)


def test_what_is_whole_is_only_checked_and_renamed(host: Host, file: Path) -> None:
    note(file, CONTENT, md5=MD5)
    assert get(host, file).checked == "md5"
    assert is_here(file)
    assert not host.requests


def test_a_part_damaged_on_the_disk_is_found_by_its_md5(host: Host, file: Path) -> None:
    note(file, bytes(HALF))
    get(host, file, md5=MD5)
    assert is_here(file)
    assert host.header("Range") == [f"bytes={HALF}-", ""]


KILLED = """
import sys
from pathlib import Path
from kagglekit.online.patience import Patience
from kagglekit.online.transfer import Source, fetch
from kagglekit.progress import for_people
fetch(Source("train.zip", lambda: sys.argv[1]), Path(sys.argv[2]), Patience(60), for_people(False))
"""


def test_a_process_that_is_killed_leaves_all_that_has_arrived(host: Host, file: Path) -> None:
    host.script = [some(HALF, silence)]
    part = file.with_name("train.zip.part")
    with subprocess.Popen([sys.executable, "-c", KILLED, host.address(), str(file)]) as process:
        deadline = time.monotonic() + 30
        while not part.exists() or part.stat().st_size < HALF:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    get(host, file)
    assert is_here(file)
    assert host.header("Range") == ["", f"bytes={HALF}-"]


def test_a_file_that_is_here_is_not_fetched_again(host: Host, file: Path) -> None:
    get(host, file)
    assert get(host, file) == Fetched(len(CONTENT), MD5, "nothing")
    assert get(host, file, md5=MD5) == Fetched(len(CONTENT), MD5, "md5")
    assert len(host.requests) == 1
    file.write_bytes(b"something else")
    get(host, file, md5=MD5)
    assert is_here(file)


def full(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - free, free))


def test_too_little_room_is_said_before_a_byte_is_written(
    host: Host, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(monkeypatch, len(CONTENT) - 1000)
    fails(host, file, r"fetching train\.zip needs 1\.0 MB more and .*/data has 1\.0 MB left\nfree some disk")
    assert not list(file.parent.iterdir())


def test_only_what_is_missing_needs_room(host: Host, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note(file, CONTENT[:HALF])
    full(monkeypatch, HALF - 1)
    fails(host, file, "needs 502.0 kB more")
    assert file.with_name("train.zip.part").stat().st_size == HALF
    full(monkeypatch, HALF)
    get(host, file)
    assert is_here(file)


def test_a_disk_that_gets_full_keeps_what_has_arrived(host: Host, file: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (99999, 99999))\n"
    run = [sys.executable, "-c", limit + KILLED, host.address(), str(file)]
    done = subprocess.run(run, capture_output=True, text=True)
    assert "UserError: cannot write" in done.stderr
    assert "train.zip.part: File too large\nfree some disk or choose a folder elsewhere" in done.stderr
    get(host, file)
    assert is_here(file)
    assert host.header("Range") == ["", "bytes=99999-"]


def test_a_folder_that_cannot_be_written_is_named(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fails(host, tmp_path / "file" / "data" / "train.zip", "cannot write to the folder .* is a file\nchoose a folder")
    (tmp_path / "train.zip.part").mkdir()
    fails(host, tmp_path / "train.zip", r"cannot write .*train\.zip\.part: Is a directory")


def test_proxies_come_from_the_environment(host: Host, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", host.url.replace("//", "//user:5ec4e7@"))
    source = Source("train.zip", lambda: f"http://far.invalid/train.zip?{SECRET}")
    fetch(source, file, Patience(2), Told().display)
    assert is_here(file)
    assert host.requests[0][0].startswith("http://far.invalid/")


def test_trouble_with_a_proxy_says_where_to_look(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:5ec4e7@127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "")
    error = fails(
        Host(url="http://far.invalid"), file, r"the proxy fails \(connection refused\), for 1 s\nlook at HTTPS_"
    )
    assert "5ec4e7" not in str(error)


def test_passwords_of_a_netrc_file_stay_there(
    host: Host, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password 5ec4e7\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert requests.get(host.url, timeout=9).ok
    get(host, file)
    assert [bool(each) for each in host.header("Authorization")] == [True, False]


def test_a_terminal_shows_bytes_rate_and_size(host: Host, file: Path) -> None:
    said = io.StringIO()
    display = Display(Console(file=said, force_terminal=True, width=150))
    host.script = [some(HALF, silence)]  # time to draw
    fetch(Source("train.zip", host.address), file, Patience(2), display)
    assert "fetching train.zip" in said.getvalue()
    assert "/1.0 MB" in said.getvalue()
    assert re.search("[kMG]B/s", said.getvalue())


def test_a_bar_over_bytes_goes_back_and_knows_no_end() -> None:
    display = Display(Console(file=io.StringIO(), force_terminal=True))
    with display.bar("x", None, "bytes") as bar:
        bar.advance(5_000_000)
        assert (bar.done, bar.total) == (5_000_000, None)
        bar.go_on(1_000_000, 3_000_000)
        bar.started -= 2
        bar.advance(1_000_000)
        assert bar.done == bar.progress.tasks[0].completed == 2_000_000
        assert 400 < float(bar.progress.tasks[0].fields["note"].removesuffix(" kB/s  ")) <= 500  # not 1,000
        bar.advance(9_000_000)
        assert bar.done == bar.progress.tasks[0].total == 3_000_000


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0.0 kB"), (12_340, "12.3 kB"), (5e6, "5.0 MB"), (812_300_000, "812.3 MB"), (1.234e9, "1.23 GB")],
)
def test_bytes_are_worded_for_people(n: float, text: str) -> None:
    assert amount(n) == text
    assert amount(1234.5, "images") == "1,234 images"


# ---- sending


def body(handler: Handler, n: int | None = None) -> bytes:
    data = handler.rfile.read(int(handler.headers["Content-Length"]) if n is None else n)
    handler.host.bodies.append(len(data))
    return data


def store(handler: Handler) -> None:
    """Answer as resumable addresses should."""
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


def stored_then(action: Action, n: int | None = None) -> Action:
    """Take `n` bytes of what is sent, or all, and fail."""

    def then(handler: Handler) -> None:
        data = body(handler, n)
        start = re.match(r"bytes (\d+)-", handler.headers.get("Content-Range", ""))
        handler.host.received[int(start[1]) if start else 0 :] = data
        action(handler)

    return then


def lost_then(action: Action) -> Action:
    def then(handler: Handler) -> None:
        body(handler)
        action(handler)

    return then


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    (tmp_path / "submission.csv").write_bytes(CONTENT)
    return tmp_path / "submission.csv"


def send(host: Host, file: Path, seconds: float = 3, told: Told | None = None) -> None:
    upload(f"{host.url}/upload?{SECRET}", file, Patience(seconds, (told or Told()).display.say))


def test_a_file_is_sent_in_one_piece(host: Host, csv: Path) -> None:
    send(host, csv)
    assert host.received == CONTENT
    assert host.header("Content-Length") == [str(len(CONTENT))]
    assert host.header("Content-Range") == host.header("Authorization") == [""]


@pytest.mark.parametrize(
    "fault", [status(500), status(503), status(401), status(403), Handler.close, Handler.reset, silence]
)
def test_what_has_arrived_in_spite_of_a_fault_is_not_sent_again(host: Host, csv: Path, fault: Action) -> None:
    host.script = [stored_then(fault)]
    told = Told()
    send(host, csv, told=told)
    assert host.received == CONTENT
    assert host.bodies == [len(CONTENT), 0]
    assert host.header("Content-Range")[-1] == f"bytes */{len(CONTENT)}"
    assert told.lines[0].startswith("went on after a fault: ")


@pytest.mark.parametrize("fault", [status(503), Handler.reset, silence, incomplete])
def test_a_cut_is_gone_on_with_where_the_host_says(host: Host, csv: Path, fault: Action) -> None:
    host.script = [stored_then(fault, HALF)]
    host.received += b"old"
    send(host, csv)
    assert host.received == CONTENT
    assert host.bodies[-1] == len(CONTENT) - HALF
    assert host.header("Content-Range")[-1] == f"bytes {HALF}-{len(CONTENT) - 1}/{len(CONTENT)}"


def test_without_a_range_the_host_has_nothing_and_gets_all(host: Host, csv: Path) -> None:
    host.script = [lost_then(status(502)), status(308), lost_then(status(401)), status(503), status(308)]
    send(host, csv)
    assert host.received == CONTENT
    assert [int(length) > 0 for length in host.header("Content-Length")] == [True, False, True, False, False, True]
    assert host.header("Content-Range")[-1] == ""


@pytest.mark.parametrize("code", [404, 410])
def test_an_address_that_is_gone_is_the_callers_to_replace(host: Host, csv: Path, code: int) -> None:
    host.script = [lost_then(status(503)), status(code)]
    with pytest.raises(AddressGone, match=f"HTTP {code} from {host.url}/upload$"):
        send(host, csv)


@pytest.mark.parametrize("code", [401, 400, 413])
def test_a_host_that_refuses_twice_is_believed(host: Host, csv: Path, code: int) -> None:
    host.script = [lost_then(status(code)), incomplete, lost_then(status(code))]
    with pytest.raises(requests.HTTPError, match=f"^HTTP {code} from {host.url}/upload$"):
        send(host, csv)
    assert len(host.requests) == 3


LASTING_UPLOADS: dict[str, tuple[Action, str]] = {
    "503": (lost_then(status(503)), "HTTP 503"),
    "nothing arrives": (lost_then(status(308)), "nothing has arrived"),
    "never finished": (lost_then(status(308, Range=f"bytes=0-{len(CONTENT) - 1}")), "does not finish"),
    "nonsense": (lost_then(status(308, Range="pages 1-2")), "makes no sense"),
    "closed": (Handler.close, "Connection aborted"),
}


@pytest.mark.parametrize(("fault", "words"), LASTING_UPLOADS.values(), ids=LASTING_UPLOADS)
def test_the_last_error_is_raised_when_patience_is_over(host: Host, csv: Path, fault: Action, words: str) -> None:
    host.script = [fault] * 999
    started = time.monotonic()
    with pytest.raises((requests.RequestException, Fault), match=words):
        send(host, csv, 0.6)
    assert time.monotonic() - started < 3


def test_a_slow_line_is_no_fault(host: Host, tmp_path: Path) -> None:
    """The host takes longer than the patience lasts, then cuts; the rest is sent all the same."""
    content = os.urandom(1 << 24)
    (tmp_path / "large.csv").write_bytes(content)

    def slow(handler: Handler) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        while len(host.received) < len(content) * 3 // 4:
            host.received += handler.rfile.read(1 << 18)
            time.sleep(0.025)
        handler.close()

    host.script = [slow]
    started = time.monotonic()
    send(host, tmp_path / "large.csv", 0.6)
    assert time.monotonic() - started > 0.6
    assert host.received == content
    assert len(host.requests) == 3


def test_an_empty_file_is_sent(host: Host, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    send(host, tmp_path / "empty.csv")
    assert host.header("Content-Length") == ["0"]
