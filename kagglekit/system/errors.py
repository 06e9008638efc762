"""Errors that a user can fix, and their messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

MOST_SHOWN = 100  # letters of an unknown name


class UserError(Exception):
    """An error that the user can fix: shown as a message without a traceback.

    Args:
        what: What happened and why, in one sentence.
        hint: What to do about it; empty if `what` already says it.
    """

    exit_code = 1
    of_all = True  # where several processes share a training: whether all of them may raise the same

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"{what}\n{hint}" if hint else what)
        self.what = what
        self.hint = hint

    def _render_traceback_(self) -> list[str]:
        """Return what IPython and notebooks show instead of a traceback: the message."""
        lines = described(self.what, self.hint).splitlines()
        return [f"\x1b[31merror:\x1b[0m{lines[0].removeprefix('error:')}", *lines[1:]]


class UsageError(UserError):
    """An invalid command (unknown name, wrong type, missing value)."""

    exit_code = 2


class NotForTask(UserError):
    """What was requested does not exist for the task; where all of a kind are tried, it is left out."""


class SameAgain(UserError):
    """An error that a resumed run would meet again."""


class NotFinite(SameAgain):
    """The training loss is no longer finite."""


class PluginError(UserError):
    """A plugin failed or is invalid; the message names it."""


def described(what: str, hint: str) -> str:
    """Return the lines that report an error: what happened, then what to do about it."""
    first, *more = hint.splitlines() or [""]
    return "\n".join([f"error: {what}", *([f"hint: {first}"] if hint else []), *(f"      {line}" for line in more)])


def nearest(name: str, choices: Iterable[str], least: float = 0.5) -> str:
    """Return ``"did you mean 'x'? "`` for the closest of `choices`, or an empty string if none is similar enough."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=least)
    return f"did you mean {close[0]!r}? " if close else ""


def unknown(kind: str, name: str, choices: Iterable[str]) -> str:
    """Return the message for an unknown name: the nearest guess, then every choice."""
    known = sorted(choices)
    name = name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}..."
    return f"unknown {kind} {name!r}: {nearest(name, known)}choose from {', '.join(known) or 'none'}"


def listing(items: Sequence[object], most: int = 5) -> str:
    """Join the first few `items`, with their number: ``a, b, c ... (17 in all)``."""
    shown = ", ".join(str(item) for item in items[:most])
    return shown if len(items) <= most else f"{shown} ... ({len(items)} in all)"
