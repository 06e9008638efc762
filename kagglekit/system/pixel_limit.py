"""A limit for the pixels of an image, checked before it is decoded."""

from __future__ import annotations

import os

from kagglekit.system.errors import UsageError

LIMIT = "KAGGLEKIT_MAX_PIXELS"
MAX_PIXELS = 178_956_970  # where Pillow refuses an image, too: half a gigabyte of RGB


def check_pixels(width: int, height: int) -> None:
    """Check an image's size, px, before it is decoded.

    Raises:
        ValueError: It has more pixels than `max_pixels`, or none.
    """
    n, most = width * height, max_pixels()
    if not n:
        raise ValueError("it has no pixels")
    if n > most:
        from kagglekit.system.display.console import amount

        raise ValueError(
            f"{width} x {height} px are {n / 1e6:,.0f} million, more than the limit of {most / 1e6:,.0f} million "
            f"(set {LIMIT}={n} to read it; decoding needs {amount(3 * n)} or more)"
        )


def max_pixels() -> int:
    """Return the most pixels that an image may have: `MAX_PIXELS`, or the variable KAGGLEKIT_MAX_PIXELS.

    Raises:
        UsageError: The variable is not a positive whole number.
    """
    text = os.environ.get(LIMIT, "")
    try:
        most = int(text) if text else MAX_PIXELS
    except ValueError:
        most = 0
    if most < 1:
        raise UsageError(f"{LIMIT}={text} is not a number of pixels", f"for example {LIMIT}=500000000")
    return most
