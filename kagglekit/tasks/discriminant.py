"""Regularised linear discriminant analysis: a linear head in closed form, which errs otherwise than a regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit.tasks.cross_validation import Split, standardised
from kagglekit.tasks.task import FittedHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SHRINKAGE = 0.3  # of the covariance towards a multiple of the identity
LEAST = 0.01  # mean variance within classes, of standardised features


def fit_discriminant(
    features: NDArray[np.float32], labels: NDArray[np.int64], n_classes: int, splits: Sequence[Split]
) -> FittedHead:
    """Fit a linear discriminant analysis whose covariance is shrunk.

    With the covariance S within classes, of d features, ``S_a = (1 - a) S + a tr(S) / d I``; the output of a class with
    mean m is ``m' S_a^-1 x - m' S_a^-1 m / 2`` (Friedman 1989, "Regularized discriminant analysis", Journal of the
    American Statistical Association 84, equation 18 with one covariance for all classes).

    Args:
        features: (N, F).
        labels: (N,) class numbers.
        n_classes: C.
        splits: Training and held-out rows of folds; none for no held-out outputs.
    """
    standard, mean, std = standardised(features)
    held_out = None
    if splits:
        held_out = np.full((len(labels), n_classes), np.nan, np.float32)
        for train, held in splits:
            weight, bias = _fitted(standard[train], labels[train], n_classes)
            held_out[held] = standard[held] @ weight.T.astype(np.float32) + bias.astype(np.float32)
    weight, bias = _fitted(standard, labels, n_classes)
    folded = weight / std
    text = f"discriminant analysis, shrinkage {SHRINKAGE:g}"
    return FittedHead(folded.astype(np.float32), (bias - folded @ mean).astype(np.float32), text, SHRINKAGE, held_out)


def _fitted(features: NDArray[np.float32], labels: NDArray[np.int64], n_classes: int) -> tuple[Floats, Floats]:
    """Return weight (C, F) and bias (C,); a class without images gets weight zero and the lowest bias."""
    from scipy.linalg import cho_factor, cho_solve

    counts = np.bincount(labels, minlength=n_classes)
    there = counts > 0
    hot = np.zeros((n_classes, len(labels)), np.float32)
    hot[labels, np.arange(len(labels))] = 1
    means = (hot @ features).astype(np.float64) / np.maximum(counts, 1)[:, None]
    within = features - means.astype(np.float32)[labels]
    covariance = (within.T @ within).astype(np.float64) / max(1, len(labels) - int(there.sum()))
    d = len(covariance)
    width = max(float(np.trace(covariance)) / d, LEAST)  # one image a class leaves nothing within classes
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * width * np.eye(d)
    weight = np.zeros_like(means)
    weight[there] = cho_solve(cho_factor(shrunk, overwrite_a=True), means[there].T).T
    bias = -0.5 * (weight * means).sum(axis=1)
    bias[~there] = bias[there].min() - 10.0
    return weight, bias
