"""Set up one stage: what it trains, and on what; fit its head by regression."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from kagglekit.compute.device import Format
from kagglekit.compute.forward import Batches
from kagglekit.compute.fuse_batchnorm import folded
from kagglekit.compute.network import set_dropout, set_input_size
from kagglekit.compute.processes.shared_batch_norm import learning
from kagglekit.system.errors import UserError
from kagglekit.training.context import RunContext
from kagglekit.training.heads.stage import cached_activations
from kagglekit.training.large_networks import stage_optimizer
from kagglekit.training.soft_targets import with_targets
from kagglekit.training.state import StageFit, batch_of, steps_per_epoch
from kagglekit.training.tuning import with_found_batch
from kagglekit.types.schedule import Schedule
from kagglekit.types.stage import Stage

if TYPE_CHECKING:
    from kagglekit.images.dataset import Split
    from kagglekit.images.loader import Loader


def set_up(context: RunContext, stage: Stage) -> None:
    """Give the network the stage's image size and its dropout."""
    set_input_size(context.model, stage.size)
    context.position.size = stage.size
    set_dropout(context.head, context.recipe.drop_rate if stage.drop_rate is None else stage.drop_rate)


def fit_of(context: RunContext, number: int, stage: Stage) -> tuple[StageFit, Loader | None]:
    """Return what a stage of gradient steps trains with, modules in the right modes; and its loader, if it has one."""
    loader: Loader | None = None
    if stage.precompute:
        cached = cached_activations(context, number, stage)
        fit = _fit(context, number, stage, context.head, cached, Format("fp32", channels_last=True))
    else:
        chosen = context.compute.infer if stage.freeze_to == -1 else context.compute.train
        context.model.to(memory_format=chosen.memory_format)
        view = context.hooks.views(context.recipe, stage, "train", context.config)
        loader = context.images.loader("labelled", view, stage.size, salt=(number, "train"))
        fit = _fit(context, number, stage, context.model, loader, chosen)
        fit = replace(fit, valid=context.images.loader("labelled", context.plain_view(stage), stage.size))
    context.set_modes(stage)  # after the optimizer, which has frozen what does not train
    if stage.freeze_to == -1 and not stage.precompute and not _body_learns(context):
        fit = replace(fit, model=folded(context.model, shared=context.head))
    fit = with_found_batch(context, fit)
    _check_share(context, fit)
    return fit, loader


def _check_share(context: RunContext, fit: StageFit) -> None:
    """Refuse a batch that leaves a process without images, or BatchNorm without the two that it needs.

    Raises:
        UserError: It is too small for so many processes.
    """
    world, batch = context.ranks.world, batch_of(fit.stage, len(fit.rows))
    needed = world * (2 if learning(fit.model) else 1)
    if world > 1 and batch < needed:
        raise UserError(
            f"stage {fit.number} ({fit.stage.name}): {world} processes cannot share a batch of {batch} images",
            f"use at most --gpus {max(1, batch * world // needed)}, or a batch_size of at least {needed}",
        )


def _body_learns(context: RunContext) -> bool:
    """Return whether a parameter outside of the head needs a gradient: a plugin's optimizer may freeze less."""
    head = {id(parameter) for parameter in context.head.parameters()}
    return any(each.requires_grad for each in context.model.parameters() if id(each) not in head)


def _fit(context: RunContext, number: int, stage: Stage, model: nn.Module, inputs: Batches, chosen: Format) -> StageFit:
    recipe, images = context.recipe, context.images
    added = len(images.rows("added")) and not stage.precompute  # whose activations are not cached
    splits: tuple[Split, ...] = ("train", "added") if added else ("train",)
    rows = np.concatenate([images.rows(split) for split in splits])
    fit = StageFit(
        model=model,
        inputs=inputs,
        rows=rows,
        truth=np.concatenate([images.truth(split) for split in splits]),
        task=context.task,
        stage=stage,
        number=number,
        optimizer=stage_optimizer(context, stage),
        schedule=_schedule(context, number, stage, len(rows)),
        loss=context.hooks.loss(recipe, context.task),
        compute=context.compute,
        format=chosen,
        seed=recipe.seed,
        ranks=context.ranks,
    )
    return with_targets(fit, context.task, context.targets, [one for split in splits for one in images.ids(split)])


def _schedule(context: RunContext, number: int, stage: Stage, n: int) -> Schedule:
    """Return a stage's schedule over `n` images, its rates halved after a loss that was not finite."""
    per_epoch = steps_per_epoch(stage, n)
    schedule = context.hooks.schedule(stage, per_epoch, context.recipe)
    steps = len(schedule.lr)
    if steps % per_epoch:
        raise UserError(
            f"the schedule {stage.schedule!r} has {steps} steps for stage {stage.name!r}, which is not a whole number "
            f"of epochs of {per_epoch} steps",
            "the plugin's kagglekit_schedule must return a multiple of steps_per_epoch",
        )
    return replace(schedule, lr=schedule.lr * context.position.rates.get(number, 1.0))
