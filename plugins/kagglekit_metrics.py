"""Provide the built-in metrics, each with its standard error.

All are a few lines of numpy: importing scikit-learn would take longer than most runs spend on scoring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit import Competition, Metric, Provides, Score, UserError, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Truth = NDArray[np.int64]
    Table = NDArray[np.float32]
    Value = Callable[[NDArray[np.float64]], float]

SMALLEST = 1e-15
BOOTSTRAPS = 200


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the metrics' names."""
    return Provides(metric=tuple(_SCORES))


@hookimpl
def kagglekit_metric(competition: Competition) -> Metric | None:
    """Return the competition's metric if it is one of these."""
    if competition.metric not in _SCORES:
        return None
    score = _SCORES[competition.metric]

    def checked(truth: Truth, probabilities: Table) -> Score:
        if not len(truth):
            raise UserError(f"cannot compute {competition.metric} without labelled images", "hold out more images")
        return score(truth, probabilities)

    return Metric(competition.metric, checked, greater_is_better=competition.metric != "log_loss")


def log_loss(truth: Truth, probabilities: Table) -> Score:
    """Return the mean over images of -log p(true class), nats, the same for two classes and more.

    As on Kaggle, each row is divided by its sum, then probabilities are kept within [1e-15, 1 - 1e-15].
    """
    table = probabilities.astype(np.float64)
    right = table[np.arange(len(truth)), truth] / table.sum(axis=1)
    return _mean(-np.log(right.clip(SMALLEST, 1 - SMALLEST)))


def accuracy(truth: Truth, probabilities: Table) -> Score:
    """Return the share of images whose likeliest class is the true one; ties go to the first class."""
    return _mean((probabilities.argmax(axis=1) == truth).astype(np.float64))


def balanced_accuracy(truth: Truth, probabilities: Table) -> Score:
    """Return the mean recall over the classes present: the share of each class's images that are right."""
    right = probabilities.argmax(axis=1) == truth

    def value(weights: NDArray[np.float64]) -> float:
        images = np.bincount(truth, weights)
        hits = np.bincount(truth, weights * right)
        return float((hits[images > 0] / images[images > 0]).mean())

    return _bootstrapped(value, len(truth))


def macro_f1(truth: Truth, probabilities: Table) -> Score:
    """Return the mean of each class's F1 = 2 hits / (images + predictions).

    Classes that are neither present nor predicted do not count.
    """
    predicted, n_classes = probabilities.argmax(axis=1), probabilities.shape[1]

    def value(weights: NDArray[np.float64]) -> float:
        both = np.bincount(truth, weights, n_classes) + np.bincount(predicted, weights, n_classes)
        hits = np.bincount(truth, weights * (predicted == truth), n_classes)
        return float((2 * hits[both > 0] / both[both > 0]).mean())

    return _bootstrapped(value, len(truth))


def roc_auc(truth: Truth, probabilities: Table) -> Score:
    """Return the area under the ROC curve; for more than two classes the mean of one against the rest.

    For two classes it does not matter which of them is the positive one. Ranking by the difference of their
    probabilities keeps that true if float32 rounds the larger one to 1.

    Raises:
        UserError: All images are of one class.
    """
    if len(np.unique(truth)) < 2:
        raise UserError(
            "roc_auc needs images of two classes, but all are of one class", "hold out more images: --set valid=0.3"
        )
    table = probabilities.astype(np.float64)
    if table.shape[1] == 2:
        areas = [_area(table[:, 1] - table[:, 0], truth == 1)]
    else:
        areas = [_area(table[:, c], truth == c) for c in range(table.shape[1])]
    return _bootstrapped(lambda weights: _mean_present([area(weights) for area in areas]), len(truth))


def _area(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> Value:
    """Return the share of (positive, negative) pairs in the right order, ties half, as a function of image weights.

    This is the Mann-Whitney form of the area (Hanley and McNeil 1982, "The meaning and use of the area under
    a receiver operating characteristic curve"); nan if one side is missing.
    """
    place = np.unique(scores, return_inverse=True)[1]

    def value(weights: NDArray[np.float64]) -> float:
        ups, downs = np.bincount(place, weights * positive), np.bincount(place, weights * ~positive)
        pairs = ups.sum() * downs.sum()
        return float(ups @ (downs.cumsum() - downs / 2) / pairs) if pairs else np.nan

    return value


def _mean_present(values: list[float]) -> float:
    present = [value for value in values if not np.isnan(value)]
    return float(np.mean(present)) if present else np.nan


def _mean(of_images: NDArray[np.float64]) -> Score:
    """Return the mean and its standard error sd / sqrt(n), which for hits and misses is the binomial one."""
    return Score(float(of_images.mean()), float(of_images.std() / np.sqrt(len(of_images))))


def _bootstrapped(value: Value, n: int) -> Score:
    """Return the value with all weights 1, and its bootstrap error: the deviation over resampled images.

    Efron 1979, "Bootstrap methods: another look at the jackknife": a sample is a multinomial vector of weights.
    The samples are seeded, so that equal predictions have equal errors.
    """
    draws = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=BOOTSTRAPS)
    values = [value(weights.astype(np.float64)) for weights in draws]
    return Score(value(np.ones(n)), float(np.nanstd(values)))


_SCORES: dict[str, Callable[[Truth, Table], Score]] = {
    "log_loss": log_loss,
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "roc_auc": roc_auc,
    "macro_f1": macro_f1,
}
