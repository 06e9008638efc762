"""Decode one image of a store, or take it from a larger store, and reduce it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
    """Pixels (h, w, 3) as they are stored, contiguous, and their entry in the list."""

    pixels: NDArray[np.uint8]
    entry: Entry


def decoded(spec: StoreSpec, read: Callable[[Path, int], NDArray[np.uint8] | None], row: int) -> StoredImage:
    """Decode and reduce one file; a file that cannot be decoded becomes a grey pixel."""
    path = spec.files[row]
    try:
        image = read(path, spec.side)
    except Exception as error:
        return _bad(_reason(path, error))
    if image is None:
        return _bad("no plugin can read it")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise PluginError(
            f"{spec.reader} returned {image.dtype} {image.shape} for {path}",
            "a reader must return uint8 (H, W, 3)",
        )
    height, width = image.shape[:2]
    return _reduced_image(image, spec, width / height)


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
        return _bad(source.bad[row])
    return _reduced_image(source.image(row), spec, float(source.aspects[row]))


def _reduced_image(image: NDArray[np.uint8], spec: StoreSpec, aspect: float) -> StoredImage:
    height, width = reduced_size(image.shape[0], image.shape[1], spec.side, spec.fit)
    pixels = reduced(image, height, width)
    return StoredImage(pixels, Entry(height, width, aspect, "", checksum(pixels), is_nearly_constant(pixels)))


def _bad(reason: str) -> StoredImage:
    pixels = np.full((1, 1, 3), 128, dtype=np.uint8)
    return StoredImage(pixels, Entry(1, 1, 1.0, " ".join(reason.split()) or "unknown reason", checksum(pixels), False))


def reduced_size(height: int, width: int, side: int, fit: CropMode) -> tuple[int, int]:
    """Return the height and width, px, of the stored image (see `StoreSpec.fit`); images are never enlarged."""
    if fit == "both":
        return min(height, side), min(width, side)
    measured = min(height, width) if fit == "short" else max(height, width)
    scale = min(1.0, side / measured)
    return max(1, round(height * scale)), max(1, round(width * scale))


def reduced(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Reduce an image (H, W, 3) to (height, width, 3), bicubic and antialiased.

    Bicubic, because every view samples the copy once more: the blur of a bilinear copy cost 0.01 of log loss. The
    result is within 1/255 of Pillow's bicubic filter and takes less time. torch computes it in the calling thread
    alone, whatever its number of threads.
    """
    image = np.ascontiguousarray(image)
    if image.shape[:2] == (height, width):
        return image
    if not image.flags.writeable:  # a page of another store; torch warns of read-only memory
        image = image.copy()
    batch = torch.from_numpy(image)[None].permute(0, 3, 1, 2)  # in this order torch sees channels_last
    small = torch.nn.functional.interpolate(batch, size=(height, width), mode="bicubic", antialias=True)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())
