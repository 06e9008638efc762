"""Turn failed calls to Kaggle into a `UserError` with a reason and a hint."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from kagglekit.kaggle.credentials import find_credentials, masked, no_credentials
from kagglekit.kaggle.retry import retry_after, short_reason
from kagglekit.system.display.console import duration
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from requests import HTTPError, Response

Entered = Callable[[str], bool | None]

# Parts of Kaggle's refusals and their meaning, checked in this order.
REFUSALS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("phone", "verify your", "verified", "identity"), "phone"),
    (("rules",), "rules"),
    (("daily", "submission limit", "submissions allowed", "maximum number of submissions", "quota"), "limit"),
    (("deadline", "has ended", "is over", "has closed", "no longer accept"), "deadline"),
    (("notebook", "kernel", "code competition"), "code"),
    (("disabled",), "disabled"),
)


class UnknownSlug(UserError):
    """Kaggle has no such competition, or this account has no access to it."""


def explain(error: Exception, slug: str, entered: Entered) -> UserError:
    """Return a failed call to Kaggle, or a failed transfer, as a `UserError`.

    Args:
        error: The exception, most often of requests.
        slug: The competition of the call; empty if none.
        entered: Asks Kaggle whether the rules of a competition are accepted, None if there is no such
            competition; only called if the response gives no reason.
    """
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return _refused(error, error.response, slug, entered)
    if isinstance(error, requests.exceptions.ProxyError):
        return UserError(f"Kaggle cannot be reached through the proxy: {short_reason(error)}", _proxy_hint())
    if isinstance(error, requests.exceptions.SSLError):
        return UserError(
            f"the TLS connection to Kaggle failed: {short_reason(error)}",
            "behind a TLS-inspecting proxy, set REQUESTS_CA_BUNDLE to its certificate file",
        )
    if isinstance(error, requests.Timeout):
        return UserError("Kaggle did not respond in time", "check whether www.kaggle.com is up, and try again later")
    if isinstance(error, requests.ConnectionError):
        return UserError(
            f"Kaggle cannot be reached: {short_reason(error)}",
            f"check the network; if you need a proxy, set HTTPS_PROXY{_ignored_proxy()}",
        )
    return UserError(
        f"the call to Kaggle failed: {type(error).__name__}: {masked(str(error))}", "check with kagglekit doctor"
    )


def _refused(error: HTTPError, response: Response, slug: str, entered: Entered) -> UserError:
    said, status = server_message(error), response.status_code
    if status == 401:
        return _wrong_credentials(said)
    if status == 429:
        return UserError(f"Kaggle limits the number of calls (429): {said}", when_to_retry(error))
    if status >= 500:
        return UserError(f"Kaggle has a server error ({status}): {said}", "try again later; nothing is lost here")
    if (meaning := _meaning(said)) or not slug:
        return refusal(meaning, slug, said, status)
    if status == 403:
        meaning = {False: "rules", None: "slug"}.get(entered(slug), "")
    return refusal("slug" if status == 404 else meaning, slug, said, status)


def refusal(meaning: str, slug: str, said: str = "", status: int = 403) -> UserError:
    """Return a refusal as a `UserError`.

    Args:
        meaning: One of `REFUSALS`, ``slug``, or empty if unknown.
        slug: The competition.
        said: Kaggle's own message.
        status: The HTTP status.
    """
    page = f"https://www.kaggle.com/c/{slug}" if slug else "https://www.kaggle.com"
    known = {
        "phone": ("Kaggle requires phone verification of the account", "verify it: https://www.kaggle.com/settings"),
        "rules": (f"the rules of {slug} are not accepted yet", f"accept them and try again: {page}/rules"),
        "limit": (f"no submissions to {slug} are left today", f"try again after the day ends {midnight()}"),
        "deadline": (
            f"the deadline of {slug} has passed, and late submissions are disabled",
            f"see {page}/overview",
        ),
        "code": (
            f"{slug} is a code competition: it accepts notebooks, not files",
            "submit a run's predictions from there: kagglekit kernel RUN --submit",
        ),
        "file": (f"{slug} accepts files, not notebooks", "submit the run's own file: kagglekit submit RUN"),
        "disabled": (f"submissions to {slug} are disabled", f"see {page}/overview"),
        "slug": (
            f"there is no competition {slug!r} on Kaggle, or this account has no access to it",
            f"use the name in the competition's address: {page}",
        ),
    }
    what, hint = known.get(meaning, (f"Kaggle refused ({status})", f"check {page} and your login"))
    kind = UnknownSlug if meaning == "slug" else UserError
    return kind(f"{what} (Kaggle says: {said})" if said else what, hint)


def server_message(error: Exception) -> str:
    """Return the server's own message of an HTTP error, on one line, without credentials."""
    response: Response | None = getattr(error, "response", None)
    if response is None:
        return masked(str(error))
    try:
        body: Any = response.json()
        body = body.get("error", body)
        text = str(body.get("message") or body) if isinstance(body, dict) else str(body)
    except ValueError:
        text = response.reason or str(error)
    return " ".join(masked(text).split())[:300]


def when_to_retry(error: Exception) -> str:
    """Return the hint when to try a call again."""
    after = retry_after(error)
    if after is None or after > 7 * 86400:
        return "try again in 15 minutes"
    when = datetime.now().astimezone() + timedelta(seconds=after)
    return f"try again after {when:%H:%M:%S} (in {duration(after)})"


def midnight() -> str:
    """Return when Kaggle's day ends."""
    now = datetime.now(UTC)
    left = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0) - now
    return f"at midnight UTC, in {left.seconds // 3600} h {left.seconds % 3600 // 60:02} min"


def _wrong_credentials(said: str) -> UserError:
    found = find_credentials()
    used = f"the {found[0].kind} from {found[0].source}" if found else no_credentials().what
    hint = "create a new token on https://www.kaggle.com/settings/api"
    if len(found) > 1:
        hint += f", or remove the one in use: {found[1].source} would then take effect"
    return UserError(f"Kaggle does not accept the credentials (401: {said}); in use: {used}", hint)


def _meaning(said: str) -> str:
    lower = said.lower()
    return next((name for parts, name in REFUSALS if any(part in lower for part in parts)), "")


def _proxy_hint() -> str:
    names = [name for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy") if os.environ.get(name)]
    used = " and ".join(names) or "this system's proxy settings"
    return f"the proxy or Kaggle may be down: check {used}{_ignored_proxy()}, then run kagglekit doctor"


def _ignored_proxy() -> str:
    return " (the client ignores KAGGLE_PROXY)" if os.environ.get("KAGGLE_PROXY") else ""
