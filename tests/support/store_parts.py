"""Folders of real image files and the stores made of them, for the tests of the image store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kagglekit.images.build import build
from kagglekit.images.store import ImageStore, StoreSpec, open_store
from kagglekit.types.view import CropMode
from kagglekit_reader import kagglekit_read_image

SIZES = ((40, 60), (60, 40), (48, 48), (20, 90), (33, 34))  # (height, width), px


def draw_images(folder: Path, n: int = 10, sizes: Sequence[tuple[int, int]] = SIZES) -> Path:
    """Write `n` JPEGs of soft random blotches, of the given sizes in turn; each has another picture."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        height, width = sizes[number % len(sizes)]
        noise = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:03}.jpg", quality=95)
    return folder


def spec_of(root: Path, side: int = 32, fit: CropMode = "short", reader: str = "test 1") -> StoreSpec:
    """Name the store of all files of a folder, by name."""
    return StoreSpec(tuple(sorted(root.iterdir())), root, side, fit, reader)


def read(path: Path, size: int) -> NDArray[np.uint8]:
    """Decode a file with the default reader."""
    return kagglekit_read_image(path)


def built(spec: StoreSpec, threads: int = 2) -> ImageStore:
    """Build a store and open it."""
    assert list(build(spec, read, threads=threads))[-1] == len(spec.files)
    return open_store(spec)
