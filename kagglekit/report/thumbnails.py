"""Small pictures that travel inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from kagglekit.errors import UserError
from kagglekit.hooks import Hooks
from kagglekit.manager import load_for
from kagglekit.run_folder import Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 128  # of the longer side, px
QUALITY = 70  # about 3 kB a picture


@dataclass(frozen=True)
class Thumbnails:
    """Makes pictures of images by id.

    Attributes:
        files: The image's files by id; empty where the page must do without pictures.
        read: Decodes a file to (H, W, 3) uint8, its short side at least so many px.
        missing: Why there are no pictures; empty where there are.
    """

    files: Mapping[str, Path]
    read: Callable[[Path, int], NDArray[np.uint8]]
    missing: str = ""

    def picture(self, image: str) -> str:
        """Return a data URI; empty where the file is not there or can't be decoded."""
        if image not in self.files:
            return ""
        try:
            return data_uri(self.read(self.files[image], SIDE))
        except (UserError, OSError, ValueError):
            return ""


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Shrink a picture (H, W, 3) to `SIDE` and return it as a WebP data URI; equal pixels give equal text."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def thumbnails(run: Run, data: Path | None) -> Thumbnails:
    """Find the valid images of a run, in `data` or where they were when it ran."""
    folder = data or Path(str(run.info().get("data", "")))
    files = {row["id"]: folder / row["file"] for row in run.valid()}
    there = {image: file for image, file in files.items() if file.is_file()}
    if not there:
        return Thumbnails({}, _nothing, "The images are no longer where they were: names stand for pictures.")
    try:
        hooks = Hooks(load_for(run))
    except UserError:
        return Thumbnails({}, _nothing, "The competition's plugin can't be loaded: names stand for pictures.")
    return Thumbnails(there, hooks.read_image)


def _nothing(path: Path, size: int) -> NDArray[np.uint8]:
    raise UserError(f"{path} is not read")
