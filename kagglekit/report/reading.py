"""Read what a run predicted, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_for
from kagglekit.report import rows
from kagglekit.report.predicted import Decided, Predicted
from kagglekit.runs.info import RunInfo
from kagglekit.runs.loaded import LoadedRun
from kagglekit.system.errors import UserError
from kagglekit.tasks.built_in import loaded_task
from kagglekit.types.metric import TITLES, greater_is_better
from kagglekit.types.predictions import load_predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kagglekit.tasks.task import Task


@dataclass(frozen=True)
class Known:
    """What is known of a run's task and decision, with its plugins as far as they can be loaded.

    Attributes:
        task: What is predicted; None if only a plugin that is not loaded knows.
        hooks: The plugins; None if they are not needed, or cannot be loaded.
    """

    task: Task | None
    hooks: Hooks | None = None

    @classmethod
    def of(cls, info: RunInfo) -> Self:
        """Load the plugins of a run if its task or decision may be theirs."""
        task = loaded_task(info.task, info.classes, info.task_state) if info.classes else None
        if (task is not None or not info.classes) and info.decision is None:
            return cls(task)
        try:
            hooks = Hooks(load_for(info))
            return cls(task or hooks.task(info.task).load(info.classes, info.task_state), hooks)
        except UserError:
            return cls(task)

    def applied(self, loaded: LoadedRun, values: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return what the run's decision makes of predictions (N, C); None if that is not known."""
        found = loaded.info.decision
        if found is None or self.hooks is None or self.task is None:
            return None
        recipe = loaded.recipe.model_copy(update={"decision": found.name})
        try:
            decision = self.hooks.decision(recipe, self.hooks.competition(), self.task)
            return self.task.completed(decision.apply(found.found, values), values)
        except Exception:  # a plugin's decision may raise anything, and the page works without it
            return None


def predicted(loaded: LoadedRun, known: Known) -> Predicted | None:
    """Read the final valid predictions and the images' targets; None without them, or if the task is not known."""
    run, task = loaded.run, known.task
    valid = rows.valid(run)
    if not valid or not run.predictions("ensemble", "valid").exists():
        return None
    import pandas as pd

    table = load_predictions(run.predictions("ensemble", "valid"))
    task = task or loaded_task(loaded.info.task, tuple(table.columns), loaded.info.task_state)
    if task is None:
        return None
    truth = task.truth(pd.Series({row["id"]: row["label"] for row in valid}, dtype="str"), table)
    values = table.to_numpy()
    seen = Predicted(tuple(table.index), task, truth, values.astype(np.float64), _decided(loaded.info))
    recipe = loaded.recipe
    return replace(seen, applied=known.applied(loaded, values), seed=recipe.seed, out_of_fold=recipe.folds > 0)


def _decided(info: RunInfo) -> Decided:
    known, metric = info.decision, TITLES.get(info.metric, info.metric)
    if known is None:
        return Decided()
    sign = -1 if greater_is_better(info.metric) is False else 1  # curves are of scores of which more is better
    curves = {title: [(x, sign * y) for x, y in points] for title, points in known.curves.items()}
    return Decided(known.name, known.found, curves, metric[:1].upper() + metric[1:])
