"""Define a metric: a score of a table of predictions, with its standard error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TITLES = {
    "log_loss": "log loss",
    "accuracy": "accuracy",
    "balanced_accuracy": "mean per class accuracy",
    "roc_auc": "ROC AUC",
    "macro_f1": "macro F1",
}


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
        score: ``(truth (N,) int64 class numbers, probabilities (N, C) float) -> Score``.
        greater_is_better: Whether a larger value wins.
    """

    name: str
    score: Callable[[NDArray[np.int64], NDArray[np.float32]], Score]
    greater_is_better: bool


def greater_is_better(name: str) -> bool | None:
    """Return whether a larger value of a built-in metric wins; None for a plugin's metric."""
    return {"log_loss": False, "accuracy": True, "balanced_accuracy": True, "roc_auc": True, "macro_f1": True}.get(name)
