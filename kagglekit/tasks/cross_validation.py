"""Choose the strength of a regularised regression by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Split = tuple[NDArray[np.int64], NDArray[np.int64]]

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
    return ((features - mean) / std).astype(np.float32), mean, std


def folds_of(n: int, groups: NDArray[np.int64] | None, seed: int) -> list[Split]:
    """Return the training and held-out rows of three random folds of whole groups; empty if there are too few."""
    units = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    parts = int(units.max()) + 1 if n else 0
    if parts < FOLDS:
        return []
    dealt = (np.random.default_rng(seed).permutation(parts) % FOLDS)[units]
    return [(np.flatnonzero(dealt != fold), np.flatnonzero(dealt == fold)) for fold in range(FOLDS)]


def best_of(strengths: Sequence[float], loss_of: Callable[[float], float]) -> tuple[float, float]:
    """Return the strength with the least loss, and that loss; the search ends once the loss gets worse."""
    best = (strengths[0], np.inf)
    for strength in strengths:
        loss = loss_of(strength)
        if loss >= best[1]:
            break
        best = (strength, loss)
    return best
