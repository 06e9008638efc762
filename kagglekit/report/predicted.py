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
        metric: Title of the score, capitalized.
    """

    name: str = ""
    found: Any = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    metric: str = ""

    def numbers(self, columns: Sequence[str], default: Sequence[float]) -> NDArray[np.float64]:
        """Return the threshold of each column, or the cut below each grade, as far as some were found.

        Args:
            columns: (C) names.
            default: (C) numbers of those for which none was found.
        """
        found = self.found
        if isinstance(found, Mapping):
            found = next((found[key] for key in ("thresholds", "threshold", "cuts") if key in found), found)
        if isinstance(found, Mapping):
            pairs = zip(columns, default, strict=True)
            return np.array([float(found[name] if _is_number(found.get(name)) else usual) for name, usual in pairs])
        if _is_number(found):
            return np.full(len(columns), float(found))
        return np.array(found if found and len(found) == len(columns) else default, dtype=np.float64)

    def marks(self, title: str) -> list[float]:
        """Return what was found for the curve of this title: the number of its name or place, or the only one."""
        found = self.found
        while isinstance(found, Mapping) and len(found) == 1 and title not in found:
            (found,) = found.values()
        if isinstance(found, Mapping):
            found = found.get(title)
        elif isinstance(found, (list, tuple)):
            places = list(self.curves)
            found = found[places.index(title)] if len(found) == len(places) and title in places else None
        return [float(found)] if _is_number(found) else []


def _is_number(value: Any) -> bool:
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
        applied: (N, C) what the decision makes of the predictions; None if that is not known.
        seed: For images drawn at random.
        out_of_fold: Whether they are all labelled images, predicted out of fold; else one split's valid ones.
    """

    ids: tuple[str, ...]
    task: Task
    truth: NDArray[Any]
    values: NDArray[np.float64]
    decided: Decided = Decided()
    applied: NDArray[np.floating] | None = None
    seed: int = 0
    out_of_fold: bool = False

    @cached_property
    def loss(self) -> NDArray[np.float64]:
        """(N,) loss of each image."""
        return self.task.losses(self.truth, self.values)

    def worst(self, most: int) -> list[int]:
        """Return the rows of the images with the highest loss."""
        return [int(row) for row in np.argsort(-self.loss, kind="stable")[:most]]
