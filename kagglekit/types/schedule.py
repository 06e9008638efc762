"""A schedule: arrays over optimizer steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Schedule:
    """Learning rate and momentum of every optimizer step of a stage; the stage is as long as its schedule.

    Attributes:
        lr: (steps,) float64: the head's rate; the rates of all layer groups keep their ratios to it.
        momentum: (steps,) float64: beta1 of Adam's family, momentum of SGD.
        cycle_ends: Numbers of finished steps at which a cycle ends, ascending; the last is ``steps``.
    """

    lr: NDArray[np.float64]
    momentum: NDArray[np.float64]
    cycle_ends: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.lr.shape != self.momentum.shape or self.lr.ndim != 1 or not len(self.lr):
            raise UserError(
                f"a schedule has lr of shape {self.lr.shape} and momentum of shape {self.momentum.shape}",
                "both must have shape (steps,) with at least one step",
            )
        ends = self.cycle_ends
        if not ends or ends[-1] != len(self.lr) or list(ends) != sorted(set(ends)) or ends[0] < 1:
            raise UserError(
                f"a schedule of {len(self.lr)} steps has cycle_ends {ends}",
                "they must be ascending and end at the last step",
            )
