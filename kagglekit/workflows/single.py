"""One training, from its folder to its report."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime

from torch import nn

from kagglekit.planning.describe import describe_plan
from kagglekit.planning.identity import Identity, check_same_data
from kagglekit.planning.plan import Plan
from kagglekit.prediction.finalize import finalize
from kagglekit.report.page import leave_report
from kagglekit.report.pages.all_runs import refresh_history
from kagglekit.runs.checkpoint_file import Checkpoint, newest_checkpoint
from kagglekit.runs.folder import Run, run_key
from kagglekit.runs.info import Record
from kagglekit.runs.lock import locked
from kagglekit.runs.lookup import create_run
from kagglekit.system.display.console import Display, duration
from kagglekit.training.checkpoint import restore, save
from kagglekit.training.context import RunContext
from kagglekit.training.log import warn_if_worse
from kagglekit.training.trainer import run_stage
from kagglekit.types.stage import Stage
from kagglekit.workflows.facts import record_dropped, record_request, record_start, reported_failures
from kagglekit.workflows.learnt import learns_from
from kagglekit.workflows.own_folder import opened
from kagglekit.workflows.setup import build_model, prepare


def run_plan(plan: Plan, model: nn.Module, display: Display, began: float | None = None) -> Run:
    """Carry out a plan in a new folder: train each stage, predict, combine, write and check the submission.

    If something fails, the folder keeps everything finished so far.

    Returns:
        The finished run.

    Raises:
        UserError: Something the user can fix.
    """
    label, now = plan.request.name or plan.recipe.arch, datetime.now()
    run = plan.ranks.of_first(lambda: create_run(plan.request.out, plan.name, label, now))
    return train(plan, run, display, model, began)


def begin(plan: Plan) -> Run:
    """Make the folder of a run that a job is to do: see `begin_in`."""
    run = create_run(plan.request.out, plan.name, plan.request.name or plan.recipe.arch, datetime.now())
    begin_in(plan, run)
    return run


def begin_in(plan: Plan, run: Run) -> None:
    """Write what `kagglekit resume` needs to do a run that nobody has begun."""
    with locked(run) as record:
        record_request(plan, record, Identity.of(plan))
        record_dropped(plan, run, record)
        run.write_recipe(plan.recipe)


def train(
    plan: Plan,
    run: Run,
    display: Display,
    model: nn.Module | None = None,
    began: float | None = None,
    after: Display | None = None,
) -> Run:
    """Do one training in an existing folder, resuming from its last checkpoint if there is one.

    Args:
        plan: The plan.
        run: The run's folder.
        display: Shows progress.
        model: The network with its weights, if it has been built; only for a training that begins.
        began: When this process began it, by time.perf_counter, s; None for now.
        after: Shows what follows once all is set up; None for `display`.

    Raises:
        UserError: The data or the checkpoints do not allow it, another process works on the run, or see `run_plan`.
    """
    started, after = time.perf_counter() if began is None else began, after or display
    ranks = plan.ranks
    with opened(run, ranks) as (own, record):
        last = ranks.of_first(lambda: _last_checkpoint(plan, run, record, display))
        if model is None:
            with ranks.in_turn():  # weights that are downloaded are found by those that follow
                model = build_model(plan, bare=_has_all(last, plan))[0]
        with reported_failures(plan, own, record, after):
            seconds = _carry_out(plan, model, own, record, (display, after), started, last)
    ranks.wait()  # until the others have removed their folders, which are there
    if ranks.is_first:
        run.remove_checkpoints()
    after.report(f"finished in {duration(seconds)}: {run.folder}")
    return run


def _has_all(last: Checkpoint | None, plan: Plan) -> bool:
    """Return whether a checkpoint has all that the initial weights are for: a stack also reads their classifier."""
    left = plan.stages[last.facts["done"] :] if last else ()
    return last is not None and not any(plan.recipe.stages[number - 1].stacks for number in left)


def _last_checkpoint(plan: Plan, run: Run, record: Record, display: Display) -> Checkpoint | None:
    """Return the checkpoint to resume from, if there is one.

    Raises:
        UserError: The data have changed since the run began.
    """
    run.remove_parts()
    if not run.recipe_file.exists():
        return None
    last = newest_checkpoint(run.checkpoints, run_key(run, record.info), display.warn)
    check_same_data(run, record.info, plan)
    return last


def _carry_out(
    plan: Plan,
    model: nn.Module,
    run: Run,
    record: Record,
    displays: tuple[Display, Display],
    started: float,
    last: Checkpoint | None,
) -> float:
    """Do all of a plan, or what is left of it after its last checkpoint; return the run's time, s."""
    display, after = displays
    whole, plan, ranks = plan, learns_from(plan, display), plan.ranks
    if record.info.ranks != ranks.world:
        record.update(threads=None)  # each process has its share of the cores
    if last is None and ranks.is_first:
        record_start(plan, model, record, Identity.of(whole))
        record_dropped(whole, run, record)
        if plan.targets:
            record.update(targets=plan.targets.text)
        run.write_recipe(plan.recipe)
        if record.info.fold is None:  # of folds, the whole run is described once
            describe_plan(plan, model, run, display)
    record.update(status="running", error=None, ranks=ranks.world)
    if ranks.is_first:
        refresh_history(run, at_once=True)
    if ranks.several:
        display.report(f"processes: {ranks.world}, each with its share of every batch")
    plan.hooks.run_start(run, plan.recipe)
    context = prepare(plan, model, run, record, display, started, last)
    _begin(context, last, plan.base.last_stage if plan.base else None)
    context = replace(context, display=after)
    for number in plan.stages[context.position.done :]:
        timed_stage(context, number)
    warn_if_worse(context)
    scores = finalize(plan, context)
    seconds = context.position.seconds + time.perf_counter() - started
    record.update(status="finished", seconds=round(seconds, 1))
    if ranks.is_first:
        leave_report(run, after)
    plan.hooks.run_end(run, scores)
    return seconds


def _begin(context: RunContext, last: Checkpoint | None, base: Stage | None) -> None:
    """Resume from a checkpoint, or write the first one.

    Args:
        context: The run.
        last: The checkpoint to resume from, if any.
        base: The stage that the initial weights come from, if they are another run's.
    """
    if last is None:
        context.position.size = base.size if base else None
        context.run.remove_predictions()
        save(context)
        return
    restore(context, last)
    context.estimate.seconds = context.record.info.estimate_s or 0.0  # reported before, and no longer valid
    where = "all training is done"
    if context.position.done < len(context.stages):
        number, state = context.stages[context.position.done], last.facts["state"]
        step = state["step"] if state else 0
        where = f"stage {number} ({context.stage(number).name}), {step:,} of its steps are done"
    context.display.report(f"resuming from the last checkpoint: {where}")


def timed_stage(context: RunContext, number: int) -> None:
    """Run a stage, record its time in run.json, and write a checkpoint at its end."""
    started, stage = time.perf_counter(), context.stage(number)
    run_stage(context, number, stage)
    seconds = round(time.perf_counter() - started, 2)
    context.record.update(stage_seconds={**context.record.info.stage_seconds, stage.name: seconds})
    context.position.done += 1
    save(context)
