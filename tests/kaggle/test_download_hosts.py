"""Files fetched from a host that fails: kagglekit.kaggle.download."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
import requests
from fetched_file import Told, fails, get, is_here
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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "train.zip"


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
    fetch(Source("train.zip", address), file, RetryPolicy(2, told.display.report), told.display)
    assert told.lines[0] == "went on after 2 faults: connection refused, HTTP 503"


def test_an_address_that_takes_long_to_get_costs_no_patience(host: Host, file: Path) -> None:
    host.content = CONTENT[:9999]
    host.script = [status(503)]

    def slowly() -> str:
        time.sleep(0.4)
        return host.address()

    fetch(Source("train.zip", slowly), file, RetryPolicy(0.3), Told().display)
    assert file.read_bytes() == CONTENT[:9999]


def test_a_refused_address_is_the_callers_to_word(host: Host, file: Path) -> None:
    refusal = UserError("accept the rules")

    def address() -> str:
        raise refusal

    with pytest.raises(UserError) as caught:
        fetch(Source("train.zip", address), file, RetryPolicy(2), Told().display)
    assert caught.value is refusal
    assert not host.requests


def test_an_error_in_the_program_keeps_its_traceback(host: Host, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kagglekit.kaggle.download.told_origin", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        get(host, file)
