"""Do something on Kaggle exactly once: whenever a response is lost, look whether it was done before doing it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kagglekit.kaggle.client import Kaggle
from kagglekit.kaggle.failures import explain
from kagglekit.kaggle.retry import is_temporary
from kagglekit.kaggle.transport import status
from kagglekit.system.errors import UserError

T = TypeVar("T")
SEARCH = 60.0  # s for which Kaggle may still process what was sent before it shows it
FIRST_PAUSE, MAX_PAUSE = 0.5, 5.0  # s between two looks


def do_once(kaggle: Kaggle, act: Callable[[], T], look: Callable[[], T | None], what: str) -> T:
    """Do something that cannot be undone.

    Args:
        kaggle: The login.
        act: Does it, in one attempt.
        look: Returns what `act` would, if it is done; else None.
        what: Its name in messages.

    Raises:
        UserError: Kaggle refuses it, or it is unknown whether it was done.
    """
    retry = kaggle.retry.fresh()
    while True:
        try:
            done = act()
        except UserError:
            raise
        except Exception as error:
            if 400 <= status(error) < 500 and status(error) not in (408, 429):
                raise explain(error, "", lambda _: None) from error
            last = _pause(error, kaggle, retry.wait)
            if (found := _search(kaggle, look, what)) is not None:
                retry.recovered()
                return found
            if last:
                raise explain(last, "", lambda _: None) from last
        else:
            retry.recovered()
            return done


def unless_missing(ask: Callable[[], T]) -> T | None:
    """Return what Kaggle says about something; None if it has none of that name, or this account may not see it.

    Raises:
        UserError: The call fails for another reason.
    """
    try:
        return ask()
    except UserError as error:
        if isinstance(error.__cause__, Exception) and status(error.__cause__) in (403, 404):
            return None
        raise


def passes(error: UserError) -> bool:
    """Return whether a failed call may succeed later."""
    return isinstance(error.__cause__, Exception) and is_temporary(error.__cause__)


def _pause(error: Exception, kaggle: Kaggle, wait: Callable[[Exception], None]) -> Exception | None:
    try:
        wait(error)
    except Exception as last:
        return last
    return None


def _search(kaggle: Kaggle, look: Callable[[], T | None], what: str) -> T | None:
    """Look for a minute, whatever the timeout: a second kernel would cost hours of the week's quota."""
    clock = kaggle.retry.clock
    until, pause = clock.now() + SEARCH, FIRST_PAUSE
    while True:
        is_last = clock.now() >= until
        try:
            found = look()
        except UserError as error:
            if is_last or not passes(error):
                told = f"cannot tell whether {what} has reached Kaggle: its response was lost ({error.what})"
                raise UserError(told, "run the same command again later: it looks before it sends") from error
        else:
            if found is not None or is_last:
                return found
        clock.sleep(min(pause, max(0.0, until - clock.now())))
        pause = min(MAX_PAUSE, 2 * pause)
