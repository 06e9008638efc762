"""Find images that hold nearly one value: blank ones, and numbers that were scaled to black."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_RANGE = 8  # of 255, in some channel
TAIL = 0.1  # %, of the smallest and of the largest values, which do not count: a mark, a hot pixel


def is_nearly_constant(pixels: NDArray[np.uint8]) -> bool:
    """Return whether all channels of an image (H, W, C) hold nearly one value."""
    low, high = np.percentile(pixels.reshape(-1, pixels.shape[-1]), (TAIL, 100 - TAIL), axis=0)
    return bool((high - low).max() < LEAST_RANGE)
