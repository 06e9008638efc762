"""Labels that are probably wrong, by predictions of models that did not train on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def label_errors(truth: NDArray[np.int64], values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the rows (M,) int64 whose label is probably wrong, most suspect first.

    Confident learning (Northcutt et al. 2021, arXiv:1911.00068, eq. 1 and 2): an image confidently belongs to a class
    if its probability is at least the mean over the images with that label. If the most probable of these classes is
    not the image's label, the label is suspect. Suspects are ranked by the label's probability minus the highest other
    probability.

    Args:
        truth: (N,) class numbers.
        values: (N, C) probabilities, each by a model that did not train on the image.
    """
    actual = values[np.arange(len(truth)), truth]
    labelled = np.bincount(truth, minlength=values.shape[1])
    sums = np.bincount(truth, weights=actual, minlength=values.shape[1])
    threshold = np.where(labelled > 0, sums / np.maximum(labelled, 1), np.inf)
    confident = np.where(values >= threshold, values, -1.0)
    suspected = np.flatnonzero((confident.max(1) >= 0) & (confident.argmax(1) != truth))
    others = values.copy()
    others[np.arange(len(truth)), truth] = -1.0
    margin = actual - others.max(1)
    return np.asarray(suspected[np.argsort(margin[suspected], kind="stable")], dtype=np.int64)
