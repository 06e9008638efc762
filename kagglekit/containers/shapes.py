"""Give lists of numbers the shape of an image, and check the size of arrays before they are read."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from kagglekit.system.pixel_limit import check_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

PLANES = (1, 3)  # that a flat list of numbers may hold
CHANNELS = 4  # at most: a longer first or last side is no list of channels
_SHAPE = re.compile(r"(\d{1,5})x(\d{1,5})(?:x(\d{1,2}))?$", re.ASCII)
_NUMBERS = "biuf"  # numpy's kinds of numbers: truth values, whole numbers, floating-point numbers


def shape_in(key: str) -> tuple[tuple[int, ...] | None, str]:
    """Take a shape off the front of a key: ``137x236/17`` is row 17 of images 137 px high and 236 px wide."""
    first, mark, rest = key.partition("/")
    found = _SHAPE.match(first)
    if not mark or not found:
        return None, key
    return tuple(int(side) for side in found.groups() if side), rest


def shape_text(shape: Sequence[int]) -> str:
    """Return what `shape_in` reads: ``137x236``."""
    return "x".join(map(str, shape))


def square(n: int) -> tuple[int, ...] | None:
    """Return the shape of a square image of `n` numbers, with one plane or three; None if there is none."""
    for planes in PLANES:
        side = math.isqrt(n // planes)
        if side and side * side * planes == n:
            return (side, side) if planes == 1 else (side, side, planes)
    return None


def shaped(values: NDArray[np.generic], shape: Sequence[int] | None = None) -> NDArray[np.generic]:
    """Return flat numbers as an image, by default a square one.

    Raises:
        ValueError: They do not fill the shape, or no square.
    """
    n = values.size
    wanted = shape or square(n)
    if wanted is None:
        raise ValueError(f"{n:,} numbers are no square image: give their shape in the plugin: shape=(HEIGHT, WIDTH)")
    if math.prod(wanted) != n:
        raise ValueError(f"{n:,} numbers do not fill the shape {shape_text(wanted)}")
    return values.reshape(wanted)


def check_array(shape: Sequence[int], kind: str) -> None:
    """Check an image's array, by its header, before it is read.

    Raises:
        ValueError: It has no numbers, is no image, or has too many pixels.
    """
    if kind not in _NUMBERS:
        raise ValueError(f"its values are no numbers (numpy's kind {kind!r})")
    if len(shape) == 1:
        check_pixels(shape[0], 1)
    elif len(shape) == 2:
        check_pixels(shape[1], shape[0])
    elif len(shape) == 3:
        height, width, channels = shape if shape[2] <= shape[0] else (shape[1], shape[2], shape[0])
        check_pixels(width * max(1, math.ceil(channels / CHANNELS)), height)
    else:
        raise ValueError(f"an array of {len(shape)} dimensions is no image")


def is_stack(shape: Sequence[int]) -> bool:
    """Return whether an array holds many images, (N, H, W) or (N, H, W, C), rather than one."""
    return len(shape) == 4 or (len(shape) == 3 and shape[2] > CHANNELS)
