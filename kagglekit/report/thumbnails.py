"""Thumbnails embedded in the page."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
from PIL import Image

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_for
from kagglekit.hooks.trust import UntrustedPlugin
from kagglekit.report import rows
from kagglekit.runs.folder import Run
from kagglekit.runs.info import RunInfo
from kagglekit.system.errors import UserError
from kagglekit.system.limits import cores
from kagglekit.system.members import is_there
from kagglekit.types.image_path import channel_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 128  # the longer side, px
QUALITY = 70  # about 3 kB for each thumbnail
METHOD = 2  # WebP's effort, 0 to 6: half the time of the default, for 5 % more bytes


@dataclass(frozen=True)
class Thumbnails:
    """Make thumbnails by image id, each once, in threads.

    Attributes:
        files: The images' files by id; empty if there are no thumbnails.
        read: Decodes a file to (H, W, 3) uint8, with a short side of at least the given number of px.
        missing: Why there are no thumbnails; empty if there are.
        page: The folder of the page, from which links lead to the files; None for no links.
    """

    files: Mapping[str, Path]
    read: Callable[[Path, int], NDArray[np.uint8]]
    missing: str = ""
    page: Path | None = None
    _made: dict[str, str] = field(default_factory=dict)

    def pictures(self, images: Sequence[str]) -> list[str]:
        """Return a data URI for each image; empty if its file is missing or cannot be decoded."""
        if images and not self._made:  # the first one outside threads: readers import libraries on first use
            self._made[images[0]] = self._picture(images[0])
        new = [image for image in dict.fromkeys(images) if image not in self._made]
        if new:
            with ThreadPoolExecutor(math.ceil(cores())) as threads:
                self._made.update(zip(new, threads.map(self._picture, new), strict=True))
        return [self._made[image] for image in images]

    def link(self, image: str) -> str:
        """Return the address of an image's file from the page, percent-encoded; empty if it has none.

        The address is relative, and there is none if page and file share no folder: the page names no place on the
        machine.
        """
        file = self.files.get(image)
        if self.page is None or file is None or not file.is_file():
            return ""
        start, file = self.page.absolute(), file.absolute()
        try:
            shared = Path(os.path.commonpath([start, file]))
        except ValueError:  # on another drive
            return ""
        if shared == Path(shared.anchor):
            return ""
        return quote(Path(os.path.relpath(file, start)).as_posix(), errors="surrogateescape")

    def _picture(self, image: str) -> str:
        if image not in self.files:
            return ""
        try:
            return data_uri(self.read(self.files[image], SIDE))
        except Exception:  # a plugin's reader may raise anything, and the page works without this thumbnail
            return ""


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Shrink an image (H, W, 3) to `SIDE` and return it as a WebP data URI; equal pixels give equal text."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY, method=METHOD)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def thumbnails(run: Run, info: RunInfo, data: Path | None, page: Path | None = None) -> Thumbnails:
    """Find the valid images of a run, and the test images that it shows, in `data` or in the folder used by the run.

    Args:
        run: The run.
        info: Its run.json.
        data: The folder of its images; None for the one that it used.
        page: The folder of the page, from which links lead to the files; None for the run's.
    """
    folder = data or Path(info.data)
    files = {row["id"]: folder / row["file"] for row in (*rows.test_images(run), *rows.valid(run))}
    there = {image: file for image, file in files.items() if all(map(is_there, channel_files(file)))}
    if not there:
        return Thumbnails({}, _nothing, "No thumbnails: the images have moved (kagglekit report RUN --data DIR).")
    try:
        hooks = Hooks(load_for(info))
    except UntrustedPlugin:
        missing = "No thumbnails: the plugin file is not imported (kagglekit report RUN --plugin FILE)."
        return Thumbnails({}, _nothing, missing)
    except UserError:
        return Thumbnails({}, _nothing, "No thumbnails: the competition's plugin cannot be loaded.")
    return Thumbnails(there, partial(hooks.read_image, form=info.form), page=page or run.folder)


def _nothing(path: Path, size: int) -> NDArray[np.uint8]:
    raise UserError(f"{path} cannot be read")
