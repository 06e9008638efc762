"""Save a run in progress as a checkpoint, and resume from it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import torch

from kagglekit.compute.device import BATCH, Compute, Format
from kagglekit.compute.finite import all_finite
from kagglekit.compute.network import frozen_names, set_input_size
from kagglekit.runs.checkpoint_file import Checkpoint, newest_checkpoint
from kagglekit.runs.info import RunInfo
from kagglekit.system.errors import NotFinite
from kagglekit.training.context import Position, RunContext, Snapshot
from kagglekit.training.large_networks import adapt
from kagglekit.training.state import TrainState
from kagglekit.training.thread_watch import threads_after


def save(context: RunContext, state: TrainState | None = None, wait: bool = True) -> None:
    """Write a checkpoint between two stages, or in the middle of one with the state of its loop.

    Weights that are not finite are not saved: the next loss will not be finite either. Of several processes, the first
    writes it; that a loss was not finite, all of them find out at the same step, and not here.

    Args:
        context: The run.
        state: Of the loop, in the middle of a stage.
        wait: Return when it is written; else a GPU trains on meanwhile, see `kagglekit.runs.checkpoint_file.Saver`.

    Raises:
        UserError: It cannot be written.
        NotFinite: The loss of a step was not finite.
    """
    if not context.ranks.is_first:
        return
    try:
        facts, tensors = state.to_checkpoint() if state else ({}, {})
    except NotFinite:
        if context.ranks.several:
            return
        raise
    model = context.model.state_dict()
    if all_finite(model.values()):
        checkpoint = Checkpoint({**_facts(context), "state": facts}, {"model": model, "state": tensors})
        context.saver.save(checkpoint, wait)


def _facts(context: RunContext) -> dict[str, Any]:
    position = context.position
    names = [stage.name for stage in context.recipe.stages]  # a stage whose rate was searched differs from the recipe's
    return {
        "run": context.key,
        "done": position.done,
        "snapshots": [[each.name, names.index(each.stage.name), each.cycle] for each in position.snapshots],
        "size": position.size,
        "rates": list(position.rates.items()),
        "seconds": position.seconds + time.perf_counter() - context.estimate.started,
        "frozen": sorted(frozen_names(context.model)),
        "log": context.log,
        "threads": context.record.info.thread_changes,
        "compute": [astuple(context.compute.train), astuple(context.compute.infer), context.compute.train_cost],
    }


def restore(context: RunContext, checkpoint: Checkpoint) -> None:
    """Restore a run from a checkpoint: weights, log and snapshots; `take_state` restores the loop of its stage.

    Existing predictions are removed, unless all training was done. Where run.json has lost changes of the number of
    threads that the checkpoint has, they are put back.
    """
    facts, stages = checkpoint.facts, context.recipe.stages
    if facts["size"] is not None:
        set_input_size(context.model, facts["size"])
    if facts["state"]:  # in the middle of a stage, whose adapters it contains
        number = context.stages[facts["done"]]
        adapt(context, number, context.stage(number))
    context.model.load_state_dict(checkpoint.tensors["model"])
    for name, parameter in context.model.named_parameters():
        parameter.requires_grad_(name not in facts["frozen"])
    vars(context.position).update(
        vars(
            Position(
                done=facts["done"],
                snapshots=[Snapshot(name, stages[number], cycle) for name, number, cycle in facts["snapshots"]],
                size=facts["size"],
                rates={int(number): rate for number, rate in facts["rates"]} | context.position.rates,
                seconds=facts["seconds"],
                resume_from=checkpoint if facts["state"] else None,
            )
        )
    )
    _restore_threads(context, facts.get("threads", ()))
    context.log[:] = facts["log"]
    context.run.write_log(context.log)
    if context.position.done < len(context.stages):
        context.run.remove_predictions()


def _restore_threads(context: RunContext, saved: Sequence[Sequence[Any]]) -> None:
    """Compute with as many threads as after the last finished stage; the watch of the next one does the rest."""
    record = context.record
    if len(saved) > len(record.info.thread_changes):
        record.update(thread_changes=saved)
    done = [context.stage(number).name for number in context.stages[: context.position.done]]
    if context.threads and not context.ranks.several and (number := threads_after(record.info, done)):
        context.threads.use(number)


def take_state(context: RunContext, state: TrainState) -> None:
    """Resume in the middle of a stage, if the checkpoint was written there."""
    if context.position.resume_from:
        checkpoint, context.position.resume_from = context.position.resume_from, None
        state.restore(checkpoint.facts["state"], checkpoint.tensors["state"])


def step_back(context: RunContext, number: int) -> bool:
    """Return to the stage's last checkpoint, with half the learning rate.

    Returns:
        False if that was done before, or there is no such checkpoint.
    """
    checkpoint = context.ranks.of_first(
        lambda: newest_checkpoint(context.run.checkpoints, context.key, context.display.warn)
    )
    if number in context.position.rates or not checkpoint or checkpoint.facts["done"] != context.position.done:
        return False
    context.position.rates[number] = 0.5
    seconds = context.position.seconds
    restore(context, checkpoint)
    context.position.seconds = seconds  # the time since the checkpoint counts, too
    return True


def saved_compute(checkpoint: Checkpoint, device: torch.device, info: RunInfo) -> Compute:
    """Return the formats that a run used, and its batch size of predictions, which is in run.json."""
    train, infer, cost = checkpoint.facts["compute"]
    return Compute(device, Format(*train), Format(*infer), "as before", cost, info.predict_batch or BATCH)
