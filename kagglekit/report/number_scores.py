"""Figures of predicted numbers, as pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]

NAN = float("nan")


@dataclass(frozen=True)
class NumberScore:
    """One target's scores over the images for which it is known.

    Attributes:
        name: The target's.
        n: Number of these images.
        mean: Of the true numbers.
        deviation: Of the true numbers: the RMSE of predicting their mean.
        rmse: Root mean squared error.
        mae: Mean absolute error.
        bias: Mean of predicted minus true.
        r2: 1 - squared errors / squared deviations; nan if the numbers are all the same.
    """

    name: str
    n: int
    mean: float
    deviation: float
    rmse: float
    mae: float
    bias: float
    r2: float


def number_score(name: str, truth: Floats, predicted: Floats) -> NumberScore:
    """Score one target.

    Args:
        name: Its name.
        truth: (N,) numbers, nan where unknown.
        predicted: (N,) numbers.
    """
    known = ~np.isnan(truth)
    true = truth[known].astype(np.float64)
    if not len(true):
        return NumberScore(name, 0, *[NAN] * 6)
    errors = predicted[known] - true
    squares = float((errors**2).mean())
    deviation = float(true.std())
    r2 = 1 - squares / deviation**2 if deviation else NAN
    rest = (squares**0.5, float(np.abs(errors).mean()), float(errors.mean()), r2)
    return NumberScore(name, len(true), float(true.mean()), deviation, *rest)


def graded(values: Floats, cuts: Floats, grades: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place (N,) among the grades of numbers (N,): the number of cuts (K - 1,) that are at or below it."""
    return np.searchsorted(cuts, values, side="right").clip(0, len(grades) - 1).astype(np.int64)
