"""The training loop of one stage, as a generator: it yields where it is, the caller decides what to do about it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from kagglekit.device import Compute, Format, seed_device
from kagglekit.errors import UserError
from kagglekit.passes import Batches
from kagglekit.recipe import Stage
from kagglekit.schedule import Schedule
from kagglekit.warp import to_device

CHECK_EVERY = 50  # steps between two looks at the device's loss: each look waits for the device


@dataclass(frozen=True)
class Fit:
    """What one stage's training loop works with.

    Attributes:
        model: What is trained: the whole network, or its head where activations are cached.
        inputs: Where its inputs come from.
        rows: (N,) int64: the rows of `inputs` to train on.
        labels: (N,) int64: their class numbers.
        n_classes: Number of classes.
        stage: The stage's settings.
        number: The stage's number, from 1.
        optimizer: Over the trainable parameters; the `lr` it holds are each group's highest rates.
        schedule: The learning rate and momentum of every step.
        loss: ``(logits, target probabilities) -> scalar``.
        compute: Device.
        format: Precision and layout of the steps.
        seed: The run's.
    """

    model: nn.Module
    inputs: Batches
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    n_classes: int
    stage: Stage
    number: int
    optimizer: Optimizer
    schedule: Schedule
    loss: Callable[[Tensor, Tensor], Tensor]
    compute: Compute
    format: Format
    seed: int


@dataclass(frozen=True)
class Progress:
    """Where a stage is after a step.

    Attributes:
        step: Finished steps of the stage.
        epoch: Number of the running or just finished epoch, from 1.
        loss: Mean training loss since the last time it was read, nats; None where it was not read.
        epoch_loss: Mean training loss of the epoch so far, as far as it was read, nats.
        epoch_ends: Whether the step was the epoch's last.
        cycle_ends: Number of the cycle that ended with the step, from 1; 0 for none.
        weights: The network to evaluate and keep: the moving average where the stage has one.
        losses: (steps of the epoch,) float32: the training loss of each, nats, when the epoch ends; else empty.
    """

    step: int
    epoch: int
    loss: float | None
    epoch_loss: float
    epoch_ends: bool
    cycle_ends: int
    weights: nn.Module
    losses: NDArray[np.float32]


def batch_of(stage: Stage, n: int) -> int:
    """Images in a step: the stage's batch size, or all there are if they are fewer."""
    return min(stage.batch_size, n)


def steps_per_epoch(stage: Stage, n: int) -> int:
    """Full batches in an epoch over `n` images."""
    return n // batch_of(stage, n)


