"""What a checkpoint of a run under way holds, and how the run goes on from it."""

from __future__ import annotations

import time
from dataclasses import astuple
from typing import Any

import torch

from kagglekit.compute.device import BATCH, Compute, Format
from kagglekit.compute.network import frozen_names, set_input_size
from kagglekit.runs.checkpoint_file import Checkpoint, newest_checkpoint
from kagglekit.runs.folder import run_key
from kagglekit.training.context import Position, Snapshot, Work
from kagglekit.training.state import Held


def save(work: Work, held: Held | None = None) -> None:
    """Write a checkpoint: between two stages, or in the middle of one with what its loop holds.

    Weights that are not finite are not worth keeping: the next loss will tell.

    Raises:
        UserError: It can't be written.
        NotFinite: The loss of a step was not finite.
    """
    facts, tensors = held.state() if held else ({}, {})
    model = work.model.state_dict()
    if all(bool(torch.isfinite(value).all()) for value in model.values() if value.is_floating_point()):
        work.saver.save(Checkpoint({**_facts(work), "held": facts}, {"model": model, "held": tensors}))


def _facts(work: Work) -> dict[str, Any]:
    position = work.position
    names = [stage.name for stage in work.plan.recipe.stages]  # a stage whose rate was found is not the recipe's own
    return {
        "run": run_key(work.run),
        "done": position.done,
        "snapshots": [[each.name, names.index(each.stage.name), each.cycle] for each in position.snapshots],
        "size": position.size,
        "rates": list(position.rates.items()),
        "seconds": position.seconds + time.perf_counter() - work.estimate.started,
        "frozen": sorted(frozen_names(work.model)),
        "log": work.log,
        "compute": [astuple(work.compute.train), astuple(work.compute.infer), work.compute.train_cost],
    }


def restore(work: Work, checkpoint: Checkpoint) -> None:
    """Put a run where a checkpoint was written: weights, log, snapshots; its stage's loop takes the rest.

    Predictions that were made before it are forgotten, unless all training was over by then.
    """
    facts, stages = checkpoint.facts, work.plan.recipe.stages
    if facts["size"] is not None:
        set_input_size(work.model, facts["size"])
    work.model.load_state_dict(checkpoint.tensors["model"])
    for name, parameter in work.model.named_parameters():
        parameter.requires_grad_(name not in facts["frozen"])
    vars(work.position).update(
        vars(
            Position(
                done=facts["done"],
                snapshots=[Snapshot(name, stages[number], cycle) for name, number, cycle in facts["snapshots"]],
                size=facts["size"],
                rates={int(number): rate for number, rate in facts["rates"]} | work.position.rates,
                seconds=facts["seconds"],
                going_on=checkpoint if facts["held"] else None,
            )
        )
    )
    work.log[:] = facts["log"]
    work.run.write_log(work.log)
    if work.position.done < len(work.plan.stages):
        work.run.remove_predictions()


def take_held(work: Work, held: Held) -> None:
    """Go on in the middle of a stage, if the run was restored there."""
    if work.position.going_on:
        checkpoint, work.position.going_on = work.position.going_on, None
        held.restore(checkpoint.facts["held"], checkpoint.tensors["held"])


def step_back(work: Work, number: int) -> bool:
    """Go back to the stage's last checkpoint, with half the learning rate; False if that was done, or there is none."""
    checkpoint = newest_checkpoint(work.run.checkpoints, run_key(work.run), work.display.warn)
    if number in work.position.rates or not checkpoint or checkpoint.facts["done"] != work.position.done:
        return False
    work.position.rates[number] = 0.5
    seconds = work.position.seconds
    restore(work, checkpoint)
    work.position.seconds = seconds  # this process has been counting on
    return True


def saved_compute(checkpoint: Checkpoint, device: torch.device, info: dict[str, Any]) -> Compute:
    """Return the formats that a run was using, and its batch of predictions, which run.json knows."""
    train, infer, cost = checkpoint.facts["compute"]
    return Compute(device, Format(*train), Format(*infer), "as before", cost, info.get("predict_batch", BATCH))
