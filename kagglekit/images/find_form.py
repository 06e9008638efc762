"""Find the form of a data set's images from some of them: channels, bits, and the range of their numbers.

The range is one for the data set: what is brighter in one image than in another stays so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.types.pixel_form import Depth, PixelForm
from kagglekit.types.pixel_range import PixelRange, range_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    some = [*_numbers([*paths[:1], *_spread(deep_paths, FEW)], read)]
    channels = Counter(_channels(values) for values in some).most_common(1)
    form = PixelForm(channels[0][0] if channels else 3)
    form = replace(form, shown=shown or tuple(range(form.channels))[:3])
    if all(values.dtype == np.uint8 for values in some):
        return replace(form, depth=16) if recipe.depth == "16" else form
    many = [*some, *_numbers(_spread(deep_paths, MANY), read)]  # `some` have numbers of more than 8 bits for certain
    alike = [values for values in many if _channels(values) == form.channels]
    deep = [values for values in alike if values.dtype != np.uint8]
    if not deep:  # only images of other channels have them, and those are bad images
        return form
    as_bytes = all(values.dtype.kind in "iu" and _is_byte(values) for values in deep)
    depth: Depth = 8 if recipe.depth == "8" or (recipe.depth == "auto" and as_bytes) else 16
    ranges = (
        () if recipe.pixel_range == "image" else (PixelRange(0, 255),) if as_bytes else _ranges(deep, form.channels)
    )
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
    for row in rows[:: -(-len(rows) // MEASURED)]:
        numbers = store.image(int(row)).reshape(-1, store.form.channels).astype(np.float64) / store.form.white
        sums += numbers.sum(axis=0), (numbers**2).sum(axis=0)
        n += len(numbers)
    mean, square = sums / max(1, n)
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return tuple(mean.tolist()), tuple(np.where(std < 1e-6, 1.0, std).tolist())


def _spread(paths: Sequence[Path], n: int) -> Sequence[Path]:
    return paths[:: -(-len(paths) // n)] if paths else paths


def _numbers(paths: Sequence[Path], read: Callable[[Path, int], NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Yield the numbers of the images that can be read; decoding names the others."""

    def one(path: Path) -> NDArray[Any] | None:
        with suppress(Exception):  # readers raise anything on damaged files
            return read(path, SIDE)
        return None

    first, rest = paths[:1], paths[1:]
    yield from filter(_is_there, map(one, first))  # readers import libraries on first use, which threads must not
    with ThreadPoolExecutor() as threads:
        yield from filter(_is_there, threads.map(one, rest))


def _is_there(values: NDArray[Any] | None) -> bool:
    return values is not None


def _channels(values: NDArray[Any]) -> int:
    """Return the number of channels; a single one is stored as three equal ones."""
    n = 1 if values.ndim == 2 else values.shape[2]
    return 3 if n == 1 else n


def _is_byte(values: NDArray[Any]) -> bool:
    return bool(values.min() >= 0 and values.max() <= 255)


def _ranges(images: Sequence[NDArray[Any]], channels: int) -> tuple[PixelRange, ...]:
    """Return the range of all channels, or of each of them if they are not those of a picture."""
    joint = channels == 3
    pixels = [values.reshape(-1, 1 if joint else channels) for values in images]
    some = np.concatenate([each[:: max(1, len(each) // PIXELS)].astype(np.float64) for each in pixels])
    return tuple(_range(channel[np.isfinite(channel)]) for channel in some.T)


def _range(numbers: NDArray[np.float64]) -> PixelRange:
    if not numbers.size:
        return PixelRange(0, 1)
    low, high = np.percentile(numbers, (TAIL, 100 - TAIL))
    return PixelRange(float(low), float(high)) if high > low else range_of(numbers)
