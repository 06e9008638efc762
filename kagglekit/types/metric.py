"""Define a metric: a score of a table of predictions, with its standard error; and the facts of the built-in ones."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

Needs = Literal["probabilities", "a class", "ranked classes", "labels", "numbers"]


LABELS = "multi-label"


@dataclass(frozen=True)
class MetricFacts:
    """What is known about a built-in metric without computing it.

    Attributes:
        title: For people.
        needs: What the CSV holds for each image; with several labels an image, see `needs_of`.
        greater_is_better: Whether a larger value wins.
        lowest: No value is lower.
        highest: No value is higher.
        ranks: The number of ranked classes that count; 1 for other metrics.
        tasks: The kinds of task that it can be computed for.
    """

    title: str
    needs: Needs = "a class"
    greater_is_better: bool = True
    lowest: float = 0
    highest: float = 1
    ranks: int = 1
    tasks: tuple[str, ...] = ("single-label",)

    def needs_of(self, kinds: Collection[str]) -> Needs:
        """Return what the CSV holds for a task, see `Task.kinds`: sets of labels instead of a class if it has them."""
        return "labels" if LABELS in kinds and self.needs == "a class" else self.needs


_CLASSES = ("single-label", "ordinal", "several")
_PROBABILITIES = ("single-label", LABELS, "several")
_ONE_OF_TWO = ("single-label", LABELS)
_DECIDED = ("single-label", LABELS, "ordinal", "several")
_NUMBERS = ("regression", "ordinal")
_ALL_NUMBERS = (*_NUMBERS, "several")


def _probabilities(title: str, tasks: tuple[str, ...] = _PROBABILITIES, highest: float = 1) -> MetricFacts:
    return MetricFacts(title, "probabilities", highest=highest, tasks=tasks)


def _decided(title: str, tasks: tuple[str, ...] = _DECIDED, lowest: float = 0) -> MetricFacts:
    return MetricFacts(title, lowest=lowest, tasks=tasks)


def _loss(title: str, needs: Needs, tasks: tuple[str, ...], highest: float = inf) -> MetricFacts:
    return MetricFacts(title, needs, greater_is_better=False, highest=highest, tasks=tasks)


def _fit(title: str, tasks: tuple[str, ...] = _NUMBERS, lowest: float = -inf) -> MetricFacts:
    return MetricFacts(title, "numbers", lowest=lowest, tasks=tasks)


BUILT_IN_METRICS = {
    "log_loss": _loss("log loss", "probabilities", _PROBABILITIES),
    "brier": _loss("Brier score", "probabilities", _PROBABILITIES, highest=2),
    "accuracy": _decided("accuracy"),
    "balanced_accuracy": _decided("mean per class accuracy", _CLASSES),
    "roc_auc": _probabilities("ROC AUC"),
    "partial_auc_80": _probabilities("partial AUC above a TPR of 0.8", _ONE_OF_TWO, highest=0.2),
    "weighted_auc": _probabilities("AUC, doubled up to a TPR of 0.4", _ONE_OF_TWO),
    "probabilistic_f1": _probabilities("probabilistic F1", _ONE_OF_TWO),
    "macro_f1": _decided("macro F1"),
    "macro_f2": _decided("macro F2"),
    "micro_f1": _decided("micro F1"),
    "micro_f2": _decided("micro F2"),
    "weighted_f1": _decided("weighted F1"),
    "sets_f1": _decided("mean F1 of sets", _ONE_OF_TWO),
    "sets_f2": _decided("mean F2 of sets", _ONE_OF_TWO),
    "quadratic_kappa": _decided("quadratic weighted kappa", _CLASSES, lowest=-1),
    **{f"map_at_{k}": MetricFacts(f"MAP@{k}", "ranked classes", ranks=k) for k in (2, 3, 4, 5, 10)},
    **{
        f"top_{k}_error": MetricFacts(f"top-{k} error", "ranked classes", greater_is_better=False, ranks=k)
        for k in (1, 3, 5, 10)
    },
    "rmse": _loss("RMSE", "numbers", _ALL_NUMBERS),
    "mcrmse": _loss("mean columnwise RMSE", "numbers", _NUMBERS),
    "rmsle": _loss("RMSLE", "numbers", _NUMBERS),
    "mae": _loss("MAE", "numbers", _ALL_NUMBERS),
    "r2": _fit("R2", _ALL_NUMBERS),
    "weighted_r2": _fit("weighted R2"),
    "pearson": _fit("Pearson correlation", lowest=-1),
    "spearman": _fit("Spearman correlation", lowest=-1),
    "blocks_loss": _loss("mean loss", "probabilities", ("several",)),
}
"""The built-in metrics by name."""

TITLES = {name: facts.title for name, facts in BUILT_IN_METRICS.items()}


def title_of(key: str) -> str:
    """Return a score's title: ``valid log loss`` for ``valid_log_loss``; a metric alone has its own."""
    split, _, metric = key.partition("_")
    return f"{split} {TITLES.get(metric, metric)}" if split in ("valid", "test") and metric else TITLES.get(key, key)


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
        needs: What the CSV holds for the metric, which chooses a decision; None if that is not known. Of a built-in
            metric it is known by its name.
    """

    name: str
    score: Callable[..., Score]
    greater_is_better: bool
    only_value: Callable[[NDArray[Any], NDArray[np.float32]], float] | None = None
    with_table: bool = False
    needs: Needs | None = None

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


def needs(name: str, kinds: Collection[str] = ("single-label",)) -> Needs | None:
    """Return what a CSV holds for a built-in metric and a task, see `Task.kinds`; None for a plugin's own metric."""
    facts = BUILT_IN_METRICS.get(name)
    return facts.needs_of(kinds) if facts else None


def greater_is_better(name: str) -> bool | None:
    """Return whether a larger value of a built-in metric wins; None for a plugin's metric."""
    facts = BUILT_IN_METRICS.get(name)
    return facts.greater_is_better if facts else None


@dataclass(frozen=True)
class Spread:
    """One score over seeds.

    Attributes:
        name: ``log_loss``, ``accuracy`` or the competition's metric.
        mean: Over the runs.
        deviation: Standard deviation over the runs, of one run: s.
        paired_error: Standard error over images of the difference of two runs, averaged over all pairs: p.
        smallest: Smallest significant difference between two recipes, each run once.
    """

    name: str
    mean: float
    deviation: float
    paired_error: float
    smallest: float
