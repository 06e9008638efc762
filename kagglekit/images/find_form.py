"""Find the form of a data set's images from some of them: channels, bits, and the range of their numbers.

The range is one for the data set: what is brighter in one image than in another stays so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from kagglekit.system.limits import cores
from kagglekit.types.pixel_form import Depth, PixelForm
from kagglekit.types.pixel_range import PixelRange, range_of

if TYPE_CHECKING:
    from kagglekit.images.store import ImageStore
    from kagglekit.types.recipe import Recipe

FEW = 8  # images that are read to see what kind they are
MANY = 128  # images that the range is found from
PIXELS = 4_096  # of each of these images
TAIL = 0.1  # %, of the smallest and of the largest numbers, which become black and white
ALWAYS_8_BITS = (".jpg", ".jpeg")
SIDE = 256  # px, to which a reader may reduce them
MEASURED = 2_000  # images that mean and standard deviation are measured on


def find_form(
    paths: Sequence[Path], read: Callable[[Path, int], NDArray[Any]], recipe: Recipe, shown: tuple[int, ...] = ()
) -> PixelForm:
    """Return the form in which images are stored.

    Images of 8 bits stay as they are. Other numbers are scaled by the range from the 0.1th to the 99.9th percentile of
    the data set, for each channel of its own if there are neither one nor three; whole numbers up to 255 keep that
    range. They are stored with 16 bits unless the recipe says otherwise.

    Args:
        paths: The labelled images.
        read: Decodes an image to its numbers.
        recipe: Its `depth` and `pixel_range`.
        shown: The channels for people to see; empty for the first three.
    """
    deep_paths = [path for path in paths if path.suffix.lower() not in ALWAYS_8_BITS]
    some = list(_seen([*paths[:1], *_spread(deep_paths, FEW)], read))
    channels = Counter(seen.channels for seen in some).most_common(1)
    form = PixelForm(channels[0][0] if channels else 3)
    form = replace(form, shown=shown or tuple(range(form.channels))[:3])
    if all(seen.is_usual for seen in some):
        return replace(form, depth=16) if recipe.depth == "16" else form
    many = [*some, *_seen(_spread(deep_paths, MANY), read)]  # `some` have numbers of more than 8 bits for certain
    deep = [seen for seen in many if seen.channels == form.channels and not seen.is_usual]
    if not deep:  # only images of other channels have them, and those are bad images
        return form
    as_bytes = all(seen.is_byte for seen in deep)
    depth: Depth = 8 if recipe.depth == "8" or (recipe.depth == "auto" and as_bytes) else 16
    if recipe.pixel_range == "image":
        return replace(form, depth=depth)
    ranges = (PixelRange(0, 255),) if as_bytes else _ranges(deep, joint=form.channels == 3)
    return replace(form, depth=depth, ranges=ranges)


def describe_form(form: PixelForm) -> str:
    """Return a line about images that are not of 8 bits in red, green and blue; empty for these."""
    parts = [f"{form.channels} channels"] if form.channels != 3 else []
    if form.ranges:
        shown = ", ".join(f"{black:g} to {white:g}" for black, white in form.ranges)
        parts += [f"the numbers {shown} become black to white in all images"]
    parts += [f"stored with {form.depth} bits"] if form.depth != 8 else []
    return f"pixels: {'; '.join(parts)}" if parts else ""


def measured(store: ImageStore, rows: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Measure mean and standard deviation of each channel over stored images, for numbers in [0, 1].

    Args:
        store: The images.
        rows: The training images; at most `MEASURED` of them are used, evenly spread.

    Returns:
        The mean and the standard deviation; that of a constant channel counts as 1.
    """
    sums = np.zeros((2, store.form.channels))
    n = 0
    for row in rows[:: max(1, -(-len(rows) // MEASURED))]:
        numbers = store.image(int(row)).reshape(-1, store.form.channels).astype(np.float64) / store.form.white
        sums += numbers.sum(axis=0), (numbers**2).sum(axis=0)
        n += len(numbers)
    mean, square = sums / max(1, n)
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return tuple(mean.tolist()), tuple(np.where(std < 1e-6, 1.0, std).tolist())


def _spread(paths: Sequence[Path], n: int) -> Sequence[Path]:
    return paths[:: -(-len(paths) // n)] if paths else paths


class _Seen(NamedTuple):
    """What is kept of an image, which may have a hundred megabytes.

    Attributes:
        channels: As they are stored: a single one counts as three.
        is_usual: It has 8 bits.
        is_byte: It has whole numbers from 0 to 255, of any type.
        pixels: (P, C) some of its pixels.
    """

    channels: int
    is_usual: bool
    is_byte: bool
    pixels: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[Any]) -> Self:
        """Look at an image, (H, W) or (H, W, C)."""
        pixels = values.reshape(-1, 1 if values.ndim == 2 else values.shape[2])
        drawn = np.random.default_rng(0).integers(0, len(pixels), PIXELS)  # equal steps could be one column
        is_byte = values.dtype.kind in "iu" and bool(values.min() >= 0 and values.max() <= 255)
        channels = 3 if pixels.shape[1] == 1 else pixels.shape[1]
        return cls(channels, values.dtype == np.uint8, is_byte, pixels[drawn].astype(np.float64))


def _seen(paths: Sequence[Path], read: Callable[[Path, int], NDArray[Any]]) -> Iterator[_Seen]:
    """Yield what the images that can be read are like; decoding names the others."""

    def one(path: Path) -> _Seen | None:
        with suppress(Exception):  # readers raise anything on damaged files
            return _Seen.of(read(path, SIDE))
        return None

    first, rest = paths[:1], paths[1:]
    found = list(map(one, first))  # readers import libraries on first use, which threads must not
    with ThreadPoolExecutor(math.ceil(cores())) as threads:
        found += threads.map(one, rest)
    yield from (seen for seen in found if seen is not None)


def _ranges(images: Sequence[_Seen], *, joint: bool) -> tuple[PixelRange, ...]:
    """Return the range of all channels together, or of each of them."""
    pixels = np.concatenate([seen.pixels.reshape(-1, 1) if joint else seen.pixels for seen in images])
    return tuple(_range(channel[np.isfinite(channel)]) for channel in pixels.T)


def _range(numbers: NDArray[np.float64]) -> PixelRange:
    if not numbers.size:
        return PixelRange(0, 1)
    low, high = np.percentile(numbers, (TAIL, 100 - TAIL))
    return PixelRange(float(low), float(high)) if high > low else range_of(numbers)
