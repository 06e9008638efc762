"""The state of a stage's training loop, which a checkpoint in the middle of a stage contains."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from kagglekit.compute.device import Compute, Format
from kagglekit.compute.forward import Batches
from kagglekit.compute.processes.flat_sum import FlatSum
from kagglekit.compute.processes.ranks import ALONE, Ranks
from kagglekit.system.errors import NotFinite
from kagglekit.types.schedule import Schedule
from kagglekit.types.stage import Stage


@dataclass
class TrainState:
    """The state of a stage's loop beside the model: with both, it resumes as if never interrupted.

    Attributes:
        forward: The model as its steps call it: itself, or compiled.
        optimizer: The stage's.
        scaler: Of fp16's gradients; does nothing for other precisions.
        ema: The moving average, if the stage has one.
        watch: The loss.
        rates: Each parameter group's highest rate as a share of the stage's.
        step: Finished steps.
        parts: A batch's gradients are accumulated over so many parts: the stage's `grad_accum_steps`, or more after the
            device ran out of memory.
        again: Whether the work after the last step was interrupted: the loop then yields that step again.
        best: The best epoch's valid score, its sign such that less is better, and its weights, if the stage keeps the
            best.
        seconds: Time spent on the current epoch so far, s.
        flat: What processes that share the training sum in each step; None if there is one.
        asked: Whether one of them was asked to stop before the last step.
        took: Time of the last step, s; 0 before the first one.
    """

    forward: Callable[[Tensor], Tensor]
    optimizer: Optimizer
    scaler: Any
    ema: MovingAverage | None
    watch: LossWatch
    rates: list[float]
    step: int = 0
    parts: int = 1
    again: bool = False
    best: tuple[float, dict[str, Tensor]] | None = None
    seconds: float = 0.0
    flat: FlatSum | None = None
    asked: bool = False
    took: float = 0.0

    def to_checkpoint(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the state as plain facts and as nested tensors.

        Raises:
            NotFinite: The loss of a step was not finite.
        """
        self.watch.read(self.step)
        facts = {
            "step": self.step,
            "parts": self.parts,
            "again": self.again,
            "seconds": self.seconds,
            "best": self.best[0] if self.best else None,
            "epoch_loss": [self.watch.epoch_total, self.watch.epoch_steps],
            "losses": self.watch.losses().tolist(),
        }
        tensors = {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": self.ema.weights.state_dict() if self.ema else {},
            "best": self.best[1] if self.best else {},
        }
        return facts, tensors

    def restore(self, facts: dict[str, Any], tensors: dict[str, Any]) -> None:
        """Resume from what `to_checkpoint` returned."""
        self.step, self.parts, self.again = facts["step"], facts["parts"], facts["again"]
        self.seconds = facts["seconds"]
        total, steps = facts["epoch_loss"]
        self.watch.resume(self.step, total, steps, facts["losses"])
        self.optimizer.load_state_dict(tensors["optimizer"])
        self.scaler.load_state_dict(tensors["scaler"])
        if self.ema:
            self.ema.weights.load_state_dict(tensors["ema"])
        if facts["best"] is not None:
            self.best = facts["best"], tensors["best"]


class MovingAverage:
    """A copy of a network whose weights and buffers follow it: ``mean = decay * mean + (1 - decay) * now``.

    torch's AveragedModel starts from the weights after the first step, and waits for the device at each update.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.weights = copy.deepcopy(model)
        self.decay = decay
        pairs = list(zip(_places(self.weights), _places(model), strict=True))
        self._floating = [pair for pair in pairs if _tensor(pair[0]).is_floating_point()]
        self._counts = [pair for pair in pairs if not _tensor(pair[0]).is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the model: two calls for all tensors."""
        means = [_tensor(mean) for mean, _ in self._floating]
        torch._foreach_lerp_(means, [_tensor(now) for _, now in self._floating], 1 - self.decay)
        if self._counts:  # of BatchNorm layers
            counts = [_tensor(mean) for mean, _ in self._counts]
            torch._foreach_copy_(counts, [_tensor(now) for _, now in self._counts])


Place = tuple[dict[str, Tensor | None], str]  # where a module keeps a tensor, which may be replaced there


def _tensor(place: Place) -> Tensor:
    kept, name = place
    tensor = kept[name]
    assert tensor is not None
    return tensor


def _places(model: nn.Module) -> list[Place]:
    """Return where modules keep the tensors of the state dict, each once; making that dict takes milliseconds."""
    places: dict[int, Place] = {}
    for module in model.modules():
        buffers = [name for name in module._buffers if name not in module._non_persistent_buffers_set]
        for kept, names in ((module._parameters, list(module._parameters)), (module._buffers, buffers)):
            for name in names:
                if kept[name] is not None:
                    places.setdefault(id(kept[name]), (kept, name))  # type: ignore[arg-type]
    return list(places.values())


NEVER = 2**31 - 1  # the number of a step that is never reached


