"""What a training learns from: its images without the dropped ones, and targets from a teacher."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from kagglekit.planning.drop import describe_dropped, without_dropped
from kagglekit.planning.plan import Plan
from kagglekit.prediction.teacher import teacher_of
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UserError
from kagglekit.types.image_table import data_key
from kagglekit.types.predictions import make_predictions

if TYPE_CHECKING:
    from kagglekit.tasks.targets import Targets, Teacher


def learns_from(plan: Plan, display: Display) -> Plan:
    """Return the plan with the images and targets that its training sees; valid and test images stay as they are.

    Raises:
        UserError: See `without_dropped`, `teacher_of` and the targets' plugin.
    """
    if not plan.ranks.several:
        return _learning(plan, display)
    learning = plan.ranks.of_first(lambda: _parts(_learning(plan, display)))
    return replace(plan, table=learning[0], targets=learning[1])


def _parts(plan: Plan) -> tuple[pd.DataFrame, Targets | None]:
    return plan.table, plan.targets


def _learning(plan: Plan, display: Display) -> Plan:
    split = _split_of(plan)
    if plan.dropped:
        table = without_dropped(plan)
        display.report(describe_dropped(plan, table))
        plan = replace(plan, table=table)
    if not plan.recipe.teacher:
        return plan
    plan, targets = _with_targets(plan, teacher_of(plan, split, display))
    display.report(f"targets: {targets.text}")
    return plan


def check_learnt(plan: Plan) -> None:
    """Refuse what `learns_from` would, before a run has a folder.

    Predictions that networks would have to make are replaced by ones that say nothing.

    Raises:
        UserError: See `learns_from`.
    """
    split = _split_of(plan)
    plan = replace(plan, table=without_dropped(plan))
    if plan.recipe.teacher:
        _with_targets(plan, teacher_of(plan, split))


def _split_of(plan: Plan) -> str:
    """Return the key of a plan's images and their split before any are dropped; empty if nobody asks for it."""
    return data_key(plan.table, plan.data, plan.classes) if plan.recipe.teacher else ""


def _with_targets(plan: Plan, teacher: Teacher) -> tuple[Plan, Targets]:
    """Return the plan with what its targets hook makes of its training images."""
    train = plan.table[plan.table["split"] == "train"]
    labels = pd.Series(train["label"].to_numpy(), index=pd.Index(train["id"].astype("str"), name="id"), dtype="str")
    targets = plan.hooks.targets(plan.recipe, plan.task, labels, teacher)
    return _with_added(_without_weightless(replace(plan, targets=targets), targets), targets), targets


def _without_weightless(plan: Plan, targets: Targets) -> Plan:
    """Remove the training images of weight 0, which a head fitted by regression would learn, too."""
    if targets.weights is None:
        return plan
    gone = targets.weights.index[targets.weights == 0]
    dropped = replace(plan, dropped=tuple(gone))
    try:
        return replace(plan, table=without_dropped(dropped))
    except UserError as error:
        what = error.what.replace("--drop", f"targets={plan.recipe.targets}")
        raise UserError(what, "give doubtful images a weight above 0") from error


def _with_added(plan: Plan, targets: Targets) -> Plan:
    """Add test images under ids of their own, with their most probable labels.

    Their split is ``added``: gradient steps learn them, but the regression of a head does not. Its cross-validation
    would score what the teacher repeats, and find too weak a regularisation.
    """
    added = targets.added
    if added is None or not len(added):
        return plan
    test = plan.table[plan.table["split"] == "test"]
    rows = test[test["id"].isin(added.index)]
    values = added.loc[rows["id"]].to_numpy()
    taken, mark = set(plan.table["id"]), "test "
    while any(f"{mark}{image}" in taken for image in rows["id"]):
        mark += "test "
    ids = [f"{mark}{image}" for image in rows["id"]]
    rows = rows.assign(id=ids, split="added", label=plan.task.most_probable(values))
    table = pd.concat([plan.table, rows.astype(object)], ignore_index=True)
    if not targets.added_soft:
        return replace(plan, table=table)
    soft = make_predictions(ids, added.columns, values)
    known = [] if targets.soft is None else [targets.soft]
    return replace(plan, table=table, targets=replace(targets, soft=pd.concat([*known, soft])))
