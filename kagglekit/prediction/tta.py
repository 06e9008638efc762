"""Test-time augmentation: which views predict, and their mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kagglekit.types.view import View


def mean_over_passes(passes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the probabilities (P, N, C) of P passes, in float64, each as heavy as the others, to (N, C)."""
    mean: NDArray[np.float64] = passes.mean(axis=0, dtype=np.float64)
    return mean.astype(np.float32)


def n_passes(view: View, asked: int) -> int:
    """Return the number of augmented passes: what the recipe asks for, or all that the view has."""
    return asked if view.passes is None else min(asked, view.passes)
