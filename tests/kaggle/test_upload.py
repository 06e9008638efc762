"""Files sent over real sockets, to a host that fails as scripted: kagglekit.kaggle.upload."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from fetched_file import Output
from file_host import (
    CONTENT,
    HALF,
    SECRET,
    Action,
    Handler,
    Host,
    body,
    hosting,
    incomplete,
    silence,
    status,
)

from kagglekit.kaggle.retry import Fault, RetryPolicy
from kagglekit.kaggle.upload import AddressExpired, upload


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting() as host:
        yield host


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


def send(host: Host, file: Path, seconds: float = 3, output: Output | None = None) -> None:
    upload(f"{host.url}/upload?{SECRET}", file, RetryPolicy(seconds, (output or Output()).display.report))


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
    output = Output()
    send(host, csv, output=output)
    assert host.received == CONTENT
    assert host.bodies == [len(CONTENT), 0]
    assert host.header("Content-Range")[-1] == f"bytes */{len(CONTENT)}"
    assert output.lines[0].startswith("recovered from an error: ")


@pytest.mark.parametrize("fault", [status(503), Handler.reset, silence, incomplete])
def test_a_cut_upload_is_resumed_where_the_host_says(host: Host, csv: Path, fault: Action) -> None:
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
def test_an_expired_address_is_the_callers_to_replace(host: Host, csv: Path, code: int) -> None:
    host.script = [lost_then(status(503)), status(code)]
    with pytest.raises(AddressExpired, match=f"HTTP {code} from {host.url}/upload$"):
        send(host, csv)


@pytest.mark.parametrize("code", [401, 400, 413])
def test_a_host_that_refuses_twice_is_believed(host: Host, csv: Path, code: int) -> None:
    host.script = [lost_then(status(code)), incomplete, lost_then(status(code))]
    with pytest.raises(requests.HTTPError, match=f"^HTTP {code} from {host.url}/upload$"):
        send(host, csv)
    assert len(host.requests) == 3


LASTING_UPLOADS: dict[str, tuple[Action, str]] = {
    "503": (lost_then(status(503)), "HTTP 503"),
    "nothing arrives": (lost_then(status(308)), "the host received nothing"),
    "never finished": (
        lost_then(status(308, Range=f"bytes=0-{len(CONTENT) - 1}")),
        "does not confirm the complete file",
    ),
    "nonsense": (lost_then(status(308, Range="pages 1-2")), "invalid Range header"),
    "closed": (Handler.close, "Connection aborted"),
}


@pytest.mark.parametrize(("fault", "words"), LASTING_UPLOADS.values(), ids=LASTING_UPLOADS)
def test_the_last_error_is_raised_when_time_is_used_up(host: Host, csv: Path, fault: Action, words: str) -> None:
    host.script = [fault] * 999
    started = time.monotonic()
    with pytest.raises((requests.RequestException, Fault), match=words):
        send(host, csv, 0.6)
    assert time.monotonic() - started < 3


def test_a_slow_connection_is_no_error(host: Host, tmp_path: Path) -> None:
    """The host takes longer than the timeout, then cuts the connection; the rest is sent anyway."""
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
