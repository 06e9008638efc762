"""The built-in decisions: from predictions to labels, grades or ranked classes."""

from __future__ import annotations

from kagglekit import Provides, hookimpl


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the names of the decisions."""
    return Provides(decision=("none",))
