"""Cross-validation: train a model per fold; every labelled image is predicted by a model that never saw it.

The models' predictions of the test images are averaged. Each fold is a run of its own, in a subfolder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

import pandas as pd

from kagglekit.data.folds import assign_folds
from kagglekit.data.table import strata_of
from kagglekit.planning.describe import describe_plan
from kagglekit.planning.identity import Identity
from kagglekit.planning.plan import Plan, labels_of
from kagglekit.prediction.results import candidates, finish_run
from kagglekit.prediction.scores import Results, Scored, check_scorable
from kagglekit.report.page import leave_report
from kagglekit.runs.folder import Run
from kagglekit.runs.info import MemberInfo, Record
from kagglekit.runs.lock import locked
from kagglekit.runs.lookup import create_run, find_run
from kagglekit.system.display.brief import Brief
from kagglekit.system.display.console import Display, duration
from kagglekit.system.errors import UserError
from kagglekit.types.ensemble import Member
from kagglekit.types.image_table import fold_table
from kagglekit.types.metric import TITLES, Score
from kagglekit.types.predictions import average, load_predictions, save_predictions
from kagglekit.workflows.facts import record_dropped, record_start, reported_failures
from kagglekit.workflows.learnt import check_learnt
from kagglekit.workflows.single import train

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn


Shown = Literal["all", "set-up", "end"]
TrainAll = Callable[[Plan, Run], UserError | None]
"""Trains what is not finished of a run; returns the error that lists what failed, if anything did."""

JOINING = 600.0  # how long to wait for a process that joins the same run's folds, which takes seconds, s
RECORDING = 10.0  # how long to wait for it to record a failure, s


def run_folds(
    plan: Plan,
    model: nn.Module,
    display: Display,
    new: Run | None = None,
    began: float | None = None,
    train_all: TrainAll | None = None,
) -> Run:
    """Train the requested folds that are not finished, then combine all that are finished.

    Several processes may do so at once, each with folds of its own: shared files are locked while they are written.
    The last process to join the folds therefore sees all of them.

    Args:
        plan: The plan.
        model: The network, for its description.
        display: Shows progress.
        new: The empty folder of a new run; None to make one.
        began: When this process began them, by time.perf_counter, s; None for now.
        train_all: Trains the folds as jobs; None to train one after the other here.

    Returns:
        The run; its status is ``partial`` as long as folds are missing.

    Raises:
        UserError: There are too few images for so many folds, or a training fails.
    """
    started, recipe = time.perf_counter() if began is None else began, plan.recipe
    identity = Identity.of(plan)
    plan, fold_numbers = assigned(plan)
    for number in range(1, recipe.folds + 1):
        check_scorable(plan, plan.table[fold_numbers == number], f"the images that fold {number} holds out")
        if plan.request.only_fold in (None, number):
            check_learnt(fold_plan(plan, fold_numbers, number))
    folder = _folder(plan, identity, new)
    describe_plan(plan, model, folder, display)
    display.report(_describe_folds(plan))
    with reported_failures(plan, folder, Record(folder.info_file), display, partial(locked, folder, RECORDING)):
        with locked(folder, JOINING) as record:
            record_start(plan, model, record, identity)
            record_dropped(plan, folder, record)
            folder.write_recipe(recipe)
        numbers = range(1, recipe.folds + 1)
        failure = train_all(plan, folder) if train_all else None
        if plan.request.only_fold:
            run_fold(plan, fold_numbers, plan.request.only_fold, folder, display)
        elif not train_all:
            _run_all(plan, fold_numbers, folder, display)
        if failure and not any(is_finished(folder.fold(number)) for number in numbers):
            raise failure
        hint = f"the folds are kept; when it ends: kagglekit resume {folder.folder}"
        with locked(folder, JOINING, hint) as record:
            finished = [number for number in numbers if is_finished(folder.fold(number))]
            scores = join_folds(plan, folder, record, finished, display)
            missing = [number for number in numbers if number not in finished]
            seconds = round(time.perf_counter() - started, 1)
            threads = plan.threads.number if plan.threads else None
            record.update(status="partial" if missing else "finished", seconds=seconds, threads=threads)
            leave_report(folder, display)
        plan.hooks.run_end(folder, scores)
    if not missing:
        folder.remove_checkpoints()  # only the lock is left
        folder.remove_parts()  # of killed processes; before, others may still be writing
    else:
        left = ", ".join(map(str, missing))
        display.report(f"{len(finished)} folds joined; still to run: {left} (--only-fold N --into {folder.folder})")
    if failure:
        raise failure
    display.report(f"finished in {duration(time.perf_counter() - started)}: {folder.folder}")
    return folder


def _run_all(plan: Plan, fold_numbers: NDArray[np.int64], folder: Run, display: Display) -> None:
    """Train one fold after the other, each in a line; what is told while the first one is set up holds for all."""
    shown: Shown = "set-up"
    for number in range(1, plan.recipe.folds + 1):
        finished = is_finished(folder.fold(number))
        run_fold(plan, fold_numbers, number, folder, display, shown=shown)
        shown = shown if finished else "end"


def _describe_folds(plan: Plan) -> str:
    """Return the line that explains the folds' valid scores."""
    chosen = ", ".join(plan.recipe.picked(plan.stages))
    but = f"; {chosen}: these also choose the epoch, so valid scores are slightly optimistic" if chosen else ""
    return f"{plan.recipe.folds} folds: each model is validated on the images that it was not trained on{but}"


