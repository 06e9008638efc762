"""Files fetched from a host that fails: kagglekit.kaggle.download."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
import requests
from fetched_file import Output, fails, get, is_here
from file_host import (
    CONTENT,
    HALF,
    Action,
    Handler,
    Host,
    facts,
    rest,
    silence,
    some,
    status,
)

from kagglekit.kaggle.download import Source, fetch
from kagglekit.kaggle.retry import Fault, RetryPolicy
from kagglekit.system.errors import UserError

FAULTS: dict[str, tuple[Action, str, int]] = {  # what happens, how it is reported, the received bytes
    "503": (status(503, Retry_After="0"), "HTTP 503", 0),
    "429": (status(429), "HTTP 429", 0),
    "408": (status(408), "HTTP 408", 0),
    "500": (status(500), "HTTP 500", 0),
    "502": (status(502), "HTTP 502", 0),
    "504": (status(504), "HTTP 504", 0),
    "closed": (Handler.close, "connection closed", 0),
    "reset": (Handler.reset, "connection reset", 0),
    "no response": (silence, "no response", 0),
    "cut": (some(HALF, Handler.close), "transfer cut off", HALF),
    "reset in the middle": (some(1000, Handler.reset), "connection reset", -1),
    "silence in the middle": (some(HALF, silence), "no response", HALF),
    "nothing of it": (some(0, Handler.close), "transfer cut off", 0),
}


@pytest.mark.parametrize(("fault", "words", "arrived"), FAULTS.values(), ids=FAULTS)
def test_a_temporary_error_ends_in_the_file_and_one_line(
    host: Host, file: Path, fault: Action, words: str, arrived: int
) -> None:
    host.script = [fault]
    output = Output()
    get(host, file, output=output)
    assert is_here(file)
    assert output.lines[0] == f"recovered from an error: {words}"
    assert len(output.lines) == 2
    if arrived >= 0:  # after a reset the system may throw away what it has
        assert host.header("Range") == ["", f"bytes={arrived}-" if arrived else ""]
        assert host.header("If-Range") == ["", '"one"' if arrived else ""]
    assert host.asked == 1


def test_many_faults_in_a_row_are_one_line(host: Host, file: Path) -> None:
    host.script = [status(503), some(1000, Handler.close), some(1000, Handler.close), Handler.close, status(429)]
    output = Output()
    get(host, file, output=output)
    assert is_here(file)
    assert output.lines[0] == "recovered from 5 errors: HTTP 503, transfer cut off, connection closed, HTTP 429"
    assert host.header("Range")[-1] == "bytes=2000-"


def test_the_time_of_retry_after_is_respected(host: Host, file: Path) -> None:
    host.script = [status(503, Retry_After="1")]
    started = time.monotonic()
    get(host, file)
    assert time.monotonic() - started >= 1


LASTING: dict[str, tuple[Action, str]] = {
    "503": (status(503), "HTTP 503, for 1 s"),
    "closed": (Handler.close, "connection closed, for 1 s"),
    "no response": (silence, "no response, for 1 s"),
    "too late": (status(429, Retry_After="700"), "HTTP 429\nthe host asks to retry in 11 min 40 s"),
    "denied": (status(403), "HTTP 403"),
    "missing": (status(404), "HTTP 404"),
    "strange": (status(204), "HTTP 204"),
    "unasked part": (lambda handler: rest(handler, 5), "HTTP 206"),
}


@pytest.mark.parametrize(("fault", "words"), LASTING.values(), ids=LASTING)
def test_a_lasting_error_ends_with_a_message(host: Host, file: Path, fault: Action, words: str) -> None:
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
    assert error.hint == "502.0 kB received and kept: the same command resumes there"
    host.script = []
    output = Output()
    get(host, file, output=output)
    assert is_here(file)
    assert host.header("Range")[-1] == f"bytes={HALF}-"
    assert output.lines[0].endswith(", 502.0 kB fetched earlier)")


def test_a_trickle_is_no_progress(host: Host, file: Path) -> None:
    def trickle(handler: Handler) -> None:
        handler.send(200, [("Content-Length", str(len(CONTENT))), *facts(host)])
        while not host.closing.wait(0.02):
            handler.wfile.write(b"x")

    host.script = [trickle] * 9
    started = time.monotonic()
    fails(host, file, "transfer stalled, for 1 s")
    assert time.monotonic() - started < 3


def test_an_expired_address_is_replaced_and_the_file_resumed(host: Host, file: Path) -> None:
    host.script = [some(HALF, Handler.close), status(403)]
    output = Output()
    get(host, file, output=output)
    assert is_here(file)
    assert host.asked == 2
    assert [path.split("token=")[1][0] for path, _ in host.requests] == ["1", "1", "2"]
    assert host.header("Range")[-1] == f"bytes={HALF}-"
    assert output.lines[0] == "recovered from 2 errors: transfer cut off, HTTP 403"


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_an_address_refused_twice_is_the_end_and_what_has_arrived_is_kept(host: Host, file: Path, code: int) -> None:
    host.script = [some(HALF, Handler.close), status(code), status(code)]
    fails(host, file, f"HTTP {code}\n502.0 kB received")
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

    output = Output()
    fetch(Source("train.zip", address), file, RetryPolicy(2, output.display.report), output.display)
    assert output.lines[0] == "recovered from 2 errors: connection refused, HTTP 503"


def test_an_address_that_takes_long_to_get_costs_no_retry_time(host: Host, file: Path) -> None:
    host.content = CONTENT[:9999]
    host.script = [status(503)]

    def slowly() -> str:
        time.sleep(0.4)
        return host.address()

    fetch(Source("train.zip", slowly), file, RetryPolicy(0.3), Output().display)
    assert file.read_bytes() == CONTENT[:9999]


def test_an_error_of_the_address_is_raised_unchanged(host: Host, file: Path) -> None:
    refusal = UserError("accept the rules")

    def address() -> str:
        raise refusal

    with pytest.raises(UserError) as caught:
        fetch(Source("train.zip", address), file, RetryPolicy(2), Output().display)
    assert caught.value is refusal
    assert not host.requests


def test_an_error_in_the_program_keeps_its_traceback(host: Host, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kagglekit.kaggle.download.origin_of", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        get(host, file)
