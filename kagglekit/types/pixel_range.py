"""Turn the numbers of an image into 8 bits: 10 to 16 bits, signed ones, and floating-point numbers.

A file does not say what its largest possible number is: cameras and scanners store 12 bits in 16, and others store 8
bits in 32. So the range is the smallest usual one that holds all numbers of the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

BITS = (8, 10, 12, 14, 16)


class PixelRange(NamedTuple):
    """The numbers that are shown as black and as white."""

    black: float
    white: float


def to_8_bits(values: NDArray[np.number], over: PixelRange | None = None) -> NDArray[np.uint8]:
    """Scale the numbers of an image to 0..255.

    Args:
        values: (H, W) or (H, W, C), of any type; what is not finite becomes black.
        over: The range of the numbers; by default `range_of` them.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: The range is unknown.
    """
    return scaled(values, (over or range_of(values),), 255).astype("uint8")


def scaled(values: NDArray[Any], ranges: Sequence[PixelRange], white: int) -> NDArray[np.float32]:
    """Scale numbers to 0..`white`, so that cutting off the digits behind the point rounds them.

    Args:
        values: (H, W) or (H, W, C); what is not finite becomes black.
        ranges: One for all channels, or one for each of C.
        white: The number that stands for white.

    Returns:
        The same shape.
    """
    import numpy as np  # not at the top: see `kagglekit.types.pixel_form`

    low = np.array([black for black, _ in ranges], np.float32)
    scale = np.array([white / (top - black) for black, top in ranges], np.float32)
    result: NDArray[np.float32] = (values.astype(np.float32) - low) * scale + np.float32(0.5)
    return np.nan_to_num(result, nan=0).clip(0, white)


def range_of(values: NDArray[np.number]) -> PixelRange:
    """Return the smallest usual range that holds all numbers.

    That is 0..1 or -1..1 for floating-point numbers, else 0..2^b - 1 for a b of `BITS`; with negative numbers
    -2^(b-1)..2^(b-1) - 1.

    Raises:
        ValueError: No usual range holds them.
    """
    import numpy as np

    floating = values.dtype.kind == "f"
    some = values[np.isfinite(values)] if floating else values
    if not some.size:
        raise ValueError("its pixels are no numbers (NaN or infinite)")
    low, high = float(some.min()), float(some.max())
    if floating and low >= -1 and high <= 1:
        return PixelRange(0 if low >= 0 else -1, 1)
    for bits in BITS:
        black = 0 if low >= 0 else -(2 ** (bits - 1))
        white = black + 2**bits - 1
        if black <= low and high <= white:
            return PixelRange(black, white)
    kind = "floating-point" if floating else "whole"
    raise ValueError(
        f"its pixels are {kind} numbers of unknown range ({low:g} to {high:g}), which only a reader plugin can scale"
    )
