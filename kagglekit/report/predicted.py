"""The final valid predictions with what is known about their images, for the panels of every kind of target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kagglekit.tasks.task import Task

    Curve = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Decided:
    """The decision of a run, as run.json has it.

    Attributes:
        name: As in `Recipe.decision`; empty if there is none.
        found: What it found: plain data, whose form is the decision's own.
        curves: Points (threshold, score) by title.
        metric: Title of the score.
    """

    name: str = ""
    found: Any = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    metric: str = ""

    def numbers(self, columns: Sequence[str], default: Sequence[float]) -> NDArray[np.float64]:
        """Return the number that was found for each column, such as its threshold; the default of others.

        Args:
            columns: (C) names.
            default: (C) numbers.
        """
        found = self._numbers()
        if isinstance(found, Mapping):
            return np.array([float(found.get(name, usual)) for name, usual in zip(columns, default, strict=True)])
        if isinstance(found, (int, float)):
            return np.full(len(columns), float(found))
        return np.array(found if found and len(found) == len(columns) else default, dtype=np.float64)

    def marks(self, title: str) -> list[float]:
        """Return what was found for the curve of this title: the number of that name, or all if it is of no name."""
        found = self._numbers()
        if isinstance(found, Mapping):
            return [float(found[title])] if title in found else []
        if isinstance(found, (int, float)):
            return [float(found)]
        titles = list(self.curves)
        own = len(titles) == len(found) and title in titles
        return [float(found[titles.index(title)])] if own else [float(each) for each in found]

    def _numbers(self) -> Mapping[str, float] | Sequence[float] | float:
        """Return the numbers in `found`: one for all, or one each, by name or in order; also below a single name."""
        found = self.found
        if isinstance(found, Mapping) and len(found) == 1 and ("threshold" in found or not _is_number(*found.values())):
            (found,) = found.values()
        if isinstance(found, Mapping):
            return {str(name): float(value) for name, value in found.items() if _is_number(value)}
        if isinstance(found, (list, tuple)):
            return [float(value) for value in found if _is_number(value)]
        return float(found) if _is_number(found) else []


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class Predicted:
    """Predictions for images whose targets are known.

    Attributes:
        ids: (N) image ids.
        task: What is predicted.
        truth: (N,) class numbers or (N, C) targets, nan where unknown; see `Task`.
        values: (N, C) float64 predictions.
        decided: The decision of the run.
        seed: For images drawn at random.
    """

    ids: tuple[str, ...]
    task: Task
    truth: NDArray[Any]
    values: NDArray[np.float64]
    decided: Decided = Decided()
    seed: int = 0

    @cached_property
    def loss(self) -> NDArray[np.float64]:
        """(N,) loss of each image."""
        return self.task.losses(self.truth, self.values)

    def worst(self, most: int) -> list[int]:
        """Return the rows of the images with the highest loss."""
        return [int(row) for row in np.argsort(-self.loss, kind="stable")[:most]]
