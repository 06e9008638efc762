"""Metrics that are means over images, or a ratio of two such means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit import Score, UserError
from kagglekit_metrics.errors import HOLD_OUT_MORE, linearised, mean_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kagglekit_metrics.errors import Numbers, Table, Truth

SMALLEST = 1e-15


def log_loss(truth: Truth, probabilities: Table) -> Score:
    """Return the mean over images of -log p(true class), nats, the same for two classes and more.

    As on Kaggle, each row is divided by its sum, then probabilities are kept within [1e-15, 1 - 1e-15].
    """
    table = probabilities.astype(np.float64)
    right = table[np.arange(len(truth)), truth] / table.sum(axis=1)
    return mean_score(-np.log(right.clip(SMALLEST, 1 - SMALLEST)))


def brier(truth: Truth, probabilities: Table) -> Score:
    """Return the mean squared difference of probabilities and truth, 0 or 1 for each class.

    It is summed over the classes, and halved for two classes (Brier 1950, "Verification of forecasts expressed in
    terms of probability"), which is then the squared difference of one column: scikit-learn's convention, too.
    """
    squares = np.einsum("ij,ij->i", probabilities, probabilities, dtype=np.float64)
    right = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return mean_score((squares - 2 * right + 1) / (2 if probabilities.shape[1] == 2 else 1))


def accuracy(truth: Truth, probabilities: Table) -> Score:
    """Return the share of images whose likeliest class is the true one; ties go to the first class."""
    return mean_score((probabilities.argmax(axis=1) == truth).astype(np.float64))


def map_at(k: int, truth: Truth, probabilities: Table) -> Score:
    """Return the mean average precision at k: an image counts 1 / place of its class among the k likeliest, else 0."""
    place = places(truth, probabilities)
    return mean_score(np.where(place <= k, 1 / place, 0.0))


def top_error(k: int, truth: Truth, probabilities: Table) -> Score:
    """Return the share of images whose class is not among the k likeliest.

    Raises:
        UserError: There are no more than k classes: the error is always 0.
    """
    n_classes = probabilities.shape[1]
    if n_classes <= k:
        raise UserError(
            f"top_{k}_error of {n_classes} classes is always 0", f"choose a metric for fewer than {k + 1} classes"
        )
    return mean_score((places(truth, probabilities) > k).astype(np.float64))


def places(truth: Truth, probabilities: Table) -> Numbers:
    """Return the place (N,) of each image's class, 1 for the likeliest; of equal ones the first class leads."""
    right = probabilities[np.arange(len(truth)), truth][:, None]
    place: Numbers = 1.0 + np.count_nonzero(probabilities > right, axis=1)
    equal = probabilities == right
    for row in np.flatnonzero(np.count_nonzero(equal, axis=1) > 1):
        place[row] += np.count_nonzero(equal[row, : truth[row]])
    return place


def probabilistic_f1(positive: int, truth: Truth, probabilities: Table) -> Score:
    """Return F1 with probabilities in place of decisions: 2 sum(p y) / (sum(p) + sum(y)).

    p is the probability of the positive class, y is 1 for its images (Yacouby and Axman 2020, "Probabilistic
    extension of precision, recall, and F1 score").

    Raises:
        UserError: No image is of the positive class.
    """
    is_positive = truth == positive
    if not is_positive.any():
        raise UserError("probabilistic_f1 needs images of the positive class, but there are none", HOLD_OUT_MORE)
    return linearised(*shared_f1(probabilities[:, positive], is_positive))


def shared_f1(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> tuple[float, Numbers]:
    """Return the probabilistic F1 of probabilities (N,), and the influence (N,) of images on it."""
    is_positive, share = positive.astype(np.float64), scores.astype(np.float64)
    both = share + is_positive
    value = float(2 * (share @ is_positive) / both.sum())
    return value, (2 * share * is_positive - value * both) / both.mean()
