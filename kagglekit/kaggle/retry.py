"""How long faults of a network are put up with, and which of them pass by themselves."""

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

PASSING = frozenset({408, 429, 500, 502, 503, 504})
LONGEST_PAUSE = 30.0
TOLD_FROM = 10.0  # a pause of that many seconds is said, or the program would seem to hang


class Fault(Exception):
    """Something went wrong on the way that may not happen again; its text is a few words."""


def _silent(text: str) -> None:
    pass


@dataclass
class RetryPolicy:
    """Waits between attempts, until there was no progress for some time.

    The clock runs from its making on. `call`, `fetch` and `upload` take a `fresh` one of their own, so that one
    patience may serve many of them, one inside another.

    Attributes:
        seconds: Seconds without progress after which it gives up.
        report: Where lines for people go.
        faults: What went wrong so far, in a few words each.
    """

    seconds: float = 300.0
    report: Callable[[str], None] = _silent
    faults: list[str] = field(default_factory=list, init=False)
    _since: float = field(default_factory=time.monotonic, init=False)
    _in_a_row: int = field(default=0, init=False)

    @property
    def timeouts(self) -> tuple[float, float]:
        """Seconds that one attempt may take to connect, and to bring the next bytes."""
        return min(10.0, self.seconds / 30), min(60.0, self.seconds / 5)

    @property
    def over(self) -> bool:
        """Whether there was no progress for too long."""
        return time.monotonic() - self._since >= self.seconds

    def fresh(self) -> RetryPolicy:
        """Return the same patience with its own clock, which starts now."""
        return replace(self)

    def progressed(self) -> None:
        """Start the clock again."""
        self._since, self._in_a_row = time.monotonic(), 0

    def wait(self, error: Exception) -> None:
        """Sleep until the next attempt.

        Raises:
            Exception: `error` itself, if it does not pass, the time is over, or the server asks to come back later
                than that.
        """
        pause = self.pause(error)
        if pause >= TOLD_FROM:
            self.report(f"{fault(error)}; trying again in {pause:.0f} s")
        time.sleep(pause)

    def pause(self, error: Exception) -> float:
        """Return the seconds to sleep: 0.5 s, doubled at each fault in a row to 30 s, up to half less by chance.

        A Retry-After of the server is kept. The first pause is shorter where there is little time in all.

        Raises:
            Exception: See `wait`.
        """
        self.faults.append(fault(error))
        left = self.seconds - (time.monotonic() - self._since)
        asked = retry_after(error) or 0.0
        if not passes(error) or left <= 0 or asked > left:
            raise error
        first = min(0.5, self.seconds / 100)
        pause = min(LONGEST_PAUSE, first * 2.0 ** min(self._in_a_row, 16)) * random.uniform(0.5, 1.0)
        self._in_a_row += 1
        return min(max(pause, asked), left)

    def recovered(self) -> None:
        """Say in a line which faults there were before it went well, if there were any, and forget them."""
        if self.faults:
            many = f"{len(self.faults)} faults" if len(self.faults) > 1 else "a fault"
            self.report(f"went on after {many}: {', '.join(dict.fromkeys(self.faults))}")
        self.faults.clear()


def call(patience: RetryPolicy, function: Callable[[], T]) -> T:
    """Call a function until it succeeds.

    Raises:
        Exception: The function's, if it does not pass or time is over (see `RetryPolicy.wait`).
    """
    own = patience.fresh()
    while True:
        try:
            result = function()
        except Exception as error:
            own.wait(error)
        else:
            own.recovered()
            return result


def passes(error: Exception) -> bool:
    """Whether an error may be gone at the next attempt."""
    from requests import exceptions as of_requests
    from urllib3 import exceptions as of_urllib3

    if isinstance(error, of_requests.HTTPError):
        return error.response is not None and error.response.status_code in PASSING
    if _permanent(error):
        return False
    return isinstance(
        error,
        (
            Fault,
            of_requests.ConnectionError,  # its subclasses: refused, reset, proxy, TLS, time-out of connecting
            of_requests.Timeout,
            of_requests.ChunkedEncodingError,
            of_urllib3.ProtocolError,  # the following three: while a body is read
            of_urllib3.TimeoutError,
            of_urllib3.SSLError,
        ),
    )


def _permanent(error: Exception) -> bool:
    """Whether a failure to connect is one of settings, which no waiting mends."""
    text = _texts(error)
    return "certificate verify failed" in text or "407 proxy authentication" in text


def fault(error: Exception) -> str:
    """Word an error in a few words without addresses: those of requests hold signed query strings."""
    from requests import exceptions as of_requests
    from urllib3 import exceptions as of_urllib3

    if isinstance(error, Fault):
        return str(error)
    if isinstance(error, of_requests.HTTPError):
        return "an HTTP error" if error.response is None else f"HTTP {error.response.status_code}"
    text = _texts(error)
    known = next((words for sign, words in _SIGNS.items() if sign in text), "")
    if isinstance(error, of_requests.ProxyError):
        return f"the proxy fails ({known})" if known else "the proxy fails"
    if known:
        return known
    silent = isinstance(error, (of_requests.Timeout, of_urllib3.TimeoutError))
    return "silence" if silent else f"{type(error).__name__}"


_SIGNS = {  # in the texts of an error and its causes, lower case, the first that fits
    "certificate verify failed": "the certificate is not trusted",
    "407 proxy authentication": "it asks for a name and a password",
    "name resolution": "unknown host",
    "name or service not known": "unknown host",
    "failed to resolve": "unknown host",
    "connection refused": "connection refused",
    "actively refused": "connection refused",
    "timed out": "silence",
    "incompleteread": "cut in the middle",
    "ended prematurely": "cut in the middle",
    "closed connection without response": "connection closed",
    "connection reset": "connection reset",
    "broken pipe": "connection reset",
    "connection aborted": "connection closed",
    "unreachable": "network unreachable",
}


def _texts(error: BaseException) -> str:
    return " ".join(f"{type(each).__name__} {each}" for each in _chain(error)).lower()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it; a loop among causes ends it."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def retry_after(error: Exception) -> float | None:
    """Return the seconds after which the server asks to come back, from seconds or a date; None if it does not."""
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
