"""Small pictures that travel inside the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_for
from kagglekit.report import rows
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UserError
from kagglekit.system.limits import cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 128  # of the longer side, px
QUALITY = 70  # about 3 kB a picture
METHOD = 2  # of WebP's encoder, 0 to 6: half of the usual one's time for 5 % more bytes


@dataclass(frozen=True)
class Thumbnails:
    """Makes pictures of images by id, each once, in threads.

    Attributes:
        files: The image's files by id; empty where the page must do without pictures.
        read: Decodes a file to (H, W, 3) uint8, its short side at least so many px.
        missing: Why there are no pictures; empty where there are.
    """

    files: Mapping[str, Path]
    read: Callable[[Path, int], NDArray[np.uint8]]
    missing: str = ""
    _made: dict[str, str] = field(default_factory=dict)

    def pictures(self, images: Sequence[str]) -> list[str]:
        """Return a data URI for each; empty where the file is not there or can't be decoded."""
        if images and not self._made:  # by itself: readers that import at their first use must not do so in threads
            self._made[images[0]] = self._picture(images[0])
        new = [image for image in dict.fromkeys(images) if image not in self._made]
        with ThreadPoolExecutor(math.ceil(cores())) as threads:
            self._made.update(zip(new, threads.map(self._picture, new), strict=True))
        return [self._made[image] for image in images]

    def _picture(self, image: str) -> str:
        if image not in self.files:
            return ""
        try:
            return data_uri(self.read(self.files[image], SIDE))
        except Exception:  # whatever a reader stumbles over: the page can do without the picture
            return ""


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Shrink a picture (H, W, 3) to `SIDE` and return it as a WebP data URI; equal pixels give equal text."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY, method=METHOD)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def thumbnails(run: Run, data: Path | None) -> Thumbnails:
    """Find the valid images of a run, in `data` or where they were when it ran."""
    folder = data or Path(str(run.info().get("data", "")))
    files = {row["id"]: folder / row["file"] for row in rows.valid(run)}
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
