"""Fit a head of numbers: ridge regression on cached activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit.tasks.cross_validation import best_of, folds_of, joined, standardised
from kagglekit.tasks.task import FittedHead

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STRENGTHS = tuple(float(a) for a in np.logspace(5, -1, 13))  # of the penalty on one image, strongest first


def fit_ridge_head(
    features: NDArray[np.float32],
    truth: NDArray[np.float32],
    seed: int,
    groups: NDArray[np.int64] | None = None,
    strength: float | None = None,
) -> FittedHead:
    """Fit numbers by least squares with an L2 penalty; cross-validation chooses its strength.

    Args:
        features: (N, F).
        truth: (N, C) standardised numbers, nan where unknown.
        seed: Seed of the folds.
        groups: (N,) group numbers; a group's images are in one fold. None if there are no groups.
        strength: The strength, if it is known.
    """
    standard, mean, std = standardised(features)
    splits = [] if strength is not None else folds_of(len(truth), groups, seed)

    def held_out(strength: float) -> tuple[float, Floats]:
        parts, squares = [], []
        for train, held in splits:
            weight, bias = _fitted(standard[train], truth[train], strength)
            parts.append(standard[held] @ weight.T + bias)
            squares.append((parts[-1] - truth[held]) ** 2)
        return float(np.nanmean(np.concatenate(squares))), joined(parts, splits)

    strength, best, outputs = best_of(STRENGTHS, held_out, splits, strength)
    weight, bias = _fitted(standard, truth, strength)
    folded = weight / std
    text = f"ridge regression, alpha {strength:.2g}, "
    text += f"R2 {1 - best:.4f} in cross-validation on the training images" if splits else "not validated"
    return FittedHead(folded.astype(np.float32), (bias - folded @ mean).astype(np.float32), text, strength, outputs)


def _fitted(features: NDArray[np.float32], truth: NDArray[np.float32], strength: float) -> tuple[Floats, Floats]:
    """Return weight (C, F) and bias (C,) for standardised features."""
    from sklearn.linear_model import Ridge

    weight, bias = np.zeros((truth.shape[1], features.shape[1])), np.zeros(truth.shape[1])
    known = ~np.isnan(truth)
    if known.all():
        regression = Ridge(alpha=strength).fit(features, truth)
        return np.atleast_2d(regression.coef_).astype(np.float64), np.atleast_1d(regression.intercept_).astype(
            np.float64
        )
    for column in range(truth.shape[1]):
        rows = known[:, column]
        if rows.any():
            regression = Ridge(alpha=strength).fit(features[rows], truth[rows, column])
            weight[column], bias[column] = regression.coef_, regression.intercept_
    return weight, bias
