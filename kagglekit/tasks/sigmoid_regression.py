"""Fit a head of several labels: one regularised logistic regression a label on cached activations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from kagglekit.tasks.cross_validation import best_of, folds_of, joined, standardised
from kagglekit.tasks.softmax_regression import STRENGTHS
from kagglekit.tasks.task import FittedHead

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Halves = NDArray[np.float32]

MOST_STEPS = 200
FLAT = 1e-5  # the largest slope of the mean loss at which a fit ends
FAR = 1e-6  # a label without both values is predicted with its share, kept this far from 0 and 1


def fit_sigmoid_head(
    features: Halves,
    truth: Halves,
    seed: int,
    groups: NDArray[np.int64] | None = None,
    strength: float | None = None,
) -> FittedHead:
    """Fit one logistic regression with an L2 penalty for each label, all with the same strength.

    The strength is the one with the lowest cross-validated log loss, the mean over all known labels.

    Args:
        features: (N, F).
        truth: (N, C) 0, 1 or nan.
        seed: Seed of the folds.
        groups: (N,) group numbers; a group's images are in one fold. None if there are no groups.
        strength: The strength, if it is known.
    """
    standard, mean, std = standardised(features)
    splits = [] if strength is not None else folds_of(len(truth), groups, seed)
    fits = [Regressions(standard[train], truth[train]) for train, _ in splits]

    def held_out(strength: float) -> tuple[float, Floats]:
        def of_fold(number: int) -> Floats:
            weight, bias = fits[number].fitted(strength)
            return standard[splits[number][1]] @ weight.T.astype(np.float32) + bias

        parts = list(threads.map(of_fold, range(len(splits))))
        losses = [_losses(logits, truth[held]) for logits, (_, held) in zip(parts, splits, strict=True)]
        return float(np.concatenate(losses).mean()), joined(parts, splits)

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(max(1, len(splits))) as threads:
        strength, loss, outputs = best_of(STRENGTHS, held_out, splits, strength)
    weight, bias = Regressions(standard, truth).fitted(strength)
    folded = weight / std
    text = f"logistic regression of {truth.shape[1]} labels, C {strength:.2g}, "
    text += f"log loss {loss:.4f} in cross-validation on the training images" if splits else "not validated"
    return FittedHead(folded.astype(np.float32), (bias - folded @ mean).astype(np.float32), text, strength, outputs)


class Regressions:
    """The logistic regressions of all labels on the same images; each fit begins where the last one ended.

    They don't depend on each other, but one minimisation of the sum of their losses multiplies by the features for all
    labels at once, which is many times faster than a solver for each.

    Args:
        features: (N, F), standardised.
        truth: (N, C) 0, 1 or nan.
    """

    def __init__(self, features: Halves, truth: Halves) -> None:
        self.features = features
        ones = np.nansum(truth, axis=0)
        known = (~np.isnan(truth)).sum(axis=0)
        self.both = (ones > 0) & (ones < known)  # the other labels have no regression
        share = np.where(known > 0, ones / np.maximum(known, 1), 0.5).clip(FAR, 1 - FAR)
        self.sides = np.where(np.isnan(truth), 0, 2 * truth - 1)[:, self.both].astype(np.float32)
        self.bias = np.log(share / (1 - share))
        self.flat = np.concatenate([np.zeros(features.shape[1] * self.both.sum()), self.bias[self.both]])

    def fitted(self, strength: float) -> tuple[Floats, Floats]:
        """Return weight (C, F) and bias (C,) with the least loss at a strength, scikit-learn's C."""
        from scipy.optimize import minimize

        weight, bias = np.zeros((len(self.both), self.features.shape[1])), self.bias.copy()
        if self.both.any():
            loss: Any = partial(self._loss, strength=strength)
            limits: Any = {"maxiter": MOST_STEPS, "gtol": FLAT, "ftol": 1e-10}
            self.flat = np.asarray(minimize(loss, self.flat, method="L-BFGS-B", jac=True, options=limits).x)
            weight[self.both], bias[self.both] = self._parts(self.flat)
        return weight, bias

    def _parts(self, flat: Floats) -> tuple[Floats, Floats]:
        n = int(self.both.sum())
        return flat[:-n].reshape(n, -1), flat[-n:]

    def _loss(self, flat: Floats, strength: float) -> tuple[float, Floats]:
        """Return the mean over images of the sum of the labels' losses, with the penalty, and its gradient."""
        weight, bias = self._parts(flat)
        images = len(self.features)
        margins = self.sides * (self.features @ weight.T.astype(np.float32) + bias.astype(np.float32))
        known = self.sides != 0
        value = float(np.logaddexp(0, -margins, where=known, out=np.zeros_like(margins)).sum(dtype=np.float64))
        slope = -self.sides / (1 + np.exp(np.minimum(margins, 60)))
        gradient = slope.T @ self.features + weight / strength
        value += float((weight**2).sum()) / (2 * strength)
        return value / images, np.concatenate([gradient.ravel(), slope.sum(axis=0, dtype=np.float64)]) / images


def _losses(logits: NDArray[np.floating], truth: Halves) -> Floats:
    """Return the log loss of each known label, nats."""
    known = ~np.isnan(truth)
    signed = np.where(truth == 1, logits, -logits)[known]
    return np.asarray(np.logaddexp(0, -signed), dtype=np.float64)
