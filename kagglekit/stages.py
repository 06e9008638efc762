"""One stage of a run, step by step: what is frozen, what it trains on, what it keeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kagglekit.activations import CachedActivations, head_inputs, head_outputs
from kagglekit.device import Format
from kagglekit.errors import UserError
from kagglekit.estimate import step_cost
from kagglekit.journal import last_score, log_epoch, valid_scores
from kagglekit.model import save_weights, set_dropout, set_input_size
from kagglekit.passes import Batches, predict_pass
from kagglekit.recipe import Stage
from kagglekit.schedule import Schedule
from kagglekit.solver import fit_linear_head, linear_layer
from kagglekit.train import Fit, Progress, batch_of, steps_per_epoch, train_stage
from kagglekit.work import Snapshot, Work

if TYPE_CHECKING:
    from kagglekit.loader import Loader


def run_stage(work: Work, number: int, stage: Stage) -> list[Snapshot]:
    """Train one stage; return the snapshots that it wrote.

    Raises:
        UserError: The loss is no longer finite, or the device's memory does not hold a batch.
    """
    set_input_size(work.model, stage.size)
    set_dropout(work.head, work.plan.recipe.drop_rate if stage.drop_rate is None else stage.drop_rate)
    work.plan.hooks.stage_start(work.run, stage)
    try:
        snapshots = (_train_on_activations if stage.precompute else _train_on_images)(work, number, stage)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"the memory of {work.compute.device} does not hold a batch of {stage.batch_size} at {stage.size} px "
            f"(stage {number}, {stage.name})",
            f"try --set stage.{number}.batch_size={max(1, stage.batch_size // 2)}, or a smaller --size or --arch",
        ) from error
    work.plan.hooks.stage_end(work.run, stage)
    return snapshots


def _train_on_images(work: Work, number: int, stage: Stage) -> list[Snapshot]:
    chosen = work.compute.infer if stage.freeze_to == -1 else work.compute.train
    work.model.to(memory_format=chosen.memory_format)
    view = work.plan.hooks.views(work.plan.recipe, stage, "train", work.config)
    loader = work.pictures.loader("labelled", view, stage.size, salt=(number, "train"))
    fit = _fit(work, number, stage, work.model, loader, chosen)
    work.set_modes(stage)
    return _follow(work, fit, loader)


def _train_on_activations(work: Work, number: int, stage: Stage) -> list[Snapshot]:
    """Find the head on cached activations, by regression or by gradient steps."""
    started = time.perf_counter()
    cached = _cache(work, stage)
    work.display.say(
        f"{number} {stage.name}: cached the activations of {len(cached.features):,} images at {stage.size} px in "
        f"{time.perf_counter() - started:.1f} s; augmentation is off in this stage"
    )
    if stage.solver == "regression":
        _solve(work, number, stage, cached, started)
        return [_keep(work, stage, 1)] if stage.snapshots else []
    fit = _fit(work, number, stage, work.head, cached, Format("fp32", channels_last=True))
    work.set_modes(stage)
    return _follow(work, fit, None)


def _fit(work: Work, number: int, stage: Stage, model: nn.Module, inputs: Batches, chosen: Format) -> Fit:
    plan, rows = work.plan, work.pictures.rows("train")
    optimizer = plan.hooks.optimizer(work.model, work.groups, stage)
    schedule = plan.hooks.schedule(stage, steps_per_epoch(stage, len(rows)))
    _check_length(schedule, stage, len(rows))
    return Fit(
        model=model,
        inputs=inputs,
        rows=rows,
        labels=work.pictures.labels("train"),
        n_classes=len(plan.classes),
        stage=stage,
        number=number,
        optimizer=optimizer,
        schedule=schedule,
        loss=plan.hooks.loss(plan.recipe),
        compute=work.compute,
        format=chosen,
        seed=plan.recipe.seed,
    )


def _check_length(schedule: Schedule, stage: Stage, n: int) -> None:
    steps, per_epoch = len(schedule.lr), steps_per_epoch(stage, n)
    if steps % per_epoch:
        raise UserError(
            f"the schedule {stage.schedule!r} has {steps} steps for stage {stage.name!r}, which is no whole number of "
            f"epochs of {per_epoch} steps",
            "the plugin that answers kagglekit_schedule must return a multiple of steps_per_epoch",
        )


def _follow(work: Work, fit: Fit, loader: Loader | None) -> list[Snapshot]:
    """Drive the training loop: show it, validate each epoch, log, keep snapshots and the best epoch."""
    stage, snapshots = fit.stage, []
    best: tuple[float, dict[str, Tensor]] | None = None
    batch, steps = batch_of(stage, len(fit.rows)), len(fit.schedule.lr)
    cost = batch * step_cost(stage, work.compute.train_cost)
    with work.display.bar(f"{fit.number} {stage.name}", steps * batch) as bar:
        epoch_began = began = time.perf_counter()
        for at in train_stage(fit):
            if loader:
                work.count_step(cost, began)
            bar.advance(batch, f"loss {at.loss:.3f}  {last_score(work)}" if at.loss is not None else "")
            if at.epoch_ends:
                scores = _end_epoch(work, fit, at, loader, time.perf_counter() - epoch_began)
                if stage.keep == "best" and (best is None or scores["valid_loss"] < best[0]):
                    best = scores["valid_loss"], {k: v.clone() for k, v in at.weights.state_dict().items()}
                epoch_began = time.perf_counter()
                work.set_modes(stage)  # validation put everything into eval mode
            if at.cycle_ends and stage.snapshots:
                snapshots.append(_keep(work, stage, at.cycle_ends, fit.model, at.weights))
            began = time.perf_counter()
    if best:
        fit.model.load_state_dict(best[1])
    return snapshots


def _end_epoch(work: Work, fit: Fit, at: Progress, loader: Loader | None, seconds: float) -> dict[str, float]:
    """Validate after an epoch and log it; return the scores."""
    per_epoch = steps_per_epoch(fit.stage, len(fit.rows))
    scores = valid_scores(work, _valid_probabilities(work, fit, at.weights))
    log_epoch(
        work,
        fit.stage,
        (next(i for i, end in enumerate(fit.schedule.cycle_ends, 1) if at.step <= end), at.epoch, at.step),
        lr=float(fit.schedule.lr[at.step - 1]),
        train_loss=at.epoch_loss,
        scores=scores,
        seconds=seconds,
        images=per_epoch * batch_of(fit.stage, len(fit.rows)),
        waited=sum(loader.waits[-per_epoch:]) if loader else 0.0,
    )
    return scores


def _valid_probabilities(work: Work, fit: Fit, weights: nn.Module) -> NDArray[np.float32]:
    rows = work.pictures.rows("valid")
    if not len(rows):
        return np.zeros((0, len(work.plan.classes)), np.float32)
    if isinstance(fit.inputs, CachedActivations):
        return head_outputs(weights, fit.inputs, rows)
    loader = work.pictures.loader("labelled", work.plain_view(fit.stage), fit.stage.size)
    return np.concatenate([part.numpy() for part in predict_pass(weights, loader, rows, 0, work.compute)])


def _cache(work: Work, stage: Stage) -> CachedActivations:
    rows = np.concatenate([work.pictures.rows("train"), work.pictures.rows("valid")])
    loader = work.pictures.loader("labelled", work.plain_view(stage), stage.size)
    work.model.to(memory_format=work.compute.infer.memory_format)
    parts, began = [], time.perf_counter()
    with work.display.bar(f"{stage.name}: activations", len(rows)) as bar:
        for part in head_inputs(work.model, work.head, loader, rows, work.compute):
            work.count_step(len(part) * stage.size**2, began)
            parts.append(part)
            bar.advance(len(part))
            began = time.perf_counter()
    where = np.full(int(rows.max()) + 1, -1)
    where[rows] = np.arange(len(rows))
    return CachedActivations(torch.cat(parts), where)


def _solve(work: Work, number: int, stage: Stage, cached: CachedActivations, started: float) -> None:
    """Put the regression's solution into the head, and log it as an epoch."""
    layer, rows, labels = linear_layer(work.head), work.pictures.rows("train"), work.pictures.labels("train")
    features = next(iter(cached.batches([rows], 0))).cpu().numpy().reshape(len(rows), -1)
    found = fit_linear_head(features, labels, len(work.plan.classes), work.plan.recipe.seed)
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


def _keep(
    work: Work, stage: Stage, cycle: int, trained: nn.Module | None = None, weights: nn.Module | None = None
) -> Snapshot:
    """Write the whole network's weights, with `weights` (a moving average) in the place of `trained`."""
    name = f"{stage.name}-cycle{cycle}"
    if trained is None or weights is None or weights is trained:
        save_weights(work.model, work.run.snapshot(name))
    elif trained is work.model:
        save_weights(weights, work.run.snapshot(name))
    else:  # the head's average in the network around it
        raw = {key: value.clone() for key, value in trained.state_dict().items()}
        trained.load_state_dict(weights.state_dict())
        save_weights(work.model, work.run.snapshot(name))
        trained.load_state_dict(raw)
    return Snapshot(name, stage, cycle)
