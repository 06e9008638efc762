"""Metrics of the order of images by their probability: areas under the ROC curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit import Score
from kagglekit_metrics.errors import linearised, need_two_classes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from kagglekit_metrics.errors import Numbers, Table, Truth

    Positive = NDArray[np.bool_]
    Scores = NDArray[np.floating]

MISSED = 0.2  # share of the positive images that may be missed: a true positive rate of 0.8
DOUBLED = 0.4  # of weighted_auc: areas below this true positive rate count twice


def roc_auc(truth: Truth, probabilities: Table) -> Score:
    """Return the area under the ROC curve; for more than two classes the mean of one against the rest.

    For two classes it does not matter which of them is the positive one. Ranking by the difference of their
    probabilities keeps that true if float32 rounds the larger one to 1. Classes without images do not count.

    Raises:
        UserError: All images are of one class.
    """
    need_two_classes("roc_auc", truth)
    areas, influence = [], np.zeros(len(truth))
    for scores, positive in _columns(truth, probabilities):
        areas.append(area(scores, positive))
        influence += _influence(scores, positive, areas[-1])
    return linearised(float(np.mean(areas)), influence / len(areas))


def roc_auc_value(truth: Truth, probabilities: Table) -> float:
    """Return the value of `roc_auc` alone: the ranks of images of other classes are not needed."""
    need_two_classes("roc_auc", truth)
    return float(np.mean([area(scores, positive) for scores, positive in _columns(truth, probabilities)]))


def _columns(truth: Truth, probabilities: Table) -> Iterator[tuple[Scores, Positive]]:
    """Yield the scores (N,) and the positive images of each class with images; of two classes only once."""
    if probabilities.shape[1] == 2:
        yield _difference(probabilities, 1), truth == 1
        return
    for c in np.unique(truth):
        yield np.ascontiguousarray(probabilities[:, c]), truth == c


def _difference(probabilities: Table, positive: int) -> Numbers:
    table = probabilities.astype(np.float64)
    return table[:, positive] - table[:, 1 - positive]


def _below(ordered: Scores, scores: Scores) -> Numbers:
    """Return how many of the ordered scores are lower than each score; equal ones count half."""
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / 2


def area(scores: Scores, positive: Positive) -> float:
    """Return the share of (positive, negative) pairs in the right order, ties half.

    This is the Mann-Whitney form of the area (Hanley and McNeil 1982, "The meaning and use of the area under
    a receiver operating characteristic curve").
    """
    ups, downs = scores[positive], np.sort(scores[~positive])
    return float(_below(downs, ups).sum() / (len(ups) * len(downs)))


def _influence(scores: Scores, positive: Positive, value: float) -> Numbers:
    """Return the influence (N,) of images on the area.

    It is made of the components of DeLong et al. 1988, "Comparing the areas under two or more correlated receiver
    operating characteristic curves": the share of images of the other side that an image is ranked right with.
    """
    ups, downs = np.sort(scores[positive]), np.sort(scores[~positive])
    influence = np.empty(len(scores))
    influence[positive] = (_below(downs, scores[positive]) / len(downs) - value) * (len(scores) / len(ups))
    above = len(ups) - _below(ups, scores[~positive])
    influence[~positive] = (above / len(ups) - value) * (len(scores) / len(downs))
    return influence


def partial_auc_80(positive: int, truth: Truth, probabilities: Table) -> Score:
    """Return the area between the ROC curve and a true positive rate of 0.8, from 0 to 0.2, for two classes.

    Args:
        positive: Number of the positive class.
        truth: (N,) class numbers.
        probabilities: (N, 2).

    Raises:
        UserError: All images are of one class.
    """
    need_two_classes("partial_auc_80", truth)
    return linearised(*partial_area(_difference(probabilities, positive), truth == positive))


def weighted_auc(positive: int, truth: Truth, probabilities: Table) -> Score:
    """Return `weighted_area` for two classes; arguments and errors as for `partial_auc_80`."""
    need_two_classes("weighted_auc", truth)
    return linearised(*weighted_area(_difference(probabilities, positive), truth == positive))


def full_area(scores: Scores, positive: Positive) -> tuple[float, Numbers]:
    """Return the area under the ROC curve and the influence (N,) of images on it."""
    value = area(scores, positive)
    return value, _influence(scores, positive, value)


def weighted_area(scores: Scores, positive: Positive) -> tuple[float, Numbers]:
    """Return the area under the ROC curve whose part below a true positive rate of 0.4 counts twice, from 0 to 1.

    This is how Kaggle's ALASKA2 was scored. Also returns the influence (N,) of images on it.
    """
    whole, of_whole = full_area(scores, positive)
    upper, of_upper = partial_area(scores, positive, 1 - DOUBLED)
    return (2 * whole - upper) / (1 + DOUBLED), (2 * of_whole - of_upper) / (1 + DOUBLED)


def partial_area(scores: Scores, positive: Positive, most: float = MISSED) -> tuple[float, Numbers]:
    """Return the area between the ROC curve and a true positive rate of 1 - `most`, and the influence (N,) on it.

    It is computed as the area left of the curve: the share of negative images below a threshold, over the share of
    positive images below it, from 0 to `most`.
    """
    ups, downs = np.sort(scores[positive]), np.sort(scores[~positive])
    steps = np.unique(scores)
    missed = np.append(0, np.searchsorted(ups, steps, "right") / len(ups))
    spared = np.append(0, np.searchsorted(downs, steps, "right") / len(downs))
    value = _area_left_of(missed, spared, most)
    cut = ups[int(np.ceil(most * len(ups))) - 1]
    rate = float(_below(downs, cut)) / len(downs)
    gain = np.where(scores <= cut, _below(downs, scores) / len(downs) - rate, 0) + most * rate
    saved = np.maximum(most - _below(ups, scores) / len(ups), 0)
    influence = np.where(positive, (gain - value) / positive.mean(), (saved - value) / (1 - positive.mean()))
    return value, influence


def _area_left_of(missed: Numbers, spared: Numbers, most: float) -> float:
    """Return the area under straight lines between the points (missed, spared), up to missed = `most`."""
    width = np.diff(missed)
    used = np.clip(most - missed[:-1], 0, width)
    part = np.divide(used, width, out=np.zeros_like(width), where=width > 0)
    return float((used * (spared[:-1] + part * np.diff(spared) / 2)).sum())
