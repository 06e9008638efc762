"""The built-in tasks: what can be predicted for an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import Provides, hookimpl

if TYPE_CHECKING:
    from kagglekit import Task

_NAMES = ("single-label", "multi-label", "regression", "ordinal", "several")


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the names of the tasks."""
    return Provides(task=_NAMES)


@hookimpl
def kagglekit_task(name: str) -> type[Task] | None:
    """Return the class of a task."""
    if name not in _NAMES:
        return None
    from kagglekit import MultiLabel, Ordinal, Regression, Several, SingleLabel

    kinds: tuple[type[Task], ...] = (SingleLabel, MultiLabel, Regression, Ordinal, Several)
    return {kind.kind: kind for kind in kinds}[name]
