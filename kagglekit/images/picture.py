"""Decode one image of a store, or take it from a larger store, and reduce it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from kagglekit.images.contrast import is_nearly_constant
from kagglekit.images.opening import why_unreadable
from kagglekit.images.store import Entry, ImageStore, StoreSpec, checksum
from kagglekit.system.errors import PluginError, UsageError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from kagglekit.types.view import CropMode


class StoredImage(NamedTuple):
    """Pixels (h, w, C) as they are stored, contiguous, and their entry in the list."""

    pixels: NDArray[Any]
    entry: Entry


def decoded(spec: StoreSpec, read: Callable[[Path, int], NDArray[Any] | None], row: int) -> StoredImage:
    """Decode and reduce one file; a file that cannot be decoded becomes a grey pixel."""
    path = spec.files[row]
    try:
        values = read(path, spec.side)
        if values is None:
            return _bad(spec, "no plugin can read it")
        _check_numbers(values, spec, path)
        image = spec.form.stored(values)
    except Exception as error:
        return _bad(spec, _reason(path, error))
    height, width = image.shape[:2]
    return _reduced_image(image, spec, width / height)


def _check_numbers(values: NDArray[Any], spec: StoreSpec, path: Path) -> None:
    if values.dtype.kind not in "iuf" or values.ndim not in (2, 3) or not values.size:
        raise PluginError(
            f"{spec.reader} returned {values.dtype} {values.shape} for {path}",
            "a reader must return numbers, (H, W) or (H, W, C)",
        )


def _reason(path: Path, error: Exception) -> str:
    """Return why a file is bad; raise errors that are not the file's fault, since the store is kept for good."""
    # `Hooks` reports an exception of a reader as the plugin's failure; the original exception is its cause.
    cause = error.__cause__ if isinstance(error, PluginError) and error.__cause__ else error
    if isinstance(cause, OSError) and cause.errno is not None:
        raise UserError(f"cannot read {path}: {cause.strerror}", "images decoded so far are kept") from error
    if isinstance(cause, PluginError | UsageError | MemoryError):
        raise error
    return why_unreadable(cause)


def reduced_further(spec: StoreSpec, source: ImageStore, row: int) -> StoredImage:
    """Reduce the source's image; a bad image there is bad here, too."""
    if row in source.bad:
        return _bad(spec, source.bad[row])
    return _reduced_image(source.image(row), spec, float(source.aspects[row]))


def _reduced_image(image: NDArray[Any], spec: StoreSpec, aspect: float) -> StoredImage:
    height, width = reduced_size(image.shape[0], image.shape[1], spec.side, spec.fit)
    pixels = reduced(image, height, width)
    constant = is_nearly_constant(pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8))
    n = spec.form.pixel_bytes
    return StoredImage(pixels, Entry(height, width, aspect, "", checksum(pixels), constant, n))


def _bad(spec: StoreSpec, reason: str) -> StoredImage:
    form = spec.form
    pixels = np.full((1, 1, form.channels), form.white // 2 + 1, dtype=form.dtype)
    why = " ".join(reason.split()) or "unknown reason"
    return StoredImage(pixels, Entry(1, 1, 1.0, why, checksum(pixels), False, form.pixel_bytes))


def reduced_size(height: int, width: int, side: int, fit: CropMode) -> tuple[int, int]:
    """Return the height and width, px, of the stored image (see `StoreSpec.fit`); images are never enlarged."""
    if fit == "both":
        return min(height, side), min(width, side)
    measured = min(height, width) if fit == "short" else max(height, width)
    scale = min(1.0, side / measured)
    return max(1, round(height * scale)), max(1, round(width * scale))


def reduced(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Reduce an image (H, W, C), uint8 or uint16, to (height, width, C), bicubic and antialiased.

    Bicubic, because every view samples the copy once more: the blur of a bilinear copy cost 0.01 of log loss. The
    result is within 1/255 of Pillow's bicubic filter and takes less time. torch computes it in the calling thread
    alone, whatever its number of threads.
    """
    image = np.ascontiguousarray(image)
    if image.shape[:2] == (height, width):
        return image
    if image.dtype == np.uint16:
        return _reduced_deep(image, height, width)
    if not image.flags.writeable:  # a page of another store; torch warns of read-only memory
        image = image.copy()
    batch = torch.from_numpy(image)[None].permute(0, 3, 1, 2)  # in this order torch sees channels_last
    small = torch.nn.functional.interpolate(batch, size=(height, width), mode="bicubic", antialias=True)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())


def _reduced_deep(image: NDArray[np.uint16], height: int, width: int) -> NDArray[np.uint16]:
    """Reduce an image of 16 bits like `reduced`, which torch does for floating-point numbers only."""
    batch = torch.from_numpy(image.astype(np.float32))[None].permute(0, 3, 1, 2)
    small = torch.nn.functional.interpolate(batch, size=(height, width), mode="bicubic", antialias=True)
    numbers = small[0].permute(1, 2, 0).numpy()
    return np.ascontiguousarray((numbers + 0.5).clip(0, 65535).astype(np.uint16))
