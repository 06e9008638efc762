"""Decide which labels an image has: always the same number of the likeliest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit import Competition, Decision, Recipe
from kagglekit_decisions.candidates import best_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kagglekit import Task

    Values = NDArray[np.float32]
    Score = Callable[[Any, Values], float]


def count(recipe: Recipe, competition: Competition, task: Task) -> Decision:
    """Return the decision that gives each image the k likeliest labels; k is the best number."""

    def scores(truth: Any, values: Values, score: Score) -> list[float]:
        return [score(truth, _likeliest(values, k)) for k in range(1, values.shape[1] + 1)]

    def fit(truth: Any, values: Values, score: Score) -> dict[str, int]:
        return {"count": int(best_of(range(1, values.shape[1] + 1), scores(truth, values, score), 1))}

    def curves(found: Any, truth: Any, values: Values, score: Score) -> dict[str, list[tuple[float, float]]]:
        found_scores = scores(truth, values, score)
        return {"number of labels": [(float(k), each) for k, each in enumerate(found_scores, 1)]}

    return Decision(
        "count", lambda found, values: _likeliest(values, found["count"]), {"count": 1}, fit, curves, "labels"
    )


def _likeliest(values: Values, k: int) -> Values:
    """Return 1 for the k likeliest labels of each row (N, C), 0 for the others; of equal ones the first leads."""
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    decided = np.zeros_like(values)
    np.put_along_axis(decided, order, 1, axis=1)
    return decided
