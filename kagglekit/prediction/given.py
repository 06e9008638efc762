"""Images that a caller gives to predict: files, folders, and images in memory, which are predicted like files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from kagglekit.data.labels.containers import with_members
from kagglekit.data.listing import image_files
from kagglekit.system.errors import UserError
from kagglekit.system.paths import cache_in

FORMS = "a path, a folder, a PIL image, an array (H, W) or (H, W, 3) of uint8, or a list of these"
_IN_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")  # PIL's modes that a PNG keeps as they are


@dataclass(frozen=True)
class Given:
    """Images to predict.

    Attributes:
        names: (N) what each is called.
        files: (N) where it lies.
    """

    names: list[str]
    files: list[Path]


@contextmanager
def given_images(images: Any) -> Iterator[Given]:
    """Provide a file for each image in the block; images in memory are written losslessly, and removed at its end.

    Args:
        images: See `FORMS`. A folder stands for the images in it and below.

    Raises:
        UserError: There are no images, a path does not exist, or something is no image.
    """
    several = _listed(images)
    if not several:
        raise UserError("no images to predict", f"give {FORMS}")
    if all(_is_path(each) for each in several):
        files = [file for each in several for file in image_files(with_members([Path(each)]))]
        yield Given([str(file) for file in files], files)
        return
    with tempfile.TemporaryDirectory() as place, cache_in(Path(place) / "cache"):
        names: list[str] = []
        files = []
        for number, each in enumerate(several, 1):
            found = image_files(with_members([Path(each)])) if _is_path(each) else [_written(each, number, Path(place))]
            names += [str(file) for file in found] if _is_path(each) else [_name(each, number)]
            files += found
        yield Given(names, files)


def _listed(images: Any) -> list[Any]:
    if _is_path(images) or isinstance(images, Image.Image):
        return [images]
    if hasattr(images, "__array__"):
        array = np.asarray(images)
        if array.dtype.kind in "OU":  # paths
            return list(array.reshape(-1))
        return list(array) if array.ndim == 4 else [array]
    if isinstance(images, Iterable) and not isinstance(
        images, bytes | Mapping
    ):  # of a path, glob() returns a generator
        return list(images)
    raise UserError(f"cannot predict a {type(images).__name__}", f"give {FORMS}")


def _is_path(each: Any) -> bool:
    return isinstance(each, (str, Path))


def _name(image: Any, number: int) -> str:
    return str(getattr(image, "filename", "") or f"image {number}")


def _written(image: Any, number: int, place: Path) -> Path:
    """Write an image in memory as a PNG."""
    file = place / f"image-{number}.png"
    if isinstance(image, Image.Image):
        upright = ImageOps.exif_transpose(image)
        upright = upright if upright.mode in _IN_PNG else upright.convert("RGB")
        upright.save(file)
        return file
    array = np.asarray(image) if hasattr(image, "__array__") else None
    if array is None:
        raise UserError(f"cannot predict a {type(image).__name__} (image {number})", f"give {FORMS}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or array.dtype != np.uint8 or not array.size:
        raise UserError(
            f"image {number} is an array of shape {array.shape} and type {array.dtype}",
            "give (H, W) or (H, W, 3) of uint8, such as (255 * image).round().astype('uint8'), or write a file",
        )
    Image.fromarray(array).save(file)
    return file
