"""One stage: what trains, on what, and its head."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from kagglekit.compute.device import Format
from kagglekit.compute.forward import Batches
from kagglekit.compute.fuse_batchnorm import folded
from kagglekit.compute.network import set_dropout, set_input_size
from kagglekit.system.errors import UserError
from kagglekit.training.context import Work
from kagglekit.training.head_cache import CachedActivations, head_inputs, head_outputs
from kagglekit.training.head_regression import fit_linear_head, linear_layer
from kagglekit.training.log import log_epoch, valid_scores
from kagglekit.training.state import Fit, steps_per_epoch
from kagglekit.training.tuning import with_found_batch
from kagglekit.types.recipe import Stage
from kagglekit.types.schedule import Schedule

if TYPE_CHECKING:
    from kagglekit.images.loader import Loader


def set_up(work: Work, stage: Stage) -> None:
    """Give the network the stage's image size and its dropout."""
    set_input_size(work.model, stage.size)
    work.position.size = stage.size
    set_dropout(work.head, work.plan.recipe.drop_rate if stage.drop_rate is None else stage.drop_rate)


def fit_of(work: Work, number: int, stage: Stage) -> tuple[Fit, Loader | None]:
    """Return what a stage of gradient steps trains with, its modules in the right modes; and its loader, if any."""
    loader: Loader | None = None
    if stage.precompute:
        cached = cached_activations(work, number, stage)
        fit = _fit(work, number, stage, work.head, cached, Format("fp32", channels_last=True))
    else:
        chosen = work.compute.infer if stage.freeze_to == -1 else work.compute.train
        work.model.to(memory_format=chosen.memory_format)
        view = work.plan.hooks.views(work.plan.recipe, stage, "train", work.config)
        loader = work.pictures.loader("labelled", view, stage.size, salt=(number, "train"))
        fit = _fit(work, number, stage, work.model, loader, chosen)
    work.set_modes(stage)  # behind the optimizer, which has frozen what does not train
    if stage.freeze_to == -1 and not stage.precompute and not _body_learns(work):
        fit = replace(fit, model=folded(work.model, shared=work.head))
    return with_found_batch(work, fit), loader


def _body_learns(work: Work) -> bool:
    """Return whether a parameter outside of the head needs a gradient: a plugin's optimizer may freeze less."""
    head = {id(parameter) for parameter in work.head.parameters()}
    return any(each.requires_grad for each in work.model.parameters() if id(each) not in head)


def _fit(work: Work, number: int, stage: Stage, model: nn.Module, inputs: Batches, chosen: Format) -> Fit:
    plan, rows = work.plan, work.pictures.rows("train")
    optimizer = plan.hooks.optimizer(work.model, work.groups, stage, plan.recipe)
    return Fit(
        model=model,
        inputs=inputs,
        rows=rows,
        labels=work.pictures.labels("train"),
        n_classes=len(plan.classes),
        stage=stage,
        number=number,
        optimizer=optimizer,
        schedule=_schedule(work, number, stage, len(rows)),
        loss=plan.hooks.loss(plan.recipe),
        compute=work.compute,
        format=chosen,
        seed=plan.recipe.seed,
    )


def _schedule(work: Work, number: int, stage: Stage, n: int) -> Schedule:
    """Return a stage's schedule over `n` images, its rates halved where a loss was not finite."""
    per_epoch = steps_per_epoch(stage, n)
    schedule = work.plan.hooks.schedule(stage, per_epoch, work.plan.recipe)
    steps = len(schedule.lr)
    if steps % per_epoch:
        raise UserError(
            f"the schedule {stage.schedule!r} has {steps} steps for stage {stage.name!r}, which is no whole number of "
            f"epochs of {per_epoch} steps",
            "the plugin that answers kagglekit_schedule must return a multiple of steps_per_epoch",
        )
    return replace(schedule, lr=schedule.lr * work.position.rates.get(number, 1.0))


def cached_activations(work: Work, number: int, stage: Stage) -> CachedActivations:
    """Compute the activations at the head's input of all train and valid images, in the plain view."""
    started = time.perf_counter()
    rows = np.concatenate([work.pictures.rows("train"), work.pictures.rows("valid")])
    loader = work.pictures.loader("labelled", work.plain_view(stage), stage.size)
    work.model.to(memory_format=work.compute.infer.memory_format)
    body = folded(work.model.eval(), shared=work.head)
    parts, began = [], time.perf_counter()
    with work.display.bar(f"{stage.name}: activations", len(rows)) as bar, work.noted_batch():
        for part in head_inputs(body, work.head, loader, rows, work.compute):
            work.count_step(len(part) * stage.size**2, began)
            parts.append(part)
            bar.advance(len(part))
            began = time.perf_counter()
    work.display.say(
        f"{number} {stage.name}: cached the activations of {len(rows):,} images at {stage.size} px in "
        f"{time.perf_counter() - started:.1f} s; augmentation is off in this stage"
    )
    where = np.full(int(rows.max()) + 1, -1)
    where[rows] = np.arange(len(rows))
    return CachedActivations(torch.cat(parts), where)


def regress_head(work: Work, number: int, stage: Stage, cached: CachedActivations, started: float) -> None:
    """Put the regression's solution into the head, and log it as an epoch."""
    layer, rows, labels = linear_layer(work.head), work.pictures.rows("train"), work.pictures.labels("train")
    features = next(iter(cached.batches([rows], 0))).cpu().numpy().reshape(len(rows), -1)
    groups = work.pictures.groups("train")
    found = fit_linear_head(features, labels, len(work.plan.classes), work.plan.recipe.seed, groups)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(found.weight))
        layer.bias.copy_(torch.from_numpy(found.bias))
    work.display.say(
        f"{number} {stage.name}: logistic regression, C {found.strength:.2g}, log loss {found.log_loss:.4f} in "
        "cross-validation on the training images"
    )
    train_loss = work.log_loss.score(labels, head_outputs(work.head, cached, rows)).value
    scores = valid_scores(work, head_outputs(work.head, cached, work.pictures.rows("valid")))
    seconds = time.perf_counter() - started
    log_epoch(work, stage, (1, 1, 0), lr=0.0, train_loss=train_loss, scores=scores, seconds=seconds)
