"""The built-in decisions: from predictions to labels, grades or ranked classes.

What each finds is plain data for run.json; what it applies before anything was found is `Decision.plain`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import Competition, Decision, NotForTask, Provides, Recipe, hookimpl
from kagglekit_decisions.classes import NEW_CLASS, TARGET_PRIOR, new_class, prior_shift
from kagglekit_decisions.counts import count
from kagglekit_decisions.grades import cuts
from kagglekit_decisions.thresholds import threshold, thresholds

if TYPE_CHECKING:
    from collections.abc import Callable

    from kagglekit import Task

    Make = Callable[[Recipe, Competition, Task], Decision]

_MADE: dict[str, tuple[str, Make]] = {
    "thresholds": ("multi-label", thresholds),
    "threshold": ("multi-label", threshold),
    "count": ("multi-label", count),
    "cuts": ("ordinal", cuts),
    "new-class": ("single-label", new_class),
    "prior-shift": ("single-label", prior_shift),
}


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the names of the decisions, and their options."""
    return Provides(decision=("none", *_MADE), options={NEW_CLASS: "new_whale", TARGET_PRIOR: {}})


@hookimpl
def kagglekit_decision(recipe: Recipe, competition: Competition, task: Task) -> Decision | None:
    """Return the decision `recipe.decision` if it is one of these.

    Raises:
        NotForTask: It is for another kind of task.
    """
    if recipe.decision == "none":
        return Decision("none", lambda _, values: values)
    if recipe.decision not in _MADE:
        return None
    kind, make = _MADE[recipe.decision]
    if kind not in (kinds := task.kinds()):
        fitting = [name for name, (other, _) in _MADE.items() if other in kinds]
        raise NotForTask(
            f"the decision {recipe.decision!r} is for {kind} tasks, not for {task.kind} ones",
            f"use --set decision={' or '.join([*fitting, 'none'])}",
        )
    return make(recipe, competition, task)
