"""A run, from the request to the checked submission."""

from __future__ import annotations

import time
from datetime import datetime

from torch import nn

from kagglekit.planning.describe import describe_plan
from kagglekit.planning.identity import check_same_data, start_facts
from kagglekit.planning.plan import Plan
from kagglekit.prediction.finalize import finish
from kagglekit.report.page import leave_report
from kagglekit.runs.checkpoint_file import Checkpoint, newest_checkpoint
from kagglekit.runs.folder import Run, run_key
from kagglekit.runs.lock import locked
from kagglekit.runs.lookup import create_run
from kagglekit.system.console import Display, duration
from kagglekit.training.checkpoint import restore, save
from kagglekit.training.context import RunContext
from kagglekit.training.trainer import run_stage
from kagglekit.workflows.facts import facts, reported_failures
from kagglekit.workflows.setup import base_stage, build_model, prepare


def run_plan(plan: Plan, model: nn.Module, display: Display) -> Run:
    """Carry out a plan in a folder of its own: train each stage, predict, combine, write and check the submission.

    Whatever was finished when something fails stays in the run's folder.

    Returns:
        The finished run.

    Raises:
        UserError: Something the user can mend.
    """
    folder = create_run(plan.request.out, plan.name, plan.request.name or plan.recipe.arch, datetime.now())
    return train(plan, folder, display, model)


def train(plan: Plan, folder: Run, display: Display, model: nn.Module | None = None) -> Run:
    """Do one training in a folder that exists, from its last checkpoint if it has one.

    Args:
        plan: What was decided.
        folder: The run's.
        display: Where it shows itself.
        model: The network with its weights, if it was built; only for a training that begins.

    Raises:
        UserError: Its data or its checkpoints do not allow it, another process works on it, or what `run_plan` raises.
    """
    started = time.perf_counter()
    with locked(folder):
        folder.remove_parts()
        begun = folder.recipe_file.exists()
        last = newest_checkpoint(folder.checkpoints, run_key(folder), display.warn) if begun else None
        if begun:
            check_same_data(folder, plan)
        built = model or build_model(plan, bare=last is not None)[0]
        _carry_out(plan, built, folder, display, started, last)
    folder.remove_checkpoints()
    return folder


def _carry_out(
    plan: Plan, model: nn.Module, folder: Run, display: Display, started: float, last: Checkpoint | None
) -> None:
    """Do all of a plan, or what is left of it after its last checkpoint."""
    with reported_failures(plan, folder, display):
        if last is None:
            folder.update_info(status="running", **facts(plan, model), **start_facts(plan))
            folder.write_recipe(plan.recipe)
            describe_plan(plan, model, folder, display)
        folder.update_info(status="running", error=None)
        plan.hooks.run_start(folder, plan.recipe)
        context = prepare(plan, model, folder, display, started, last)
        _begin(context, last)
        for number in plan.stages[context.position.done :]:
            timed_stage(context, number)
        scores = finish(context, context.position.snapshots)
        seconds = context.position.seconds + time.perf_counter() - started
        folder.update_info(status="finished", seconds=round(seconds, 1))
        leave_report(folder, display)
        plan.hooks.run_end(folder, scores)
    display.report(f"finished in {duration(seconds)}: {folder.folder}")


def _begin(context: RunContext, last: Checkpoint | None) -> None:
    """Go on from a checkpoint, or write the first one."""
    if last is None:
        if context.plan.base:
            context.position.size = base_stage(context.plan.base).size
        context.run.remove_predictions()
        save(context)
        return
    restore(context, last)
    context.estimate.seconds = context.run.info().get("estimate_s", 0.0)  # it was said, and holds no longer
    if context.position.done == len(context.plan.stages):
        where = "all training is done"
    else:
        number = context.plan.stages[context.position.done]
        stage, held = context.plan.recipe.stages[number - 1], last.facts["state"]
        where = f"stage {number} ({stage.name}), {held['step'] if held else 0:,} of its steps are done"
    context.display.report(f"from the last checkpoint: {where}")


def timed_stage(context: RunContext, number: int) -> None:
    """Run a stage, write a checkpoint at its end, and note in run.json how long it took, s."""
    started = time.perf_counter()
    stage = context.plan.recipe.stages[number - 1]
    run_stage(context, number, stage)
    timings = context.run.info().get("stage_seconds", {})
    context.run.update_info(stage_seconds={**timings, stage.name: round(time.perf_counter() - started, 2)})
    context.position.done += 1
    save(context)
