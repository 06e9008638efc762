"""Decide which grade a number stands for, by cuts between the grades."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit import Competition, Decision, Recipe
from kagglekit_decisions.candidates import ascend

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kagglekit import Task

    Values = NDArray[np.float32]
    Floats = NDArray[np.float64]
    Score = Callable[[Any, Values], float]

TRIED = 50  # places of a cut


def cuts(recipe: Recipe, competition: Competition, task: Task) -> Decision:
    """Return the decision that cuts numbers into the grades of an ordinal task; plain cuts round to whole grades."""
    grades: NDArray[np.int64] = task.grades  # type: ignore[attr-defined]  # of ordinal tasks, as was checked
    halves: Floats = grades[:-1].astype(np.float64) + 0.5

    def grade(values: Values, at: Floats) -> Values:
        found: Values = grades[np.searchsorted(at.astype(np.float32), values, side="right")].astype(np.float32)
        return found

    def fit(truth: Values, values: Values, score: Score) -> dict[str, list[float]]:
        starts = [halves, _matching(truth, values, grades)]
        best = max(starts, key=lambda at: score(truth, grade(values, at)))
        curve = partial(_curve, truth, values, score, grade, TRIED)
        return {"cuts": ascend(best, curve, halves).tolist()}

    def curves(found: Any, truth: Values, values: Values, score: Score) -> dict[str, list[tuple[float, float]]]:
        at, drawn = np.array(found["cuts"]), {}
        for k, upper in enumerate(grades[1:]):
            places, scores = _curve(truth, values, score, grade, TRIED, k, at)
            points = sorted(zip(places.tolist(), scores.tolist(), strict=True))
            drawn[f"from grade {upper}"] = [each for each in points if np.isfinite(each[1])]
        return drawn

    plain = {"cuts": halves.tolist()}
    return Decision("cuts", lambda found, values: grade(values, np.array(found["cuts"])), plain, fit, curves, "grades")


def _matching(truth: Values, values: Values, grades: NDArray[np.int64]) -> Floats:
    """Return the cuts (K,) that give each grade as many images as have it."""
    known = ~np.isnan(truth[:, 0])
    if not known.any():
        return np.asarray(grades[:-1].astype(np.float64) + 0.5)
    below = [float((truth[known, 0] <= grade).mean()) for grade in grades[:-1]]
    return np.asarray(np.quantile(values[known, 0].astype(np.float64), below))


def _curve(
    truth: Values,
    values: Values,
    score: Score,
    grade: Callable[[Values, Floats], Values],
    n: int,
    k: int,
    at: Floats,
) -> tuple[Floats, Floats]:
    """Return places of the k-th cut between its neighbours, where it is first, and their scores."""
    low, high = (at[k - 1] if k else -np.inf), (at[k + 1] if k + 1 < len(at) else np.inf)
    between = np.unique(values[(values >= low) & (values <= high)].astype(np.float64))
    middle = (between[1:] + between[:-1]) / 2
    tried = np.append(at[k], middle if len(middle) <= n else np.quantile(middle, np.linspace(0, 1, n)))
    scores, moved = np.empty(len(tried)), at.copy()
    for place, moved[k] in enumerate(tried):
        scores[place] = score(truth, grade(values, moved))
    return tried, scores
