"""The tasks that kagglekit has itself, for those who read a run without its plugins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kagglekit.tasks.several import KINDS, Several
from kagglekit.tasks.task import Task

TASKS: dict[str, type[Task]] = {**KINDS, Several.kind: Several}
"""The classes of tasks by kind."""


def loaded_task(kind: str, columns: Sequence[str], state: Mapping[str, Any]) -> Task | None:
    """Return the task of a run as run.json has it; None for a plugin's own.

    Args:
        kind: As in `Competition.task`; empty in a run of a version that only knew one class an image.
        columns: Names of the columns of its predictions.
        state: What `Task.load` needs beside them.
    """
    task = TASKS.get(kind or "single-label")
    return task.load(columns, dict(state)) if task else None
