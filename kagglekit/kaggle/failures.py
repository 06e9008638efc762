"""What goes wrong with Kaggle and on the way to it, each in a sentence that says what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from kagglekit.kaggle.credentials import find_credentials, masked
from kagglekit.kaggle.retry import fault, retry_after
from kagglekit.system.console import duration
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from requests import HTTPError, Response

Entered = Callable[[str], bool | None]

# What Kaggle's words of refusal contain, and what they mean: asked in this order.
REFUSALS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("phone", "verify your", "verified", "identity"), "phone"),
    (("rules",), "rules"),
    (("daily", "submission limit", "submissions allowed", "maximum number of submissions", "quota"), "limit"),
    (("deadline", "has ended", "is over", "has closed", "no longer accept"), "deadline"),
    (("notebook", "kernel", "code competition"), "code"),
    (("disabled",), "disabled"),
)


class UnknownSlug(UserError):
    """Kaggle has no such competition, or not for this account."""


def explained(error: Exception, slug: str, entered: Entered) -> UserError:
    """Word a failure of a call to Kaggle, or of a transfer.

    Args:
        error: What was raised, most often by requests.
        slug: The competition it was about; empty if none.
        entered: Asks Kaggle whether the rules of a competition are accepted, None if there is no such
            competition; only called where the answer itself does not say why it refuses.
    """
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return _refused(error, error.response, slug, entered)
    if isinstance(error, requests.exceptions.ProxyError):
        return UserError(f"Kaggle cannot be reached through the proxy: {fault(error)}", _proxy_hint())
    if isinstance(error, requests.exceptions.SSLError):
        return UserError(
            f"the certificate of the other side is not accepted: {fault(error)}",
            "behind a proxy that opens connections, name its certificate: REQUESTS_CA_BUNDLE=FILE",
        )
    if isinstance(error, requests.Timeout):
        return UserError("Kaggle did not answer in time", "look whether www.kaggle.com is up, and try again later")
    if isinstance(error, requests.ConnectionError):
        return UserError(
            f"Kaggle cannot be reached: {fault(error)}",
            f"check the network; if you need a proxy, set HTTPS_PROXY{_unheard()}",
        )
    return UserError(f"the call to Kaggle failed: {type(error).__name__}: {masked(str(error))}", "kagglekit doctor")


def _refused(error: HTTPError, response: Response, slug: str, entered: Entered) -> UserError:
    said, status = words(error), response.status_code
    if status == 401:
        return _wrong_credentials(said)
    if status == 429:
        return UserError(f"Kaggle takes no more calls for now (429): {said}", come_back(error))
    if status >= 500:
        return UserError(f"Kaggle is in trouble ({status}): {said}", "try again later; nothing here is lost")
    if (meaning := _meaning(said)) or not slug:
        return refusal(meaning, slug, said, status)
    if status == 403:
        meaning = {False: "rules", None: "slug"}.get(entered(slug), "")
    return refusal("slug" if status == 404 else meaning, slug, said, status)


def refusal(meaning: str, slug: str, said: str = "", status: int = 403) -> UserError:
    """Word a refusal.

    Args:
        meaning: One of `REFUSALS`, ``slug``, or empty where nobody knows.
        slug: The competition.
        said: Kaggle's own words.
        status: The HTTP status.
    """
    page = f"https://www.kaggle.com/c/{slug}" if slug else "https://www.kaggle.com"
    known = {
        "phone": ("Kaggle wants the account verified by phone first", "do so: https://www.kaggle.com/settings"),
        "rules": (f"the rules of {slug} are not accepted yet", f"accept them, and try again: {page}/rules"),
        "limit": (f"no more submissions to {slug} are allowed today", f"the day ends {midnight()}: come back then"),
        "deadline": (f"the deadline of {slug} is over, and it takes no late submissions", f"{page}/overview"),
        "code": (
            f"{slug} is a code competition: it takes notebooks, no files",
            f"kagglekit predict in a notebook writes the CSV; submit that notebook on {page}",
        ),
        "disabled": (f"{slug} takes no submissions", f"{page}/overview says why"),
        "slug": (
            f"there is no competition {slug!r} on Kaggle, or it is not open to this account",
            f"the name is what stands in its address: {page}",
        ),
    }
    what, hint = known.get(meaning, (f"Kaggle refused ({status})", f"look at {page}, and whether you are logged in"))
    kind = UnknownSlug if meaning == "slug" else UserError
    return kind(f"{what} (Kaggle says: {said})" if said else what, hint)


def words(error: HTTPError) -> str:
    """Return the server's own words for an HTTP error, on one line, without credentials."""
    if error.response is None:
        return masked(str(error))
    try:
        body: Any = error.response.json()
        body = body.get("error", body)
        text = str(body.get("message") or body) if isinstance(body, dict) else str(body)
    except ValueError:
        text = error.response.reason or str(error)
    return " ".join(masked(text).split())[:300]


def come_back(error: Exception) -> str:
    """Say when a call may be tried again."""
    after = retry_after(error)
    if after is None or after > 7 * 86400:
        return "try again in a quarter of an hour"
    when = datetime.now().astimezone() + timedelta(seconds=after)
    return f"try again after {when:%H:%M:%S} (in {duration(after)})"


def midnight() -> str:
    """Say when Kaggle's day ends."""
    now = datetime.now(UTC)
    left = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0) - now
    return f"at midnight UTC, in {left.seconds // 3600} h {left.seconds % 3600 // 60:02} min"


def _wrong_credentials(said: str) -> UserError:
    found = find_credentials()
    used = f"the {found[0].kind} of {found[0].source}" if found else "none were found"
    hint = "make a new token on https://www.kaggle.com/settings/api"
    if len(found) > 1:
        hint += f", or remove that one: {found[1].source} would count then"
    return UserError(f"Kaggle does not accept the credentials (401: {said}); in use: {used}", hint)


def _meaning(said: str) -> str:
    lower = said.lower()
    return next((name for parts, name in REFUSALS if any(part in lower for part in parts)), "")


def _proxy_hint() -> str:
    names = [name for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy") if os.environ.get(name)]
    where = "it may be the proxy or Kaggle itself"
    return f"{where}: look at {' and '.join(names) or 'the proxy of this system'}{_unheard()}, and see kagglekit doctor"


def _unheard() -> str:
    return " (KAGGLE_PROXY is not heard by the client)" if os.environ.get("KAGGLE_PROXY") else ""
