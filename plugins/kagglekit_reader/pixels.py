"""Take arrays of numbers for images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit import check_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEW, _MOST = 4, 64  # channels: where the last side is longer and the first one is not, the first one counts them


def as_image(values: NDArray[np.generic]) -> NDArray[np.number]:
    """Return an array of numbers as an image, (H, W) or (H, W, C).

    Args:
        values: (H, W), (H, W, C) or (C, H, W), of whole or floating-point numbers or truth values.

    Raises:
        ValueError: It has another shape or type, or too many pixels.
    """
    shape = values.shape
    if values.dtype.kind not in "biuf":
        raise ValueError(f"its values are no numbers ({values.dtype})")
    if values.ndim == 3 and (shape[2] > _FEW >= shape[0] or shape[2] > _MOST >= shape[0]):
        values = values.transpose(1, 2, 0)
    if values.ndim not in (2, 3) or (*values.shape, 1)[2] > _MOST:
        raise ValueError(f"an array of shape {shape} is no image")
    check_pixels(values.shape[1], values.shape[0])
    if values.dtype == np.bool_:
        return np.where(values, np.uint8(255), np.uint8(0))
    return np.ascontiguousarray(values)
