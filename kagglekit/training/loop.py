"""The training loop of one stage, as a generator: it yields where it is, the caller decides what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.training.state import Progress, batch_of, steps_per_epoch

if TYPE_CHECKING:
    from kagglekit.training.state import Fit


from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from kagglekit.compute.device import seed_device, to_device
from kagglekit.compute.memory import give_back, is_full
from kagglekit.training.mixing import mix, smooth_targets
from kagglekit.training.state import Held, LossWatch, MovingAverage
from kagglekit.types.schedule import Schedule

CHECK_EVERY = 50  # steps between two looks at the device's loss: each look waits for the device


def train_stage(fit: Fit, held: Held | None = None) -> Iterator[Progress]:
    """Train; yield after every step.

    The moving average, where there is one, becomes the model's weights at the end.

    Args:
        fit: What it works with.
        held: From `begin`; where it was restored from a checkpoint, the loop goes on behind its step.

    Raises:
        NotFinite: The loss was not finite; the message names stage, epoch, step and learning rate.
        RuntimeError: The device does not hold two images of a batch, or the optimizer's state.
    """
    held = held or begin(fit)
    if held.again:
        held.again = False
        yield _progress(fit, held)
    per_epoch = steps_per_epoch(fit.stage, len(fit.rows))
    while held.step < len(fit.schedule.lr):
        epoch, done = divmod(held.step, per_epoch)
        if not done:
            held.watch.begin_epoch()
        order = epoch_order(fit, epoch)[done:]
        for picked, inputs in zip(order, fit.inputs.batches([fit.rows[p] for p in order], epoch), strict=True):
            set_rates(fit.optimizer, held.rates, fit.schedule, held.step)
            held.watch.add(take_step(fit, inputs, fit.labels[picked], held), held.step)
            if held.ema:
                held.ema.update(fit.model)
            held.step += 1
            yield _progress(fit, held)
    if held.ema:
        fit.model.load_state_dict(held.ema.weights.state_dict())


def begin(fit: Fit) -> Held:
    """Return what a stage holds before its first step."""
    return Held(
        forward=fit.model,
        optimizer=fit.optimizer,
        scaler=torch.amp.GradScaler(fit.compute.device.type, enabled=fit.format.precision == "fp16"),
        ema=MovingAverage(fit.model, fit.stage.ema) if fit.stage.ema else None,
        watch=LossWatch(fit, steps_per_epoch(fit.stage, len(fit.rows))),
        rates=[group["lr"] / fit.stage.lr for group in fit.optimizer.param_groups],
    )


def _progress(fit: Fit, held: Held) -> Progress:
    step, per_epoch = held.step, steps_per_epoch(fit.stage, len(fit.rows))
    last = step % per_epoch == 0
    due = last or step % CHECK_EVERY == 0 or fit.compute.device.type == "cpu"
    return Progress(
        step=step,
        epoch=(step - 1) // per_epoch + 1,
        loss=held.watch.read(step) if due else None,
        epoch_loss=held.watch.epoch_loss,
        epoch_ends=last,
        cycle_ends=_cycle_ended(fit.schedule, step),
        weights=held.ema.weights if held.ema else fit.model,
        losses=held.watch.losses(last),
    )


def take_step(fit: Fit, inputs: Tensor, labels: NDArray[np.int64], held: Held) -> Tensor:
    """Take one optimizer step; return its loss, still on the device."""
    loss = None
    while loss is None:
        loss = _gradients(fit, inputs, labels, held)
    if fit.stage.clip_norm:
        held.scaler.unscale_(fit.optimizer)
        trained = [p for group in fit.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(trained, fit.stage.clip_norm)
    held.scaler.step(fit.optimizer)
    held.scaler.update()
    fit.optimizer.zero_grad(set_to_none=True)
    return loss


def _gradients(fit: Fit, inputs: Tensor, labels: NDArray[np.int64], held: Held) -> Tensor | None:
    """Add up a batch's gradients part by part; return its loss, or None where it has to be tried again.

    That is without compiled steps first, whose graphs keep memory of their own, then with twice as many parts.
    """
    compiled = held.forward is not fit.model
    try:
        return _add_gradients(fit, inputs, labels, held)
    except RuntimeError as error:
        if not is_full(error) or (not compiled and held.parts > len(inputs) // 4):  # BatchNorm needs two images
            raise
    fit.optimizer.zero_grad(set_to_none=True)
    if compiled:
        held.forward = fit.model
        torch.compiler.reset()
    else:
        held.parts *= 2
    give_back()
    return None


def _add_gradients(fit: Fit, inputs: Tensor, labels: NDArray[np.int64], held: Held) -> Tensor:
    seed_device(fit.compute.device, _step_seed(fit, held.step))  # dropout depends on the step, not on what ran before
    if inputs.ndim == 4:
        inputs = inputs.contiguous(memory_format=fit.format.memory_format)
    targets = smooth_targets(to_device(labels, inputs.device), fit.n_classes, fit.stage.label_smoothing)
    draw = np.random.default_rng((fit.seed, fit.number, held.step))
    total = torch.zeros((), device=inputs.device)
    for some, wanted in zip(inputs.tensor_split(held.parts), targets.tensor_split(held.parts), strict=True):
        mixed, mixed_targets = mix(some, wanted, fit.stage, draw)
        with fit.format.autocast(fit.compute.device):
            logits = held.forward(mixed)
        loss = fit.loss(logits.float(), mixed_targets) * (len(some) / len(inputs))
        held.scaler.scale(loss).backward()
        total += loss.detach()
    return total


def epoch_order(fit: Fit, epoch: int) -> list[NDArray[np.int64]]:
    """Draw the epoch's full batches: positions in `fit.rows`, shuffled, rare classes more often where asked."""
    n = len(fit.rows)
    draw = np.random.default_rng((fit.seed, fit.number, epoch, n))
    order = draw.permutation(n) if not fit.stage.oversample else _oversampled(fit, draw)
    size = batch_of(fit.stage, n)
    return [order[i : i + size] for i in range(0, n - size + 1, size)]


def _oversampled(fit: Fit, draw: np.random.Generator) -> NDArray[np.int64]:
    counts = np.bincount(fit.labels, minlength=fit.n_classes)
    chances = counts[fit.labels].astype(float) ** -fit.stage.oversample
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


def _step_seed(fit: Fit, step: int) -> int:
    return int(np.random.SeedSequence((fit.seed, fit.number, step)).generate_state(1)[0])
