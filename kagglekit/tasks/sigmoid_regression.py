"""Fit a head of several labels: one regularised logistic regression a label on cached activations."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from kagglekit.tasks.cross_validation import best_of, folds_of, standardised
from kagglekit.tasks.softmax_regression import STRENGTHS
from kagglekit.tasks.task import FittedHead

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FAR = 1e-6  # a label without both values is predicted with its share, kept this far from 0 and 1


def fit_sigmoid_head(
    features: NDArray[np.float32], truth: NDArray[np.float32], seed: int, groups: NDArray[np.int64] | None = None
) -> FittedHead:
    """Fit one logistic regression with an L2 penalty for each label, all with the same strength.

    The strength is the one with the lowest cross-validated log loss, the mean over all known labels.

    Args:
        features: (N, F).
        truth: (N, C) 0, 1 or nan.
        seed: Seed of the folds.
        groups: (N,) group numbers; a group's images are in one fold. None if there are no groups.
    """
    standard, mean, std = standardised(features)
    splits = folds_of(len(truth), groups, seed)

    def losses(strength: float) -> float:
        found = []
        for train, held in splits:
            weight, bias = _fitted(standard[train], truth[train], strength)
            found.append(_losses(standard[held] @ weight.T + bias, truth[held]))
        return float(np.concatenate(found).mean())

    with threadpool_limits(1, "blas"):
        strength, loss = best_of(STRENGTHS, losses) if splits else (STRENGTHS[len(STRENGTHS) // 2], float("nan"))
        weight, bias = _fitted(standard, truth, strength)
    folded = weight / std
    text = f"logistic regression of {truth.shape[1]} labels, C {strength:.2g}, "
    text += f"log loss {loss:.4f} in cross-validation on the training images" if splits else "not validated"
    return FittedHead(folded.astype(np.float32), (bias - folded @ mean).astype(np.float32), text)


def _fitted(features: NDArray[np.float32], truth: NDArray[np.float32], strength: float) -> tuple[Floats, Floats]:
    """Return weight (C, F) and bias (C,) for standardised features."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    weight, bias = np.zeros((truth.shape[1], features.shape[1])), np.zeros(truth.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for label in range(truth.shape[1]):
            known = ~np.isnan(truth[:, label])
            ones = truth[known, label]
            if len(set(ones.tolist())) < 2:
                share = float(np.clip(ones.mean() if len(ones) else 0.5, FAR, 1 - FAR))
                bias[label] = np.log(share / (1 - share))
                continue
            regression: Any = LogisticRegression(C=strength, max_iter=200, tol=2e-3).fit(features[known], ones)
            weight[label], bias[label] = regression.coef_[0], regression.intercept_[0]
    return weight, bias


def _losses(logits: Floats, truth: NDArray[np.float32]) -> Floats:
    """Return the log loss of each known label, nats."""
    known = ~np.isnan(truth)
    signed = np.where(truth == 1, logits, -logits)[known]
    return np.asarray(np.logaddexp(0, -signed))
