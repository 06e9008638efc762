"""Estimate the time of the whole run from the speed of its first steps."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from kagglekit.training.state import batch_of, steps_per_epoch
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage, predicting_stages

FIRST_STEPS = 10  # after which the estimate is made


def step_cost(stage: Stage, train_cost: float | None) -> float:
    """Return the work of a training step on one image, in forward passes over one pixel; 0 if it is unknown."""
    return float(stage.size**2) * (1.0 if stage.freeze_to == -1 else train_cost or 0.0)


def stage_cost(stage: Stage, n_train: int, n_valid: int, train_cost: float) -> float:
    """Return the work of a stage in forward passes over one pixel: training epochs and a validation after each.

    Args:
        stage: The stage.
        n_train: Training images.
        n_valid: Valid images.
        train_cost: Time of a training step through all layers in forward passes (`Compute.train_cost`).
    """
    area = float(stage.size**2)
    if stage.precompute:
        return (n_train + n_valid) * float(sum(size**2 for size in stage.sizes))
    seen = steps_per_epoch(stage, n_train) * batch_of(stage, n_train)
    return stage.epochs * (seen * step_cost(stage, train_cost) + n_valid * area)


def prediction_cost(recipe: Recipe, stages: tuple[Stage, ...], n_images: int, passes: int) -> float:
    """Return the work of predicting `n_images` with every snapshot and pass."""
    taken = [(stage, stage.cycles if stage.snapshots else 1) for stage in predicting_stages(stages)]
    sizes = [
        (cycles, stage.stack_sizes if stage.stacks else recipe.predicting_sizes(stage, 1)) for stage, cycles in taken
    ]
    return float(passes * n_images * sum(cycles * size**2 for cycles, each in sizes for size in each))


@dataclass
class Estimate:
    """Measures the run's first steps and estimates the whole from them, once.

    Attributes:
        total: The whole run's work, in forward passes over one pixel; None if it is unknown: then there is no estimate.
        started: When the run began, by time.perf_counter, s.
        seconds: The estimate of the whole run; None until ten steps are done.
    """

    total: float | None
    started: float
    seconds: float | None = None
    _work: float = 0.0
    _spent: float = 0.0
    _steps: int = field(default=0)

    @property
    def is_pending(self) -> bool:
        """True until the estimate is made."""
        return self.total is not None and self.seconds is None

    def spare(self, cost: float) -> None:
        """Leave out work that need not be done, before the estimate is made."""
        if self.total is not None:
            self.total = max(0.0, self.total - cost)

    def add(self, cost: float, seconds: float) -> bool:
        """Count a step; return whether it was the one that completed the estimate."""
        if self.total is None or self.seconds is not None:
            return False
        self._steps += 1
        if self._steps > 1:  # the first one sets up kernels
            self._work += cost
            self._spent += seconds
        if self._steps < FIRST_STEPS + 1:
            return False
        elapsed = time.perf_counter() - self.started
        self.seconds = elapsed + (self.total - self._work) / self._work * self._spent
        return True
