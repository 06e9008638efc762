"""How long the whole run will take, from the speed of its first steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from kagglekit.recipe import Recipe, Stage
from kagglekit.train import batch_of, steps_per_epoch

TRAIN_COST = 3.0  # a training step through all layers against a forward pass: forward, and backward twice as long
FIRST_STEPS = 10  # after which the estimate is made


def stage_cost(stage: Stage, n_train: int, n_valid: int) -> float:
    """Work of a stage in forward passes over one pixel: training epochs and a validation after each."""
    area = float(stage.size**2)
    if stage.precompute:
        return (n_train + n_valid) * area
    seen = steps_per_epoch(stage, n_train) * batch_of(stage, n_train)
    step = TRAIN_COST if stage.freeze_to != -1 else 1.0
    return stage.epochs * (seen * step + n_valid) * area


def prediction_cost(recipe: Recipe, stages: tuple[Stage, ...], n_images: int, passes: int) -> float:
    """Work of predicting `n_images` with every snapshot and pass."""
    taken = [(s, s.cycles) for s in stages if s.snapshots] or [(stages[-1], 1)]
    return sum(cycles * passes * n_images * float((recipe.predict_size or s.size) ** 2) for s, cycles in taken)


@dataclass
class Estimate:
    """Measures the run's first steps and tells the whole from them, once.

    Attributes:
        total: The whole run's work, in forward passes over one pixel.
        seconds: The estimate of the whole run; None until ten steps are done.
    """

    total: float
    seconds: float | None = None
    _work: float = 0.0
    _spent: float = 0.0
    _steps: int = field(default=0)

    def add(self, cost: float, seconds: float) -> bool:
        """Count a step; return True when it was the one that made the estimate."""
        if self.seconds is not None:
            return False
        self._steps += 1
        if self._steps > 1:  # the first one sets up kernels
            self._work += cost
            self._spent += seconds
        if self._steps < FIRST_STEPS + 1:
            return False
        self.seconds = self.total / self._work * self._spent
        return True
