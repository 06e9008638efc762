"""Compute metrics of ordered grades: the truth (N, 1) is a grade or nan, predictions (N, 1) are numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit import BUILT_IN_METRICS, Score
from kagglekit_metrics import regression, single_label
from kagglekit_metrics.of_classes import quadratic_kappa
from kagglekit_metrics.scoring import Asked, Scoring

if TYPE_CHECKING:
    from kagglekit_metrics.errors import Numbers, Table


def of_grades(asked: Asked) -> Scoring:
    """Return the function of a metric: of the numbers as they are, or of the grades that they are nearest to.

    Raises:
        UserError: It cannot be computed for this task.
    """
    if BUILT_IN_METRICS[asked.name].needs == "numbers":
        return regression.of_numbers(asked)
    low, high = asked.task.grades[[0, -1]].tolist()

    def score(truth: Table, table: Table) -> Score:
        known = ~np.isnan(truth[:, 0])
        true, guess = truth[known, 0].astype(np.int64), nearest(table[known, 0], low, high)
        first, last = min(low, int(true.min())), max(high, int(true.max()))
        grades = np.arange(first, last + 1)
        decided = np.eye(len(grades), dtype=np.float32)[guess - first]
        if asked.name == "quadratic_kappa":
            return quadratic_kappa(grades.astype(np.float64), true - first, decided)
        return single_label.SCORES[asked.name](true - first, decided)

    return Scoring(score)


def nearest(numbers: Numbers | Table, low: int, high: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return the grades (N,) nearest to numbers (N,); a half is rounded up."""
    return np.floor(numbers.astype(np.float64) + 0.5).clip(low, high).astype(np.int64)
