"""Find images that hold nearly one value: blank ones, and numbers that were scaled to black."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_RANGE = 8  # of 255, in some channel
TAIL = 0.1  # %, of the smallest and of the largest values, which do not count: a mark, a hot pixel


SOME = 2_000  # pixels, which take a hundredth of a millisecond


def is_nearly_constant(pixels: NDArray[np.uint8]) -> bool:
    """Return whether all channels of an image (H, W, C) hold nearly one value."""
    rows = pixels.reshape(-1, pixels.shape[-1])
    if _is_surely_not(rows):
        return False
    low, high = np.percentile(rows, (TAIL, 100 - TAIL), axis=0)
    return bool((high - low).max() < LEAST_RANGE)


def _is_surely_not(rows: NDArray[np.uint8]) -> bool:
    """Return whether some of the pixels (N, C) already show that an image is not nearly constant.

    In some channel, more of them than the tail holds lie `LEAST_RANGE` below others, of which there are as many. This
    spares nearly all images the percentiles, which would take longer than decoding them.
    """
    tail = math.ceil((len(rows) - 1) * TAIL / 100) + 1
    some = np.ascontiguousarray(rows[:: max(1, len(rows) // max(SOME, 8 * tail))].T)
    for channel in some:
        low = int(channel.mean()) - LEAST_RANGE // 2
        if np.count_nonzero(channel <= low) >= tail and np.count_nonzero(channel >= low + LEAST_RANGE) >= tail:
            return True
    return False
