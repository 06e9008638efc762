"""Define a metric: a score of a table of predictions, with its standard error; and the facts of the built-in ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

Needs = Literal["probabilities", "a class", "ranked classes", "labels", "numbers"]


@dataclass(frozen=True)
class MetricFacts:
    """What is known about a built-in metric without computing it.

    Attributes:
        title: For people.
        needs: What the CSV holds for each image.
        greater_is_better: Whether a larger value wins.
        lowest: No value is lower.
        highest: No value is higher.
        ranks: The number of ranked classes that count; 1 for other metrics.
        tasks: The tasks it can be computed for. With several labels, ``a class`` means the labels above their
            thresholds; with ordered grades, the grade.
    """

    title: str
    needs: Needs = "a class"
    greater_is_better: bool = True
    lowest: float = 0
    highest: float = 1
    ranks: int = 1
    tasks: tuple[str, ...] = ("single-label",)


BUILT_IN_METRICS = {
    "log_loss": MetricFacts("log loss", "probabilities", greater_is_better=False, highest=inf),
    "brier": MetricFacts("Brier score", "probabilities", greater_is_better=False, highest=2),
    "accuracy": MetricFacts("accuracy"),
    "balanced_accuracy": MetricFacts("mean per class accuracy"),
    "roc_auc": MetricFacts("ROC AUC", "probabilities"),
    "partial_auc_80": MetricFacts("partial AUC above a TPR of 0.8", "probabilities", highest=0.2),
    "probabilistic_f1": MetricFacts("probabilistic F1", "probabilities"),
    "macro_f1": MetricFacts("macro F1"),
    "macro_f2": MetricFacts("macro F2"),
    "micro_f1": MetricFacts("micro F1"),
    "weighted_f1": MetricFacts("weighted F1"),
    "quadratic_kappa": MetricFacts("quadratic weighted kappa", lowest=-1),
    **{f"map_at_{k}": MetricFacts(f"MAP@{k}", "ranked classes", ranks=k) for k in (2, 3, 4, 5, 10)},
    **{
        f"top_{k}_error": MetricFacts(f"top-{k} error", "ranked classes", greater_is_better=False, ranks=k)
        for k in (1, 3, 5, 10)
    },
}
"""The built-in metrics by name."""

TITLES = {name: facts.title for name, facts in BUILT_IN_METRICS.items()}


@dataclass(frozen=True)
class Score:
    """A figure and its standard error over images."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.error:.4f}"


@dataclass(frozen=True)
class Metric:
    """A score of predictions.

    Attributes:
        name: As in `Competition.metric` and the log's columns.
        score: ``(truth, predictions (N, C) float) -> Score``; the truth is (N,) int64 class numbers for one label an
            image, else (N, C) float32 with nan where unknown.
        greater_is_better: Whether a larger value wins.
        only_value: Computes the value of `score` alone, if that is much faster: each epoch needs no standard error.
        with_table: Whether `score` takes the image table's rows as a third argument, in the order of the predictions:
            their ids, groups and further columns.
    """

    name: str
    score: Callable[..., Score]
    greater_is_better: bool
    only_value: Callable[[NDArray[Any], NDArray[np.float32]], float] | None = None
    with_table: bool = False

    def measure(self, truth: NDArray[Any], predictions: NDArray[np.float32], table: pd.DataFrame | None) -> Score:
        """Return the score of predictions (N, C).

        Args:
            truth: (N,) or (N, C), see `score`.
            predictions: (N, C).
            table: The image table's rows of these predictions; None if they are not known.
        """
        return self.score(truth, predictions, table) if self.with_table else self.score(truth, predictions)

    def value(self, truth: NDArray[Any], predictions: NDArray[np.float32], table: pd.DataFrame | None = None) -> float:
        """Return the score of predictions (N, C) without its standard error; arguments as for `measure`."""
        if self.only_value is not None:
            return self.only_value(truth, predictions)
        return self.measure(truth, predictions, table).value


def needs(name: str) -> Needs | None:
    """Return what a CSV holds for a built-in metric; None for a plugin's own."""
    facts = BUILT_IN_METRICS.get(name)
    return facts.needs if facts else None


def greater_is_better(name: str) -> bool | None:
    """Return whether a larger value of a built-in metric wins; None for a plugin's metric."""
    facts = BUILT_IN_METRICS.get(name)
    return facts.greater_is_better if facts else None
