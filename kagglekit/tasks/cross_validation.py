"""Choose the strength of a regularised regression by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Split = tuple["NDArray[np.int64]", "NDArray[np.int64]"]

FOLDS = 3
LEAST_DEVIATION = 0.1  # of the mean deviation of all features


def standardised(
    features: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Return features (N, F) of mean 0 and deviation 1, and the mean and deviation (F,) that they were divided by.

    A feature that hardly varies keeps most of its small deviation: else its weight would be so large that a value which
    only augmented images have outweighs all other features.
    """
    mean, std = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    std = np.maximum(std, LEAST_DEVIATION * std.mean()) + 1e-6
    return scaled(features, mean, std), mean, std


def scaled(features: NDArray[np.float32], mean: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return ``(features - mean) / std``, computed in float32: a table in float64 may not fit into memory."""
    standard = features - mean.astype(np.float32)
    standard /= std.astype(np.float32)
    return standard


def folds_of(n: int, groups: NDArray[np.int64] | None, seed: int) -> list[Split]:
    """Return the training and held-out rows of three random folds of whole groups; empty if there are too few."""
    units = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    parts = int(units.max()) + 1 if n else 0
    if parts < FOLDS:
        return []
    dealt = (np.random.default_rng(seed).permutation(parts) % FOLDS)[units]
    return [(np.flatnonzero(dealt != fold), np.flatnonzero(dealt == fold)) for fold in range(FOLDS)]


def best_of(
    strengths: Sequence[float],
    held_out: Callable[[float], tuple[float, NDArray[np.float64]]],
    splits: Sequence[Split],
    known: float | None,
) -> tuple[float, float, NDArray[np.float32] | None]:
    """Return the strength with the least loss, that loss, and its outputs (N, C) for held-out rows.

    The search ends once the loss gets worse. Without folds, the strength is the known or the middle one, the loss nan.

    Args:
        strengths: To try, in order.
        held_out: Returns a strength's loss, and its outputs (N, C).
        splits: The folds.
        known: The strength, if it is known.
    """
    if not splits:
        return strengths[len(strengths) // 2] if known is None else known, float("nan"), None
    best, outputs = (strengths[0], np.inf), None
    for strength in strengths:
        loss, found = held_out(strength)
        if loss >= best[1]:
            break
        best, outputs = (strength, loss), found.astype(np.float32)
    return *best, outputs


def joined(parts: Sequence[NDArray[np.float64]], splits: Sequence[Split]) -> NDArray[np.float64]:
    """Return the held-out rows' outputs (N, C) in the order of the images; the folds hold out each image once."""
    order = np.concatenate([held for _, held in splits])
    table: NDArray[np.float64] = np.concatenate(parts)[np.argsort(order, kind="stable")]
    return table
