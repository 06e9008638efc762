"""One picture of an image store: decoded or taken from a larger store, then reduced."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from kagglekit.images.store import Entry, ImageStore, StoreSpec
from kagglekit.system.errors import PluginError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from kagglekit.types.view import CropMode


class Picture(NamedTuple):
    """Pixels (h, w, 3) as they are stored, contiguous, and their line in the list."""

    pixels: NDArray[np.uint8]
    entry: Entry


def decoded(spec: StoreSpec, read: Callable[[Path, int], NDArray[np.uint8] | None], row: int) -> Picture:
    """Decode and reduce one file; one that cannot be decoded becomes a grey pixel."""
    path = spec.files[row]
    try:
        picture = read(path, spec.side)
    except Exception as error:
        return _bad(_reason(path, error))
    if picture is None:
        return _bad("no plugin reads it")
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise PluginError(
            f"{spec.reader} read {path} as {picture.dtype} {picture.shape}",
            "uint8 (H, W, 3) is what it must return",
        )
    height, width = picture.shape[:2]
    return _reduced_picture(picture, spec, width / height)


def _reason(path: Path, error: Exception) -> str:
    """Word why a file is bad; raise what is not the file's fault, since it would spoil the store for good."""
    # The plugins' facade words what a reader raises as the plugin's failure; what the file did is its cause.
    cause = error.__cause__ if isinstance(error, PluginError) and error.__cause__ else error
    if isinstance(cause, OSError) and cause.errno is not None:
        raise UserError(f"cannot read {path}: {cause.strerror}", "what is decoded so far is kept") from error
    if isinstance(cause, PluginError | MemoryError):
        raise error
    if isinstance(cause, ValueError | OSError | UserError):
        return str(cause)
    return f"{type(cause).__name__}: {cause}"


def reduced_further(spec: StoreSpec, source: ImageStore, row: int) -> Picture:
    """Reduce the source's picture; what was bad there is bad here."""
    if row in source.bad:
        return _bad(source.bad[row])
    return _reduced_picture(source.picture(row), spec, float(source.aspects[row]))


def _reduced_picture(picture: NDArray[np.uint8], spec: StoreSpec, aspect: float) -> Picture:
    height, width = reduced_size(picture.shape[0], picture.shape[1], spec.side, spec.fit)
    return Picture(reduced(picture, height, width), Entry(height, width, aspect))


def _bad(reason: str) -> Picture:
    return Picture(
        np.full((1, 1, 3), 128, dtype=np.uint8),
        Entry(1, 1, 1.0, " ".join(reason.split()) or "unknown reason"),
    )


def reduced_size(height: int, width: int, side: int, fit: CropMode) -> tuple[int, int]:
    """Return the height and width, px, at which a picture is stored: see `StoreSpec.fit`; never enlarged."""
    if fit == "both":
        return min(height, side), min(width, side)
    measured = min(height, width) if fit == "short" else max(height, width)
    scale = min(1.0, side / measured)
    return max(1, round(height * scale)), max(1, round(width * scale))


def reduced(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Reduce a picture (H, W, 3) to (height, width, 3), bicubic and antialiased.

    Bicubic, because every view samples the copy once more: a bilinear copy was blurred enough to cost 0.01 of log
    loss. The result is within 1/255 of what Pillow's bicubic filter makes of it, in less time. torch does it in
    the calling thread alone, whatever number of threads it has been given.
    """
    picture = np.ascontiguousarray(picture)
    if picture.shape[:2] == (height, width):
        return picture
    if not picture.flags.writeable:  # a page of another store; torch warns of memory it must not write to
        picture = picture.copy()
    batch = torch.from_numpy(picture)[None].permute(0, 3, 1, 2)  # in this order torch sees channels_last
    small = torch.nn.functional.interpolate(batch, size=(height, width), mode="bicubic", antialias=True)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())
