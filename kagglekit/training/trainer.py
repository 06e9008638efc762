"""One stage of a run, step by step: what is frozen, what it trains on, what it keeps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import nn

from kagglekit.compute.forward import predict_pass
from kagglekit.compute.fuse_batchnorm import folded
from kagglekit.compute.memory import memory_told
from kagglekit.compute.network import kept_modes, save_weights
from kagglekit.system.errors import NotFinite
from kagglekit.system.signals import Stopped, impatient, patient, stop_if_asked
from kagglekit.training.checkpoint import save, step_back, take_held
from kagglekit.training.context import Snapshot, Work
from kagglekit.training.eta import step_cost
from kagglekit.training.head_cache import CachedActivations, head_outputs
from kagglekit.training.log import last_score, log_epoch, log_steps, valid_scores
from kagglekit.training.loop import begin, train_stage
from kagglekit.training.stage import cached_activations, fit_of, regress_head, set_up
from kagglekit.training.state import Fit, Held, Progress, batch_of, steps_per_epoch
from kagglekit.training.tuning import compiler, with_found_rate
from kagglekit.types.recipe import Stage

if TYPE_CHECKING:
    from kagglekit.images.loader import Loader


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
    regress_head(work, number, stage, cached_activations(work, number, stage), started)
    if stage.snapshots:
        _keep(work, stage, 1)


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