def train_stage(fit: Fit) -> Iterator[Progress]:
    """Train; yield after every step.

    The moving average, where there is one, becomes the model's weights at the end.

    Raises:
        UserError: The loss was not finite; the message names stage, epoch, step and learning rate.
    """
    ema = MovingAverage(fit.model, fit.stage.ema) if fit.stage.ema else None
    weights = ema.weights if ema else fit.model
    scaler = torch.amp.GradScaler(fit.compute.device.type, enabled=fit.format.precision == "fp16")
    rates = [group["lr"] / fit.stage.lr for group in fit.optimizer.param_groups]
    watch = _LossWatch(fit)
    per_epoch, step = steps_per_epoch(fit.stage, len(fit.rows)), 0
    for epoch in range(1, len(fit.schedule.lr) // per_epoch + 1):
        order = epoch_order(fit, epoch - 1)
        for picked, inputs in zip(order, fit.inputs.batches([fit.rows[p] for p in order], epoch - 1), strict=True):
            set_rates(fit.optimizer, rates, fit.schedule, step)
            watch.add(take_step(fit, inputs, fit.labels[picked], step, scaler), step)
            if ema:
                ema.update(fit.model)
            step += 1
            last = step % per_epoch == 0
            loss = watch.read(step) if last or step % CHECK_EVERY == 0 or fit.compute.device.type == "cpu" else None
            ended, losses = _cycle_ended(fit.schedule, step), watch.losses(last)
            yield Progress(step, epoch, loss, watch.epoch_loss, last, ended, weights, losses)
            if last:
                watch.begin_epoch()
    if ema:
        fit.model.load_state_dict(ema.weights.state_dict())


def take_step(fit: Fit, inputs: Tensor, labels: NDArray[np.int64], step: int, scaler: Any) -> Tensor:
    """Take one optimizer step; return its loss, still on the device."""
    seed_device(fit.compute.device, _step_seed(fit, step))  # dropout depends on the step alone, not on what ran before
    if inputs.ndim == 4:
        inputs = inputs.contiguous(memory_format=fit.format.memory_format)
    targets = smooth_targets(to_device(labels, inputs.device), fit.n_classes, fit.stage.label_smoothing)
    inputs, targets = mix(inputs, targets, fit.stage, np.random.default_rng((fit.seed, fit.number, step)))
    with fit.format.autocast(fit.compute.device):
        logits = fit.model(inputs)
    loss = fit.loss(logits.float(), targets)
    scaler.scale(loss).backward()
    if fit.stage.clip_norm:
        scaler.unscale_(fit.optimizer)
        trained = [p for group in fit.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(trained, fit.stage.clip_norm)
    scaler.step(fit.optimizer)
    scaler.update()
    fit.optimizer.zero_grad(set_to_none=True)
    return loss.detach()


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


def smooth_targets(labels: Tensor, n_classes: int, smoothing: float) -> Tensor:
    """Return target probabilities (B, C) float32: one-hot, `smoothing` of it spread evenly over all classes."""
    hot = nn.functional.one_hot(labels, n_classes).float()
    return hot * (1 - smoothing) + smoothing / n_classes


def mix(inputs: Tensor, targets: Tensor, stage: Stage, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mix each image with another one of the batch: mixup, CutMix, or one of the two drawn at even odds.

    Mixup: ``x = l x_i + (1 - l) x_j`` with l from Beta(alpha, alpha) (Zhang et al. 2017, arXiv:1710.09412, eq. 1).
    CutMix: a rectangle of area 1 - l from x_j (Yun et al. 2019, arXiv:1905.04899, eq. 1 and 2).
    """
    if not stage.mixup and not stage.cutmix:
        return inputs, targets
    cut = bool(stage.cutmix) and (not stage.mixup or draw.random() < 0.5)
    alpha = stage.cutmix if cut else stage.mixup
    share = float(draw.beta(alpha, alpha))
    other = to_device(draw.permutation(len(inputs)), inputs.device)
    if cut:
        rows, columns, share = _rectangle(inputs.shape[-1], share, draw)
        mixed = inputs.clone(memory_format=torch.preserve_format)
        mixed[:, :, rows, columns] = inputs[other][:, :, rows, columns]
    else:
        mixed = inputs * share + inputs[other] * (1 - share)
    return mixed, targets * share + targets[other] * (1 - share)


def _rectangle(size: int, share: float, draw: np.random.Generator) -> tuple[slice, slice, float]:
    """Draw a square of area ``1 - share`` around a random centre, cut at the edge; return the true share too."""
    half = size * (1 - share) ** 0.5 / 2
    (top, bottom), (left, right) = (
        (max(0, round(c - half)), min(size, round(c + half))) for c in draw.uniform(0, size, 2)
    )
    return slice(top, bottom), slice(left, right), 1 - (bottom - top) * (right - left) / size**2


def set_rates(optimizer: Optimizer, ratios: Sequence[float], schedule: Schedule, step: int) -> None:
    """Set each group's learning rate and momentum for a step."""
    momentum = float(schedule.momentum[step])
    for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
        group["lr"] = float(schedule.lr[step]) * ratio
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif "momentum" in group:
            group["momentum"] = momentum


class MovingAverage:
    """A copy of a network whose weights and buffers follow it: ``mean = decay * mean + (1 - decay) * now``.

    torch's AveragedModel starts from the weights after the first step, and waits for the device at each update.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.weights = copy.deepcopy(model)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model."""
        pairs = list(zip(self.weights.state_dict().values(), model.state_dict().values(), strict=True))
        floating = [(mean, now) for mean, now in pairs if mean.is_floating_point()]
        torch._foreach_lerp_([mean for mean, _ in floating], [now for _, now in floating], 1 - self.decay)
        for mean, now in pairs:
            if not mean.is_floating_point():
                mean.copy_(now)


def _cycle_ended(schedule: Schedule, step: int) -> int:
    return schedule.cycle_ends.index(step) + 1 if step in schedule.cycle_ends else 0


def _step_seed(fit: Fit, step: int) -> int:
    return int(np.random.SeedSequence((fit.seed, fit.number, step)).generate_state(1)[0])


class _LossWatch:
    """Sums the loss and remembers the first step whose loss was not finite, on the device until asked."""

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        self.sum = torch.zeros((), device=fit.compute.device)
        self.first_bad = torch.full((), 2**31 - 1, dtype=torch.int32, device=fit.compute.device)
        self.since = 0
        self.steps: list[Tensor] = []
        self.begin_epoch()

    def add(self, loss: Tensor, step: int) -> None:
        self.sum += loss
        self.steps.append(loss)
        bad = torch.where(torch.isfinite(loss), 2**31 - 1, step).to(torch.int32)
        self.first_bad = torch.minimum(self.first_bad, bad)

    def read(self, step: int) -> float:
        """Return the mean loss since the last reading; waits for the device."""
        total, bad = float(self.sum), int(self.first_bad)
        if bad < 2**31 - 1:
            raise self._not_finite(bad)
        mean = total / (step - self.since)
        self.epoch_total += total
        self.epoch_steps += step - self.since
        self.sum.zero_()
        self.since = step
        return mean

    @property
    def epoch_loss(self) -> float:
        """Mean loss of the epoch, as far as it was read."""
        return self.epoch_total / max(1, self.epoch_steps)

    def losses(self, epoch_ends: bool) -> NDArray[np.float32]:
        """Read the loss of each step of an epoch that ends, in one transfer; before its end, nothing."""
        if not epoch_ends:
            return np.zeros(0, np.float32)
        read: NDArray[np.float32] = torch.stack(self.steps).float().cpu().numpy()
        return read

    def begin_epoch(self) -> None:
        """Start the epoch's mean anew."""
        self.epoch_total, self.epoch_steps = 0.0, 0
        self.steps.clear()

    def _not_finite(self, step: int) -> UserError:
        stage, lr = self.fit.stage, self.fit.schedule.lr[step]
        epoch = step // steps_per_epoch(stage, len(self.fit.rows)) + 1
        return UserError(
            f"the loss is no longer finite: stage {self.fit.number} ({stage.name}), epoch {epoch}, step {step + 1}, "
            f"learning rate {lr:.2g}",
            f"try a smaller rate, --set stage.{self.fit.number}.lr={stage.lr / 3:.1g}, or --precision fp32",
        )
