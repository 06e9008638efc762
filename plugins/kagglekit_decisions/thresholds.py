"""Decide which labels an image has: those whose probabilities reach a threshold.

A threshold of each label maximises the competition's metric by coordinate ascent. F-scores are computed for all
thresholds at once (`kagglekit_decisions.f_scores`), other metrics for some fifty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit import Competition, Decision, Recipe
from kagglekit_decisions.candidates import ascend, best_of, spread
from kagglekit_decisions.f_scores import CURVES, OF_EACH_LABEL, Labels, labels_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kagglekit import Task

    Values = NDArray[np.float32]
    Floats = NDArray[np.float64]
    Score = Callable[[Any, Values], float]

PLAIN = 0.5
TRIED = 50  # thresholds of a label, for metrics that are computed for one at a time
GRID = np.linspace(0.02, 0.98, 49)  # of the threshold that all labels share
SHOWN = 25  # points of a curve


def threshold(recipe: Recipe, competition: Competition, task: Task) -> Decision:
    """Return the decision that has one threshold for all labels."""

    def fit(truth: Values, values: Values, score: Score) -> dict[str, float]:
        return {"threshold": _shared(truth, values, _completed(score, task, values))}

    def curves(found: Any, truth: Values, values: Values, score: Score) -> dict[str, list[tuple[float, float]]]:
        tried, scored = np.unique(np.append(GRID, found["threshold"])), _completed(score, task, values)
        return {"all labels": _points(tried, np.array([scored(truth, _decided(values, at)) for at in tried]))}

    plain = {"threshold": PLAIN}
    return Decision(
        "threshold", lambda found, values: _decided(values, found["threshold"]), plain, fit, curves, "labels"
    )


def thresholds(recipe: Recipe, competition: Competition, task: Task) -> Decision:
    """Return the decision that has a threshold for each label."""

    def numbers(found: dict[str, Any]) -> Floats:
        return np.array([found["thresholds"][name] for name in task.columns])

    def search(truth: Values, values: Values, score: Score) -> _Search:
        bare = task.completed(np.zeros_like(values[:1]), values[:1])
        return _Search(truth, values, _completed(score, task, values), labels_of(truth, values, bool(bare.any())))

    def fit(truth: Values, values: Values, score: Score) -> dict[str, Any]:
        found = search(truth, values, score).of_labels(competition.metric)
        return {"thresholds": dict(zip(task.columns, found.tolist(), strict=True))}

    def curves(found: Any, truth: Values, values: Values, score: Score) -> dict[str, list[tuple[float, float]]]:
        tried, at = search(truth, values, score).tried, numbers(found)
        return {name: _points(*tried(SHOWN, label, at)) for label, name in enumerate(task.columns)}

    plain = {"thresholds": dict.fromkeys(task.columns, PLAIN)}
    return Decision("thresholds", lambda found, values: _decided(values, numbers(found)), plain, fit, curves, "labels")


def _decided(values: Values, at: float | Floats) -> Values:
    return (values >= np.asarray(at, np.float32)).astype(np.float32)


def _completed(score: Score, task: Task, values: Values) -> Score:
    """Return the score of decided labels without impossible rows, which are completed before they are scored."""
    return lambda truth, decided: score(truth, task.completed(decided, values))


def _shared(truth: Values, values: Values, score: Score) -> float:
    """Return the threshold for all labels with the best score."""
    own = np.unique(values).astype(np.float64)
    between = spread(((own[1:] + own[:-1]) / 2)[::-1], TRIED)
    candidates = np.unique(np.concatenate([GRID, between]))
    return best_of(candidates, [score(truth, _decided(values, at)) for at in candidates], PLAIN)


def _points(tried: Floats, scores: Floats) -> list[tuple[float, float]]:
    order = np.argsort(tried, kind="stable")
    kept = order[np.isfinite(scores[order])]
    return list(zip(tried[kept].tolist(), scores[kept].tolist(), strict=True))


@dataclass(frozen=True)
class _Search:
    """The predictions that thresholds are searched on."""

    truth: Values
    values: Values
    score: Score
    labels: Labels

    def of_labels(self, metric: str) -> Floats:
        """Return the thresholds (C,) by coordinate ascent: from the best one that all share, where that matters."""
        usual = np.full(self.values.shape[1], PLAIN)
        start = usual
        if metric not in OF_EACH_LABEL:
            start = np.full_like(usual, _shared(self.truth, self.values, self.score))
        return ascend(start, partial(self.exact, metric) if metric in CURVES else partial(self.tried, TRIED), usual)

    def exact(self, metric: str, label: int, at: Floats) -> tuple[Floats, Floats]:
        """Return all thresholds of a label with their F-scores, the one that it has first."""
        curve, beta = CURVES[metric]
        own = self.labels.columns[label]
        scores = curve(beta, self.labels, label, _decided(self.values, at) == 1)
        predicted = int((self.values[own.order, label] >= np.float32(at[label])).sum())
        now = scores[np.searchsorted(own.places, predicted)]
        return np.append(at[label], own.thresholds), np.append(now, scores)

    def tried(self, n: int, label: int, at: Floats) -> tuple[Floats, Floats]:
        """Return some thresholds of a label with their scores, the one that it has first."""
        tried = np.append(at[label], spread(self.labels.columns[label].thresholds, n))
        decided, scores = _decided(self.values, at), np.empty(len(tried))
        for place, one in enumerate(tried):
            decided[:, label] = self.values[:, label] >= np.float32(one)
            scores[place] = self.score(self.truth, decided)
        return tried, scores
