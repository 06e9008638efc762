"""Retry temporary network errors, and distinguish them from lasting ones."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from requests import Response

T = TypeVar("T")

TEMPORARY = frozenset({408, 429, 500, 502, 503, 504})
MAX_PAUSE = 30.0  # s
REPORTED_FROM = 10.0  # s; shorter pauses are silent, longer ones would look like a hang


class Fault(Exception):
    """A transfer failed and may succeed when retried; the message is a few words."""


class Clock:
    """The time, and waiting for it; tests inject another one."""

    def now(self) -> float:
        """Return the seconds since a fixed moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def utc(self) -> datetime:
        """Return the date and time, UTC."""
        return datetime.now(UTC)


def _silent(text: str) -> None:
    pass


@dataclass
class RetryPolicy:
    """Waits between attempts, and gives up after some time without progress.

    The clock starts when the object is created. `call`, `fetch` and `upload` use a `fresh` copy, so that one policy
    can serve many calls, also nested ones.

    Attributes:
        seconds: Seconds without progress after which it gives up.
        report: Receives lines for the user.
        clock: Measures the time.
        faults: The errors so far, a few words each.
    """

    seconds: float = 300.0
    report: Callable[[str], None] = _silent
    clock: Clock = field(default_factory=Clock)
    faults: list[str] = field(default_factory=list, init=False)
    _since: float = field(init=False)
    _in_a_row: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._since = self.clock.now()

    @property
    def timeouts(self) -> tuple[float, float]:
        """Seconds that one attempt may take to connect, and to receive the next bytes."""
        return min(10.0, self.seconds / 30), min(60.0, self.seconds / 5)

    @property
    def over(self) -> bool:
        """True when the time without progress is used up."""
        return self.clock.now() - self._since >= self.seconds

    def fresh(self) -> RetryPolicy:
        """Return the same policy with its own clock, which starts now."""
        return replace(self)

    def progressed(self) -> None:
        """Restart the clock."""
        self._since, self._in_a_row = self.clock.now(), 0

    def wait(self, error: Exception) -> None:
        """Sleep until the next attempt.

        Raises:
            Exception: `error` itself, if it is lasting, the time is used up, or the server asks to retry even later.
        """
        pause = self.pause(error)
        if pause >= REPORTED_FROM:
            self.report(f"{short_reason(error)}; retrying in {pause:.0f} s")
        self.clock.sleep(pause)

    def pause(self, error: Exception) -> float:
        """Return the seconds to sleep: 0.5 s, doubled at each error in a row up to 30 s, minus a random 0 to 50 %.

        The server's Retry-After is respected. The first pause is shorter if `seconds` is small.

        Raises:
            Exception: See `wait`.
        """
        self.faults.append(short_reason(error))
        left = self.seconds - (self.clock.now() - self._since)
        asked = retry_after(error) or 0.0
        if not is_temporary(error) or left <= 0 or asked > left:
            raise error
        first = min(0.5, self.seconds / 100)
        pause = min(MAX_PAUSE, first * 2.0 ** min(self._in_a_row, 16)) * random.uniform(0.5, 1.0)
        self._in_a_row += 1
        return min(max(pause, asked), left)

    def recovered(self) -> None:
        """Report the errors before a success in one line, if there were any, and clear them."""
        if self.faults:
            many = f"{len(self.faults)} errors" if len(self.faults) > 1 else "an error"
            self.report(f"recovered from {many}: {', '.join(dict.fromkeys(self.faults))}")
        self.faults.clear()


def call(retry: RetryPolicy, function: Callable[[], T]) -> T:
    """Call a function until it succeeds.

    Raises:
        Exception: The function's, if it is lasting or the time is used up (see `RetryPolicy.wait`).
    """
    own = retry.fresh()
    while True:
        try:
            result = function()
        except Exception as error:
            own.wait(error)
        else:
            own.recovered()
            return result


def is_temporary(error: Exception) -> bool:
    """Return whether another attempt may succeed."""
    from requests import exceptions as of_requests
    from urllib3 import exceptions as of_urllib3

    if isinstance(error, of_requests.HTTPError):
        return error.response is not None and error.response.status_code in TEMPORARY
    if _permanent(error):
        return False
    return isinstance(
        error,
        (
            Fault,
            of_requests.ConnectionError,  # its subclasses: refused, reset, proxy, TLS, connect timeout
            of_requests.Timeout,
            of_requests.ChunkedEncodingError,
            of_urllib3.ProtocolError,  # this one and the next two: while a body is read
            of_urllib3.TimeoutError,
            of_urllib3.SSLError,
        ),
    )


def _permanent(error: Exception) -> bool:
    """Return whether a failure to connect is due to settings, which waiting does not fix."""
    text = _texts(error)
    return "certificate verify failed" in text or "407 proxy authentication" in text


def short_reason(error: Exception) -> str:
    """Describe an error in a few words, without addresses: those of requests contain signed query strings."""
    from requests import exceptions as of_requests
    from urllib3 import exceptions as of_urllib3

    if isinstance(error, Fault):
        return str(error)
    if isinstance(error, of_requests.HTTPError):
        return "an HTTP error" if error.response is None else f"HTTP {error.response.status_code}"
    text = _texts(error)
    known = next((words for sign, words in _SIGNS.items() if sign in text), "")
    if isinstance(error, of_requests.ProxyError):
        return f"proxy error ({known})" if known else "proxy error"
    if known:
        return known
    silent = isinstance(error, (of_requests.Timeout, of_urllib3.TimeoutError))
    return "no response" if silent else f"{type(error).__name__}"


_SIGNS = {  # parts of the lower-case messages of an error and its causes; the first match wins
    "certificate verify failed": "untrusted certificate",
    "407 proxy authentication": "it requires a user name and a password",
    "name resolution": "unknown host",
    "name or service not known": "unknown host",
    "failed to resolve": "unknown host",
    "connection refused": "connection refused",
    "actively refused": "connection refused",
    "timed out": "no response",
    "incompleteread": "transfer cut off",
    "ended prematurely": "transfer cut off",
    "closed connection without response": "connection closed",
    "connection reset": "connection reset",
    "broken pipe": "connection reset",
    "connection aborted": "connection closed",
    "unreachable": "network unreachable",
}


def _texts(error: BaseException) -> str:
    return " ".join(f"{type(each).__name__} {each}" for each in _chain(error)).lower()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, each once."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def retry_after(error: Exception) -> float | None:
    """Return the seconds of a Retry-After header, which holds seconds or a date; None without one."""
    response: Response | None = getattr(error, "response", None)
    value = response.headers.get("Retry-After", "").strip() if response is not None else ""
    if value.isascii() and value.isdigit():
        return float(value)
    then = _date(value)
    if then is None or response is None:
        return None
    now = _date(response.headers.get("Date", "")) or datetime.now(UTC)  # by the server's own clock
    return max(0.0, (then - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