class LossWatch:
    """Sums the loss and remembers the first step whose loss was not finite, on the device until they are read."""

    def __init__(self, fit: StageFit, per_epoch: int) -> None:
        self.fit = fit
        self.per_epoch = per_epoch
        self.sum = torch.zeros((), device=fit.compute.device)
        self.first_bad = torch.full((), NEVER, dtype=torch.int32, device=fit.compute.device)
        self.since = 0
        self.steps: list[Tensor] = []
        self.begin_epoch()

    def add(self, loss: Tensor, step: int) -> None:
        """Add the loss of a step (from 0) without waiting for the device.

        torch.where would wait: it copies its constants to the device. Arithmetic passes them as arguments.
        """
        self.sum += loss
        self.steps.append(loss)
        bad = torch.isfinite(loss).to(torch.int32) * (NEVER - step) + step
        self.first_bad = torch.minimum(self.first_bad, bad)

    def read(self, step: int) -> float | None:
        """Return the mean loss since the last read, None if there was no step; this waits for the device.

        Raises:
            NotFinite: The loss of one of the steps was not finite.
        """
        if step == self.since:
            return None
        total, bad = float(self.sum), int(self.first_bad)
        if bad < NEVER:
            raise self._not_finite(bad)
        mean = total / (step - self.since)
        self.epoch_total += total
        self.epoch_steps += step - self.since
        self.sum.zero_()
        self.since = step
        return mean

    @property
    def epoch_loss(self) -> float:
        """Mean loss of the epoch, up to the last read."""
        return self.epoch_total / max(1, self.epoch_steps)

    def losses(self, epoch_ends: bool = True) -> NDArray[np.float32]:
        """Read the loss of each step of the epoch so far, in one transfer; empty unless the epoch ends."""
        if not (epoch_ends and self.steps):
            return np.zeros(0, np.float32)
        read: NDArray[np.float32] = torch.stack(self.steps).float().cpu().numpy()
        return read

    def begin_epoch(self) -> None:
        """Reset the mean for a new epoch."""
        self.epoch_total, self.epoch_steps = 0.0, 0
        self.steps.clear()

    def resume(self, step: int, epoch_total: float, epoch_steps: int, losses: list[float]) -> None:
        """Resume after a step, with what was read in its epoch."""
        self.since, self.epoch_total, self.epoch_steps = step, epoch_total, epoch_steps
        self.steps = list(torch.tensor(losses, device=self.sum.device))

    def _not_finite(self, step: int) -> NotFinite:
        stage, lr = self.fit.stage, self.fit.schedule.lr[step]
        epoch = step // self.per_epoch + 1
        return NotFinite(
            f"the loss is no longer finite: stage {self.fit.number} ({stage.name}), epoch {epoch}, step {step + 1}, "
            f"learning rate {lr:.2g}",
            f"try a smaller rate, --set stage.{self.fit.number}.lr={stage.lr / 3:.1g}, or --precision fp32",
        )


class TrainTargets(Protocol):
    """What the loop asks of a task: see `kagglekit.tasks.task.Task`."""

    def train_targets(self, truth: Tensor, smoothing: float) -> Tensor:
        """Return the targets of a batch's truth."""

    def rarity(self, truth: NDArray[Any]) -> NDArray[np.float64]:
        """Return how many images are like each one."""


@dataclass(frozen=True)
class StageFit:
    """The parts that one stage trains with.

    Attributes:
        model: What is trained: the whole network, or its head if activations are cached.
        inputs: Where its inputs come from.
        rows: (N,) int64: the rows of `inputs` to train on.
        truth: Their truth, see `kagglekit.tasks.task.Task`.
        task: What is predicted, or targets prepared before.
        stage: The stage's settings.
        number: The stage's number, from 1.
        optimizer: Over the trainable parameters; its `lr` values are each group's highest rates.
        schedule: The learning rate and momentum of every step.
        loss: ``(outputs, targets) -> scalar``.
        compute: The device.
        format: Precision and layout of the steps.
        seed: The run's.
        valid: Where the inputs of validation come from; None for `inputs`.
        ranks: The processes that share each batch.
    """

    model: nn.Module
    inputs: Batches
    rows: NDArray[np.int64]
    truth: NDArray[Any]
    task: TrainTargets
    stage: Stage
    number: int
    optimizer: Optimizer
    schedule: Schedule
    loss: Callable[[Tensor, Tensor], Tensor]
    compute: Compute
    format: Format
    seed: int
    valid: Batches | None = None
    ranks: Ranks = ALONE


@dataclass(frozen=True)
class Progress:
    """The state of a stage after a step.

    Attributes:
        step: Finished steps of the stage.
        epoch: Number of the current or just finished epoch, from 1.
        loss: Mean training loss since the last read, nats; None if it was not read now.
        epoch_loss: Mean training loss of the epoch, up to the last read, nats.
        epoch_ends: Whether the step was the epoch's last.
        cycle_ends: Number of the cycle that ended with the step, from 1; 0 for none.
        weights: The network to evaluate and keep: the moving average if the stage has one.
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
    """Return the images in a step: the stage's batch size, or all images if they are fewer."""
    return min(stage.batch_size, n)


def steps_per_epoch(stage: Stage, n: int) -> int:
    """Return the full batches in an epoch over `n` images."""
    return n // batch_of(stage, n)
