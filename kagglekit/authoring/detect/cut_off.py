"""Find labelled images whose files were cut off: a run would refuse them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kagglekit.data.listing import suffix_of

ENDS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}
TAIL = 64  # bytes at the end of a file, one of which is the format's mark of its end
MOST_FILES = 50_000  # whose ends are read
MOST_NAMED = 20  # images that a plugin leaves out by name


def cut_off_images(data: Path, images: Sequence[str]) -> tuple[str, ...]:
    """Return the JPEG and PNG files that end too early and cannot be decoded.

    Args:
        data: The data folder.
        images: Paths of images, relative to it; of very many, some are looked at.
    """
    some = images[:: -(-len(images) // MOST_FILES)] if images else []
    return tuple(path for path in some if _lacks_its_end(data / path) and not _can_be_decoded(data / path))


def _lacks_its_end(file: Path) -> bool:
    mark = ENDS.get(suffix_of(file.name).lower())
    with suppress(OSError), file.open("rb") as content:
        size = content.seek(0, os.SEEK_END)
        content.seek(max(0, size - TAIL))
        return mark is not None and mark not in content.read()
    return False


def _can_be_decoded(file: Path) -> bool:
    """Return whether Pillow decodes a file: some cameras write more after the mark of the end."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True
