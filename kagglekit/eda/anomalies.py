"""Name the images that show nothing: blank ones, and those of a few pixels in width or height."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.eda.headers import LONGEST, THIN
from kagglekit.images.contrast import is_nearly_constant
from kagglekit.system.display.printable import printable
from kagglekit.system.errors import listing
from kagglekit.system.limits import cores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from kagglekit.eda.headers import Header
    from kagglekit.hooks.calls import Hooks
    from kagglekit.system.display.console import Display

MOST_CHECKED = 1_000  # images that are decoded to look for blank ones
SIDE = 64  # px, to which a reader may reduce them


def read_or_nothing(hooks: Hooks, path: str, side: int) -> NDArray[np.uint8] | None:
    """Decode an image (H, W, 3); return None if this fails, for any reason."""
    try:
        pixels = hooks.read_image(Path(path), side)
    except Exception:  # readers raise anything on damaged files
        return None
    usable = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    return pixels if usable and pixels.size else None


def warn_of_thin(headers: Sequence[Header], display: Display) -> None:
    """Name the images of a few pixels in width or height, and those far longer than wide."""
    thin = [f"{printable(header.path)} ({header.width} x {header.height})" for header in headers if header.is_thin]
    if thin:
        display.warn(
            f"{len(thin):,} images have a side below {THIN} px or above {LONGEST} times the other: {_few(thin)}"
        )


def warn_of_blank(paths: Sequence[str], hooks: Hooks, display: Display) -> None:
    """Name the images that hold nearly one value, among at most `MOST_CHECKED`, evenly spread."""
    some = paths[:: -(-len(paths) // MOST_CHECKED)] if paths else paths
    checked = display.track("looking for blank images", len(some), _blank(some, hooks))
    blank = [printable(path) for path, is_blank in zip(some, checked, strict=True) if is_blank]
    if blank:
        of = (
            f"{len(blank):,} of {len(some):,} images"
            if len(some) == len(paths)
            else (f"{len(blank):,} of {len(some):,} images checked (there are {len(paths):,})")
        )
        display.warn(f"{of} are nearly uniform (for example black): {_few(blank)}")


def _blank(paths: Sequence[str], hooks: Hooks) -> Iterator[bool]:
    """Yield whether each image holds nearly one value; an unreadable one does not."""

    def one(path: str) -> bool:
        pixels = read_or_nothing(hooks, path, SIDE)
        return pixels is not None and is_nearly_constant(pixels)

    remaining = iter(paths)
    yield from map(one, islice(remaining, 1))  # the first outside threads: readers import libraries on first use
    with ThreadPoolExecutor(math.ceil(cores())) as threads:
        yield from threads.map(one, remaining)


def _few(names: Sequence[str]) -> str:
    return listing(names, 3)
