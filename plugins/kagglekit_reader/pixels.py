"""Turn arrays of numbers into pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit import check_pixels, to_8_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST = 4  # channels: a longer side is a height or width


def as_pixels(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return an array of numbers as an image of 8 bits, (H, W, 3).

    One channel becomes grey. Two channels become red and green, their mean blue.

    Args:
        values: (H, W), (H, W, C) or (C, H, W), of whole or floating-point numbers or truth values; C is 1, 2 or 3.

    Raises:
        ValueError: It has another shape or type, too many pixels, or numbers of an unknown range.
    """
    if values.dtype.kind not in "biuf":
        raise ValueError(f"its values are no numbers ({values.dtype})")
    planes = _channels_last(values)
    check_pixels(planes.shape[1], planes.shape[0])
    if planes.dtype == np.bool_:
        planes = planes * np.uint8(255)
    pixels = to_8_bits(planes)
    if pixels.shape[2] == 2:
        return np.dstack([pixels, pixels.mean(axis=2).round().astype(np.uint8)])
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _channels_last(values: NDArray[np.generic]) -> NDArray[np.number]:
    """Return numbers as (H, W, C)."""
    shape = values.shape
    if values.ndim == 3 and shape[2] > _MOST >= shape[0]:
        values = values.transpose(1, 2, 0)
    planes = values[..., None] if values.ndim == 2 else values
    if planes.ndim != 3:
        raise ValueError(f"an array of shape {shape} is no image")
    if planes.shape[2] not in (1, 2, 3):
        raise ValueError(f"an array of shape {shape}: only a reader plugin can choose three of its channels")
    return planes  # type: ignore[return-value]  # numbers, as checked by the caller
