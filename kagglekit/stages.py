"""One stage of a run, step by step: what is frozen, what it trains on, what it keeps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kagglekit.activations import CachedActivations, head_inputs, head_outputs
from kagglekit.device import Format
from kagglekit.device_memory import memory_told
from kagglekit.errors import NotFinite, UserError
from kagglekit.estimate import step_cost
from kagglekit.folding import folded
from kagglekit.held import Held
from kagglekit.journal import last_score, log_epoch, log_steps, valid_scores
from kagglekit.model import kept_modes, save_weights, set_dropout, set_input_size
from kagglekit.passes import Batches, predict_pass
from kagglekit.recipe import Stage
from kagglekit.resume import save, step_back, take_held
from kagglekit.schedule import Schedule
from kagglekit.solver import fit_linear_head, linear_layer
from kagglekit.stop import Stopped, impatient, patient, stop_if_asked
from kagglekit.train import Fit, Progress, batch_of, begin, steps_per_epoch, train_stage
from kagglekit.tuning import compiler, with_found_batch, with_found_rate
from kagglekit.work import Snapshot, Work

if TYPE_CHECKING:
    from kagglekit.loader import Loader


def run_stage(work: Work, number: int, stage: Stage) -> None:
    """Train one stage, or the rest of it; its snapshots are in the run's position.

    A loss that is not finite sends the stage back to its last checkpoint with half the learning rate, once.

    Raises:
        UserError: The loss is no longer finite again, or the device's memory does not hold two images.
        Stopped: The user asked to stop; a checkpoint was written.
    """
    work.plan.hooks.stage_start(work.run, stage)
    try:
        _train(work, number, stage)
    except NotFinite as error:
        if not step_back(work, number):
            raise
        work.display.warn(f"{error.what}; back to the last checkpoint, with half the learning rate from there on")
        _train(work, number, stage)
    work.plan.hooks.stage_end(work.run, stage)


def set_up(work: Work, stage: Stage) -> None:
    """Give the network the stage's image size and its dropout."""
    set_input_size(work.model, stage.size)
    work.position.size = stage.size
    set_dropout(work.head, work.plan.recipe.drop_rate if stage.drop_rate is None else stage.drop_rate)


def _train(work: Work, number: int, stage: Stage) -> None:
    set_up(work, stage)
    with memory_told(
        work.compute.device,
        f"a batch of {stage.batch_size} at {stage.size} px, nor a small part of it (stage {number}, {stage.name})",
        f"try --set stage.{number}.batch_size={max(1, stage.batch_size // 2)}, or a smaller --size or --arch",
    ):
        (_train_on_activations if stage.precompute else _train_on_images)(work, number, stage)


def _train_on_images(work: Work, number: int, stage: Stage) -> None:
    _follow(work, *fit_of(work, number, stage))


def _train_on_activations(work: Work, number: int, stage: Stage) -> None:
    """Find the head on cached activations, by regression or by gradient steps."""
    if stage.by_gradient:
        _follow(work, *fit_of(work, number, stage))
        return
    started = time.perf_counter()
    _solve(work, number, stage, _cache(work, number, stage), started)
    if stage.snapshots:
        _keep(work, stage, 1)


def fit_of(work: Work, number: int, stage: Stage) -> tuple[Fit, Loader | None]:
    """Return what a stage of gradient steps trains with, its modules in the right modes; and its loader, if any."""
    loader: Loader | None = None
    if stage.precompute:
        cached = _cache(work, number, stage)
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


def _follow(work: Work, fit: Fit, loader: Loader | None) -> None:
    """Drive the training loop: show it, deal with the ends of epochs and cycles, write checkpoints."""
    fit = with_found_rate(work, fit)
    stage, held = fit.stage, begin(fit)
    take_held(work, held)
    held.parts = max(held.parts, work.run.info().get("parts", {}).get(stage.name, 1))
    batch, steps = batch_of(stage, len(fit.rows)), len(fit.schedule.lr)
    cost, compiling = batch * step_cost(stage, work.compute.train_cost), compiler(work, stage)
    with work.display.bar(f"{fit.number} {stage.name}", steps * batch) as bar, patient():
        bar.advance(held.step * batch)
        compiling.begin(fit, held)
        began, parts = time.perf_counter(), held.parts
        for at in train_stage(fit, held):
            if loader:
                work.count_step(cost, began)
            bar.advance(batch, f"loss {at.loss:.3f}  {last_score(work)}" if at.loss is not None else "")
            if held.parts != parts:
                parts = _note_parts(work, fit, held.parts)
            took = time.perf_counter() - began
            held.seconds += took
            compiling.after_step(fit, held, took)
            with _saved_if_stopped(work, held):
                _after_step(work, fit, held, at, loader)
            began = time.perf_counter()
    if held.best:
        fit.model.load_state_dict(held.best[1])


def _after_step(work: Work, fit: Fit, held: Held, at: Progress, loader: Loader | None) -> None:
    """Do what is due after a step; stopped before the end of an epoch is logged, it is done again after resuming."""
    held.again = at.epoch_ends
    if at.epoch_ends:
        with kept_modes(fit.model):
            scores = _end_epoch(work, fit, at, loader, held.seconds)
        held.seconds = 0.0
        if fit.stage.keep == "best" and (held.best is None or scores["valid_loss"] < held.best[0]):
            held.best = scores["valid_loss"], {k: v.clone() for k, v in at.weights.state_dict().items()}
    if at.cycle_ends and fit.stage.snapshots:
        _keep(work, fit.stage, at.cycle_ends, fit.model, at.weights)
    held.again = False
    if at.step < len(fit.schedule.lr) and work.saver.due(at.epoch_ends):
        save(work, held)
    stop_if_asked()


@contextmanager
def _saved_if_stopped(work: Work, held: Held) -> Iterator[None]:
    try:
        yield
    except Stopped:
        save(work, held)
        raise


def _note_parts(work: Work, fit: Fit, parts: int) -> int:
    """Say that the device ran out of memory, and remember what it holds."""
    stage, batch = fit.stage, batch_of(fit.stage, len(fit.rows))
    work.display.warn(
        f"{work.compute.device} ran out of memory with {batch} images at {stage.size} px: from now on their gradients "
        f"are added up from {parts} parts of {batch // parts}; this is the same but for BatchNorm statistics and "
        f"mixup pairs, which are those of a part"
    )
    work.run.update_info(parts={**work.run.info().get("parts", {}), stage.name: parts})
    return parts


def _end_epoch(work: Work, fit: Fit, at: Progress, loader: Loader | None, seconds: float) -> dict[str, float]:
    """Validate after an epoch and log it; return the scores."""
    per_epoch = steps_per_epoch(fit.stage, len(fit.rows))
    with impatient():
        probabilities = _valid_probabilities(work, fit, at.weights)
    scores = valid_scores(work, probabilities)
    log_steps(work, fit.stage, fit.schedule, at.step, at.losses)  # first: watchers of the epoch may read them
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
    with work.noted_batch():
        passed = predict_pass(folded(weights.eval()), loader, rows, 0, work.compute)
        return np.concatenate([part.numpy() for part in passed])


def _cache(work: Work, number: int, stage: Stage) -> CachedActivations:
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


def _solve(work: Work, number: int, stage: Stage, cached: CachedActivations, started: float) -> None:
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


def _keep(
    work: Work, stage: Stage, cycle: int, trained: nn.Module | None = None, weights: nn.Module | None = None
) -> None:
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
    work.position.snapshots.append(Snapshot(name, stage, cycle))
