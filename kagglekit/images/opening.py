"""Open image files: a limit for their pixels, and one error for all that libraries raise on a damaged one."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kagglekit.system.damage import reason
from kagglekit.system.display.printable import shortened
from kagglekit.system.errors import UserError
from kagglekit.system.pixel_limit import check_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from PIL import Image

_opening = threading.Lock()
_LONGEST = 120  # letters of a library's message: some have a whole traceback
_NOWHERE = logging.NullHandler()


class UnreadableImage(UserError):
    """An image file cannot be decoded.

    Args:
        path: The file.
        why: The reason, on one line.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"cannot read {path}: {why}")
        self.why = why


@contextmanager
def reading_image(path: Path) -> Iterator[None]:
    """Raise one error that names the file for all that libraries raise while the block decodes an image.

    Raises:
        UnreadableImage: The file is damaged, of an unknown kind or too large.
        OSError: The system cannot read it.
        MemoryError: There is not enough memory.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except IsADirectoryError:
        raise UnreadableImage(path, "a folder, not a file") from None
    except Exception as error:  # decoders raise anything on damaged files, even AttributeError and SyntaxError
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnreadableImage(path, why_unreadable(error)) from error


def open_image(source: Path | BinaryIO) -> Image.Image:
    """Open an image by Pillow, without decoding its pixels.

    Pillow's own limit belongs to the whole process, and its warnings to the screen; here `max_pixels` counts instead.

    Raises:
        ValueError: It has too many pixels, or none.
        Exception: It is damaged, or of an unknown kind; use `reading_image`.
    """
    from PIL import Image

    logging.getLogger("PIL").addHandler(_NOWHERE)  # else Python prints Pillow's log where nobody has set up logging
    with _opening:
        theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(source)
        finally:
            Image.MAX_IMAGE_PIXELS = theirs
    try:
        check_pixels(*image.size)
    except ValueError:
        image.close()
        raise
    return image


def why_unreadable(error: BaseException) -> str:
    """Return the reason for which a library, or a plugin that uses it, could not decode an image, on one line."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnreadableImage):
        return error.why
    if isinstance(error, UnidentifiedImageError):  # its text has an object's address
        return "not a known image format"
    if type(error).__name__ == "error" and type(error).__module__.startswith("cv2"):  # a place in OpenCV's source
        return "damaged: OpenCV cannot decode it"
    if isinstance(error, OSError | ValueError | UserError | Image.DecompressionBombError):  # Pillow's and our own words
        return reason(error)
    return f"decoding failed ({type(error).__name__}: {shortened(reason(error), _LONGEST)})"
