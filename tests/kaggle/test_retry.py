"""Which errors are retried, and for how long: kagglekit.kaggle.retry."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
import urllib3
from submitting import FakeClock

from kagglekit.kaggle.retry import Fault, RetryPolicy, call, is_temporary, retry_after, short_reason


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def http_error(status: int, **headers: str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return requests.HTTPError(f"HTTP {status} for url: https://host/?signature=SECRET", response=response)


def real_error(url: str, **options: object) -> requests.RequestException:
    with pytest.raises(requests.RequestException) as caught:
        requests.get(url, timeout=1, **options)  # type: ignore[arg-type]
    return caught.value


TEMPORARY = [
    *(http_error(status) for status in (408, 429, 500, 502, 503, 504)),
    requests.ConnectionError("reset"),
    requests.Timeout(),
    requests.ConnectTimeout(),
    requests.ReadTimeout(),
    requests.exceptions.ProxyError("refused"),
    requests.exceptions.ChunkedEncodingError(),
    urllib3.exceptions.ProtocolError("cut"),
    urllib3.exceptions.ReadTimeoutError(None, None, "Read timed out."),  # type: ignore[arg-type]
    Fault("transfer cut off"),
]
LASTING = [
    *(http_error(status) for status in (400, 401, 403, 404, 410, 501)),
    requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed"),
    requests.exceptions.ProxyError("Tunnel connection failed: 407 Proxy Authentication Required"),
    requests.exceptions.InvalidURL("no host"),
    requests.HTTPError("no response"),
    OSError("disk"),
    ValueError("ours"),
]


@pytest.mark.parametrize("error", TEMPORARY, ids=repr)
def test_network_errors_are_temporary(error: Exception) -> None:
    assert is_temporary(error)
    assert 0 < RetryPolicy().pause(error) <= 0.5


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_refusals_and_wrong_settings_are_raised_at_once(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        RetryPolicy().wait(error)
    assert caught.value is error


def test_pauses_double_from_half_a_second_to_thirty_with_jitter() -> None:
    for _ in range(20):
        retry = RetryPolicy()
        pauses = [retry.pause(Fault("x")) for _ in range(9)]
        tops = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
        assert all(top / 2 <= pause <= top for pause, top in zip(pauses, tops, strict=True))
    assert RetryPolicy().pause(Fault("x")) != RetryPolicy().pause(Fault("x"))


def test_no_pause_is_longer_than_what_is_left() -> None:
    retry = RetryPolicy(10)
    assert 9 < max(retry.pause(Fault("x")) for _ in range(12)) <= 10


def test_progress_makes_pauses_short_again_and_restarts_the_clock() -> None:
    retry = RetryPolicy(0.2)
    for _ in range(5):
        retry.pause(Fault("x"))
    time.sleep(0.2)
    assert retry.over
    retry.progressed()
    assert not retry.over
    assert retry.pause(Fault("x")) <= 0.002


def test_little_time_means_short_time_outs_and_short_first_pauses() -> None:
    assert RetryPolicy().timeouts == (10, 60)
    assert RetryPolicy(3600).timeouts == (10, 60)
    assert RetryPolicy(6).timeouts == (0.2, 1.2)
    assert RetryPolicy(6).pause(Fault("x")) <= 0.06


def test_the_last_pause_ends_when_time_is_over_and_then_the_error_is_raised() -> None:
    retry, started = RetryPolicy(0.3), time.monotonic()
    attempts = 0

    def last() -> None:
        nonlocal attempts
        while attempts < 1000:
            attempts += 1
            retry.wait(Fault("again"))

    with pytest.raises(Fault, match="again"):
        last()
    assert 0.3 <= time.monotonic() - started < 0.6
    assert attempts >= 5


def test_the_servers_retry_after_is_respected() -> None:
    assert RetryPolicy(100).pause(http_error(503, Retry_After="7")) == 7
    assert RetryPolicy(100).pause(http_error(429, Retry_After="0")) > 0
    then = datetime.now(UTC) + timedelta(seconds=20)
    assert 18 < RetryPolicy(100).pause(http_error(429, Retry_After=format_datetime(then, usegmt=True))) <= 20
    error = http_error(429, Retry_After="101")
    with pytest.raises(requests.HTTPError):
        RetryPolicy(100).wait(error)
    assert retry_after(error) == 101


def test_a_date_counts_by_the_servers_own_clock() -> None:
    error = http_error(503, Date="Tue, 24 Nov 1999 10:00:00 GMT", Retry_After="Tue, 24 Nov 1999 10:00:09 GMT")
    assert retry_after(error) == 9


@pytest.mark.parametrize("value", ["", "soon", "-5", "1e9", "²", "Tue, 99 Nov 2026 10:00:00 GMT", "Tue, 24 Nov"])
def test_an_invalid_retry_after_is_ignored(value: str) -> None:
    assert not retry_after(http_error(503, Retry_After=value))
    assert RetryPolicy(100).pause(http_error(503, Retry_After=value)) <= 0.5


def test_a_long_pause_is_reported() -> None:
    clock, said = FakeClock(), []
    retry = RetryPolicy(100, said.append, clock)
    retry.wait(Fault("x"))
    short = clock.slept
    retry.wait(http_error(429, Retry_After="50"))
    assert said == ["HTTP 429; retrying in 50 s"]
    assert clock.slept - short == 50


def test_a_call_is_retried_until_it_succeeds_and_reports_the_errors() -> None:
    errors = iter([http_error(503), requests.ConnectionError("Connection reset by peer"), http_error(503)])
    said: list[str] = []

    def flaky() -> str:
        for error in errors:
            raise error
        return "done"

    assert call(RetryPolicy(2, said.append), flaky) == "done"
    assert said == ["recovered from 3 errors: HTTP 503, connection reset"]
    assert call(RetryPolicy(2, said.append), lambda: 1) == 1
    assert len(said) == 1


def test_a_call_inside_a_call_with_the_same_policy_ends() -> None:
    retry, started = RetryPolicy(0.2), time.monotonic()

    def outer() -> None:
        call(retry, lambda: None)
        raise Fault("outer")

    with pytest.raises(Fault, match="outer"):
        call(retry, outer)
    assert time.monotonic() - started < 0.5


def test_a_call_long_after_the_last_has_all_its_time() -> None:
    retry = RetryPolicy(0.2)
    time.sleep(0.25)
    errors = iter([Fault("x")])

    def once() -> None:
        for error in errors:
            raise error

    call(retry, once)


def test_short_reasons_contain_no_addresses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    refused = real_error(f"http://127.0.0.1:{port}/?signature=SECRET")
    proxies = {"http": f"http://user:SECRET@127.0.0.1:{port}"}
    no_proxy = real_error("http://example.invalid/?signature=SECRET", proxies=proxies)
    unknown = requests.ConnectionError(
        "/?signature=SECRET (Failed to resolve 'h' ([Errno -2] Name or service not known)"
    )
    assert [short_reason(error) for error in (refused, no_proxy)] == [
        "connection refused",
        "proxy error (connection refused)",
    ]
    assert short_reason(unknown) == "unknown host"
    assert short_reason(http_error(404)) == "HTTP 404"
    assert short_reason(real_error("nonsense?signature=SECRET")) == "MissingSchema"
    assert short_reason(requests.ReadTimeout("https://host/?signature=SECRET")) == "no response"
