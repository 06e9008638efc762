"""The training loop of one stage, as a generator: it yields its progress, and the caller acts on it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from kagglekit.compute.device import seed_device, to_device
from kagglekit.compute.memory import give_back, is_full
from kagglekit.compute.processes.flat_sum import FlatSum
from kagglekit.compute.processes.shared_batch_norm import statistics
from kagglekit.system.signals import is_asked
from kagglekit.training.leave_step import leavable
from kagglekit.training.mixing import mix
from kagglekit.training.state import LossWatch, MovingAverage, Progress, TrainState, batch_of, steps_per_epoch
from kagglekit.types.schedule import Schedule

if TYPE_CHECKING:
    from kagglekit.training.state import StageFit

CHECK_EVERY = 50  # steps between two reads of the loss: each read waits for the device


def train_stage(fit: StageFit, state: TrainState | None = None) -> Iterator[Progress]:
    """Train; yield after every step.

    The moving average, if there is one, becomes the model's weights at the end.

    Args:
        fit: What the stage trains with.
        state: From `begin`; if it was restored from a checkpoint, the loop resumes after its step.

    Raises:
        NotFinite: The loss was not finite; the message names stage, epoch, step and learning rate.
        RuntimeError: The device's memory does not hold two images of a batch, or the optimizer's state.
        Stopped: The user interrupted a long step, and the state is that before it; see `leavable`.
    """
    state = state or begin(fit)
    if state.again:
        state.again = False
        yield _progress(fit, state)
    per_epoch, state.took = steps_per_epoch(fit.stage, len(fit.rows)), math.inf  # until one was timed
    while state.step < len(fit.schedule.lr):
        epoch, done = divmod(state.step, per_epoch)
        if not done:
            state.watch.begin_epoch()
        order = epoch_order(fit, epoch)[done:]
        own = [fit.ranks.of_batch(batch) for batch in order]
        for chosen, inputs in zip(own, fit.inputs.batches([fit.rows[p] for p in own], epoch), strict=True):
            set_rates(fit.optimizer, state.rates, fit.schedule, state.step)
            began = time.perf_counter()
            state.watch.add(take_step(fit, inputs, fit.truth[chosen], state), state.step)
            state.took = time.perf_counter() - began
            if state.ema:
                state.ema.update()
            state.step += 1
            yield _progress(fit, state)
    if state.ema:
        fit.model.load_state_dict(state.ema.weights.state_dict())


def begin(fit: StageFit) -> TrainState:
    """Return the state of a stage before its first step."""
    return TrainState(
        forward=fit.model,
        optimizer=fit.optimizer,
        scaler=torch.amp.GradScaler(fit.compute.device.type, enabled=fit.format.precision == "fp16"),
        ema=MovingAverage(fit.model, fit.stage.ema) if fit.stage.ema else None,
        watch=LossWatch(fit, steps_per_epoch(fit.stage, len(fit.rows))),
        rates=[group["lr"] / fit.stage.lr for group in fit.optimizer.param_groups],
        parts=fit.stage.grad_accum_steps,
        flat=_flat_sum(fit) if fit.ranks.several else None,
    )


def _flat_sum(fit: StageFit) -> FlatSum:
    trained = [p for group in fit.optimizer.param_groups for p in group["params"] if p.requires_grad]
    return FlatSum(trained, statistics(fit.model, fit.compute.device), fit.compute.device)


def _progress(fit: StageFit, state: TrainState) -> Progress:
    step, per_epoch = state.step, steps_per_epoch(fit.stage, len(fit.rows))
    last = step % per_epoch == 0
    due = last or step % CHECK_EVERY == 0 or fit.compute.device.type == "cpu"
    return Progress(
        step=step,
        epoch=(step - 1) // per_epoch + 1,
        loss=state.watch.read(step) if due else None,
        epoch_loss=state.watch.epoch_loss,
        epoch_ends=last,
        cycle_ends=_cycle_ended(fit.schedule, step),
        weights=state.ema.weights if state.ema else fit.model,
        losses=state.watch.losses(last),
    )


def take_step(fit: StageFit, inputs: Tensor, truth: NDArray[Any], state: TrainState) -> Tensor:
    """Take one optimizer step; return its loss, still on the device."""
    loss = None
    with leavable(fit, state):
        while loss is None:
            loss = _gradients(fit, inputs, truth, state)
    if fit.stage.clip_norm:
        state.scaler.unscale_(fit.optimizer)
        trained = [p for group in fit.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(trained, fit.stage.clip_norm)
    state.scaler.step(fit.optimizer)
    state.scaler.update()
    fit.optimizer.zero_grad(set_to_none=True)
    return loss


def _gradients(fit: StageFit, inputs: Tensor, truth: NDArray[Any], state: TrainState) -> Tensor | None:
    """Accumulate a batch's gradients part by part; return its loss, or None if the step must be retried.

    The retry is without compiled steps first, whose graphs keep memory of their own, then with twice as many parts. All
    processes retry if one must.
    """
    compiled, loss = state.forward is not fit.model, None
    try:
        loss = _add_gradients(fit, inputs, truth, state)
    except RuntimeError as error:
        if not is_full(error) or (not compiled and state.parts > len(inputs) // 4):  # BatchNorm needs two images
            raise
    if state.flat:
        share = len(inputs) / batch_of(fit.stage, len(fit.rows))
        total, full, state.asked = state.flat.sum(loss, share, is_asked())
        loss = None if full else total
    if loss is not None:
        return loss
    fit.optimizer.zero_grad(set_to_none=True)
    if compiled:
        state.forward = fit.model
        torch.compiler.reset()
    else:
        state.parts *= 2
    give_back()
    return None


def _add_gradients(fit: StageFit, inputs: Tensor, truth: NDArray[Any], state: TrainState) -> Tensor:
    seed_device(fit.compute.device, _step_seed(fit, state.step))  # dropout depends on the step, not on what ran before
    if inputs.ndim == 4:
        inputs = inputs.contiguous(memory_format=fit.format.memory_format)
    targets = fit.task.train_targets(to_device(truth, inputs.device), fit.stage.label_smoothing)
    draw = np.random.default_rng((fit.seed, fit.number, state.step))
    total, n = torch.zeros((), device=inputs.device), batch_of(fit.stage, len(fit.rows)) if state.flat else len(inputs)
    mixed, targets = mix(inputs, targets, fit.stage, draw)
    parts = min(state.parts, len(inputs))
    for some, wanted in zip(mixed.tensor_split(parts), targets.tensor_split(parts), strict=True):
        with fit.format.autocast(fit.compute.device):
            logits = state.forward(some)
        loss = fit.loss(logits.float(), wanted) * (len(some) / n)
        state.scaler.scale(loss).backward()
        total += loss.detach()
    return total


def epoch_order(fit: StageFit, epoch: int) -> list[NDArray[np.int64]]:
    """Draw the epoch's full batches: positions in `fit.rows`, shuffled, rare classes more often if requested."""
    n = len(fit.rows)
    draw = np.random.default_rng((fit.seed, fit.number, epoch, n))
    order = draw.permutation(n) if not fit.stage.oversample else _oversampled(fit, draw)
    size = batch_of(fit.stage, n)
    return [order[i : i + size] for i in range(0, n - size + 1, size)]


def _oversampled(fit: StageFit, draw: np.random.Generator) -> NDArray[np.int64]:
    chances = fit.task.rarity(fit.truth) ** -fit.stage.oversample
    return draw.choice(len(fit.rows), size=len(fit.rows), p=chances / chances.sum())


def set_rates(optimizer: Optimizer, ratios: Sequence[float], schedule: Schedule, step: int) -> None:
    """Set each group's learning rate and momentum for a step."""
    momentum = float(schedule.momentum[step])
    for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
        group["lr"] = float(schedule.lr[step]) * ratio
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif "momentum" in group:
            group["momentum"] = momentum


def _cycle_ended(schedule: Schedule, step: int) -> int:
    return schedule.cycle_ends.index(step) + 1 if step in schedule.cycle_ends else 0


def _step_seed(fit: StageFit, step: int) -> int:
    own = (fit.ranks.rank,) if fit.ranks.rank else ()  # or dropout would be the same in all processes
    return int(np.random.SeedSequence((fit.seed, fit.number, step, *own)).generate_state(1)[0])