def assigned(plan: Plan) -> tuple[Plan, NDArray[np.int64]]:
    """Return the plan with all labelled images to train on, and each image's fold (see `assign_folds`)."""
    table = plan.table.assign(split=plan.table["split"].where(plan.table["split"] == "test", "train"))
    return replace(plan, table=table), assign_folds(
        table, plan.recipe.folds, plan.recipe.split_by, strata_of(table, plan.task), plan.task.columns
    )


def _folder(plan: Plan, identity: Identity, new: Run | None) -> Run:
    """Return a new folder, or the one to complete.

    Raises:
        UserError: The folds in it have another recipe or other data.
    """
    if not plan.request.into:
        label = plan.request.name or plan.recipe.arch
        return new or create_run(plan.request.out, plan.name, label, datetime.now())
    folder = find_run(plan.request.into, plan.request.out, plan.name)
    if folder.recipe() != plan.recipe:
        raise UserError(
            f"the folds in {folder.folder} have a different recipe",
            "repeat the command that began the run, with other folds",
        )
    info = folder.info()
    if info.data_key != identity.data_key:
        raise UserError(
            f"the images, labels or splits of the folds in {folder.folder} differ from those in {plan.data}",
            "restore them, pass their folder with --data DIR, or start a new run without --into",
        )
    if (info.request.drop if info.request else "") != identity.request.drop:
        raise UserError(
            f"the folds in {folder.folder} were trained with other images dropped",
            f"pass the same --drop FILE: {folder.dropped_file}" if info.dropped else "leave out --drop",
        )
    return folder


def fold_plan(plan: Plan, fold_numbers: NDArray[np.int64], number: int) -> Plan:
    """Return the plan of one fold: its images are valid, all other labelled ones train."""
    return replace(plan, table=fold_table(plan.table, fold_numbers, number))


def is_finished(fold: Run) -> bool:
    """Return whether a fold has all its predictions."""
    return fold.info().status == "finished"


def run_fold(
    plan: Plan, fold_numbers: NDArray[np.int64], number: int, folder: Run, display: Display, *, shown: Shown = "all"
) -> None:
    """Train without a fold's images, unless the fold is finished.

    Args:
        plan: The plan of all folds.
        fold_numbers: (N,) each image's fold, from `assigned`.
        number: The fold.
        folder: The folder of all folds.
        display: Shows progress.
        shown: All that a run tells; what it tells while it is set up, and a line at its end; or this line alone.
    """
    fold, ranks = folder.fold(number), plan.ranks
    if ranks.of_first(lambda: is_finished(fold)):
        fold.remove_checkpoints()  # left by a process that was killed at the very end
        if plan.threads:
            plan.threads.take_over(fold.info().last_threads)
        display.report(f"fold {number} of {plan.recipe.folds} is finished: {fold.folder}")
        return
    own = fold_plan(plan, fold_numbers, number)
    counts, began = own.table["split"].value_counts(), time.perf_counter()
    title = f"fold {number} of {plan.recipe.folds}: {counts['train']:,} train, {counts['valid']:,} valid"
    ranks.of_first(lambda: Record.of(fold.info_file).update(fold=number))
    if shown == "all":
        display.report(title)
        train(own, fold, display)
        return
    brief = Brief.of(display, f"fold {number}")
    train(own, fold, display if shown == "set-up" else brief, after=brief)
    display.report(f"{title}; {_told_score(fold)}{duration(time.perf_counter() - began)}")


def _told_score(fold: Run) -> str:
    info = fold.info()
    score = info.ensemble_scores.get(f"valid_{info.metric}")
    return f"valid {TITLES.get(info.metric, info.metric)} {score.value:.4f} ± {score.error:.4f}, " if score else ""


def join_folds(plan: Plan, folder: Run, record: Record, numbers: Sequence[int], display: Display) -> dict[str, Score]:
    """Combine the finished folds' predictions, score them out of fold, and write the submission."""
    folds = [folder.fold(number) for number in numbers]
    members = [_member(folder, folds, entry) for entry in folds[0].info().members]
    for member in members:
        plan.task.check(member.valid)
        for split, table in (("valid", member.valid), ("test", member.test)):
            save_predictions(table, folder.predictions(member.name, split))
    results = Results(plan, folder, record, display, labels_of(plan, members[0].valid))
    plain = [_plain(folds, member) for member in members] if plan.recipe.augments else []
    folder.write_valid([row for fold in folds for row in fold.valid()])
    record.update(folds=numbers)
    return finish_run(results, members, [*_lines(members, plain), *candidates(results, members)], plain)


def _member(folder: Run, folds: Sequence[Run], entry: MemberInfo) -> Member:
    """Return the member that joins a snapshot's predictions in all folds."""
    name = entry.name
    valid = pd.concat([load_predictions(fold.predictions(name, "valid")) for fold in folds])
    test = average([load_predictions(fold.predictions(name, "test")) for fold in folds])
    return Member(name, valid, test, folder.name, entry.stage, entry.cycle)


def _plain(folds: Sequence[Run], member: Member) -> Member:
    """Return a member without test-time augmentation."""
    valid, test = (
        [load_predictions(fold.plain_predictions(member.name, split)) for fold in folds] for split in ("valid", "test")
    )
    return replace(member, valid=pd.concat(valid), test=average(test))


def _lines(members: Sequence[Member], plain: Sequence[Member]) -> list[Scored]:
    """List the predictions to score: each member plain and, if there is any, with test-time augmentation."""
    if not plain:
        return [Scored(member.name, "plain", member.valid, member.test) for member in members]
    return [
        Scored(each.name, views, each.valid, each.test)
        for pair in zip(plain, members, strict=True)
        for each, views in zip(pair, ("plain", "TTA"), strict=True)
    ]
