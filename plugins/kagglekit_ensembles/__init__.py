"""The built-in ensembles, each with a method for every kind of task that it fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kagglekit import Ensemble, Member, NotForTask, Provides, Recipe, UserError, hookimpl
from kagglekit_ensembles import blocks, numbers, one_label, several_labels
from kagglekit_ensembles.automatic import automatic
from kagglekit_ensembles.fitted import combined
from kagglekit_ensembles.means import MEAN
from kagglekit_ensembles.tabular import combined_with_columns
from kagglekit_ensembles.trees import trees_for

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit import Metadata, Task
    from kagglekit_ensembles.method import Method

_METHODS = (
    "mean", "geometric", "log-odds", "rank", "weighted", "log-weighted", "hill-climbing", "stacking",
    "temperature",
)  # fmt: skip
_MEMBERS = ("average", "last")
_COLUMNS = "tabular"
_CHOSEN = "auto"


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the names of the ensembles."""
    return Provides(ensemble=(_CHOSEN, *_METHODS, _COLUMNS, *_MEMBERS))


@hookimpl
def kagglekit_ensemble(
    members: list[Member],
    labels: pd.Series[str],
    groups: pd.Series[str] | None,
    metadata: Metadata | None,
    recipe: Recipe,
    task: Task,
) -> Ensemble | None:
    """Combine the members if `recipe.ensemble` is one of these names.

    Raises:
        NotForTask: It is for other kinds of tasks.
    """
    name = recipe.ensemble
    if name not in (_CHOSEN, *_METHODS, _COLUMNS, *_MEMBERS):
        return None
    _check_members(members, task)
    if name in _MEMBERS:
        chosen = _averaged_weights(members) if name == "average" else members[-1]
        return Ensemble(chosen.valid, chosen.test, {"weights": {chosen.name: 1.0}})
    trees = trees_for(task, recipe.seed) if name == _COLUMNS else None
    if trees:
        return combined_with_columns(members, labels, task, recipe.seed, groups, metadata, trees)
    fitting = methods_of(task)
    if name == _CHOSEN:
        return automatic(fitting, members, labels, task, recipe.seed, groups)
    if name not in fitting:
        raise NotForTask(
            f"the ensemble {name!r} does not exist for {task.kind} tasks", f"choose from {', '.join(fitting)}"
        )
    return combined(fitting[name], members, labels, task, recipe.seed, groups)


def methods_of(task: Any) -> dict[str, Method]:
    """Return the methods for a task, by its kind or that of a task that it extends."""
    for kind in task.kinds():
        if kind == "single-label":
            return one_label.METHODS
        if kind == "multi-label":
            return several_labels.METHODS
        if kind == "regression":
            return numbers.methods(task)
        if kind == "several":
            return blocks.methods(task, methods_of)
    return {"mean": MEAN}


def _averaged_weights(members: Sequence[Member]) -> Member:
    """Return the member that predicts with the averaged weights of the snapshots.

    Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization",
    arXiv:1803.05407. The run creates that member, since its BatchNorm statistics need the images.
    """
    found = [member for member in members if member.name == "average"]
    if not found:
        names = ", ".join(member.name for member in members)
        raise UserError(
            f"ensemble=average needs a member named 'average', but the members are {names}",
            "use a run with averaged weights, or choose the ensemble 'mean'",
        )
    return found[0]


def _check_members(members: Sequence[Member], task: Task) -> None:
    """Refuse members with equal names, or of different images or columns."""
    if not members:
        raise UserError("no member to combine", "let a stage keep snapshots: --set stage.1.snapshots=true")
    names = [member.name for member in members]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UserError(f"two members are named {', '.join(sorted(twice))}", "give each member a unique name")
    first = members[0]
    for member in members:
        for split, table, like in (("valid", member.valid, first.valid), ("test", member.test, first.test)):
            try:
                task.check(table, list(like.index))
            except UserError as error:
                raise UserError(
                    f"member {member.name!r} does not fit {first.name!r} ({split}): {error.what}", error.hint
                ) from error
