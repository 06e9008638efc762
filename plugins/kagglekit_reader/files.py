"""Decode image files: JPEG by libjpeg-turbo through OpenCV, all others by Pillow, and by OpenCV what Pillow cannot."""

from __future__ import annotations

import os
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

from kagglekit import PixelRange, check_pixels, open_image, to_8_bits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"  # markers of ITU-T T.81, table B.1
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BIT_DEPTH = 24  # where a PNG has it
_PORTABLE = PixelRange(0, 65535)  # a portable graymap says its range, and Pillow scales it


def decoded(data: bytes) -> NDArray[np.uint8]:
    """Decode all pixels of an image file's bytes, (H, W, 3) uint8, upright.

    Raises:
        ValueError: It is damaged, of an unknown kind, or has too many pixels. Libraries raise other exceptions, too.
    """
    from PIL import UnidentifiedImageError

    if not data:
        raise ValueError("the file is empty")
    try:
        image = open_image(BytesIO(data))  # reads only the header
    except UnidentifiedImageError:
        return _unknown_to_pillow(data)
    with image:
        jpeg = image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L")
        pixels = _by_libjpeg(data) if jpeg else None
        return _by_pillow(image, data) if pixels is None else pixels


@cache
def _opencv() -> Any:
    """Return OpenCV, without its own log of damaged files on the screen: the error says it."""
    import cv2

    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def _by_libjpeg(data: bytes) -> NDArray[np.uint8] | None:
    """Decode a JPEG, (H, W, 3) uint8; return None to leave it to Pillow."""
    import numpy as np

    cv2 = _opencv()
    if data.rfind(_END_OF_IMAGE) < data.rfind(_START_OF_SCAN):
        return None  # truncated: older OpenCVs fill the rest with grey, Pillow raises
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:  # it has a limit of its own for the sides and pixels
        return None
    return None if image is None else image.astype(np.uint8, copy=False)


def _by_pillow(image: Image.Image, data: bytes) -> NDArray[np.uint8]:
    """Decode an opened image, (H, W, 3) uint8."""
    import numpy as np

    deep = _is_deep_colour(image, data)
    image.load()  # before the orientation is read: for a TIFF, it is applied here
    if deep:  # decoded by Pillow all the same: OpenCV says nothing of a truncated file
        turned = 1 if image.format == "TIFF" else _orientation(image)  # OpenCV turns a TIFF itself
        return np.array(_upright(_as_rgb(_picture(_by_opencv(data))), turned))
    return np.array(_upright(_as_rgb(image), _orientation(image)))


def _is_deep_colour(image: Image.Image, data: bytes) -> bool:
    """Return whether an image has colours of 16 bits, of which Pillow keeps the upper 8."""
    if image.mode not in ("RGB", "RGBA", "LA"):
        return False
    if image.format == "PNG":
        return data[_BIT_DEPTH] == 16
    return image.format == "TIFF" and max(_tags(image).get(258, (8,))) == 16


def _tags(image: Image.Image) -> Any:
    return getattr(image, "tag_v2", {})


def _by_opencv(data: bytes) -> NDArray[np.number]:
    """Decode an image to the numbers in the file, (H, W) or (H, W, C), as RGB or RGBA."""
    import numpy as np

    cv2 = _opencv()
    values: NDArray[np.number] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ValueError("damaged: OpenCV cannot decode it")
    return values if values.ndim == 2 else values[..., [2, 1, 0, 3][: values.shape[2]]]


def _unknown_to_pillow(data: bytes) -> NDArray[np.uint8]:
    """Decode a TIFF that Pillow has no mode for, such as three bands of floating-point numbers."""
    import numpy as np

    if not data.startswith(_TIFF):
        raise ValueError("not a known image format")
    tags = _tiff_tags(data)
    check_pixels(int(tags.get(256, 0)), int(tags.get(257, 0)))
    bands, bits = int(tags.get(277, 1)), max(tags.get(258, (1,)))
    values = _by_opencv(data) if bands in (1, 3, 4) and bits > 8 else None
    if values is None or values.shape[2:] != ((bands,) if bands > 1 else ()):
        plural = "s" * (bands != 1)
        raise ValueError(
            f"a TIFF with {bands} band{plural} of {bits} bits: only a reader plugin can choose three of them"
        )
    return np.array(_as_rgb(_picture(values)))


def _tiff_tags(data: bytes) -> Any:
    """Return the tags of a TIFF's first image."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    big = data[2:4] in (b"+\0", b"\0+")
    tags = ImageFileDirectory_v2(data[: 16 if big else 8])
    file = BytesIO(data)
    file.seek(tags.next)
    tags.load(file)
    return tags


def _picture(values: NDArray[np.number]) -> Image.Image:
    """Return numbers (H, W), (H, W, 3) or (H, W, 4) as an image of 8 bits."""
    import numpy as np
    from PIL import Image

    if values.ndim == 3 and values.shape[2] == 4:  # what is not seen has a range of its own
        return Image.fromarray(np.dstack([to_8_bits(values[..., :3]), to_8_bits(values[..., 3])]), "RGBA")
    return Image.fromarray(to_8_bits(values))


def _as_rgb(image: Image.Image) -> Image.Image:
    import numpy as np
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        over = _PORTABLE if image.format == "PPM" and image.mode != "F" else None
        grey = to_8_bits(np.asarray(image), over)
        return Image.fromarray(255 - grey if _tags(image).get(262) == 0 else grey).convert("RGB")  # 0: white is zero
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where the EXIF block is missing or damaged."""
    from PIL import ExifTags

    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged EXIF block may raise anything, while the image is fine
        return 1
    return value if isinstance(value, int) else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """Undo an EXIF orientation (CIPA DC-008, tag 274)."""
    from PIL.Image import Transpose

    undo = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(undo[orientation]) if orientation in undo else image
