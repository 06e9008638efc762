"""Decode image files: JPEG by libjpeg-turbo through OpenCV, all others by Pillow, and by OpenCV what Pillow cannot."""

from __future__ import annotations

import logging
import os
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

from kagglekit import PixelRange, check_pixels, open_image, range_of, to_8_bits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"  # markers of ITU-T T.81, table B.1
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BIT_DEPTH = 24  # where a PNG has it
_NOWHERE = logging.NullHandler()
_WORDS = PixelRange(0, 65535)


def decoded(data: bytes) -> NDArray[np.number]:
    """Decode all pixels of an image file's bytes, upright: RGB of 8 bits; other numbers as they are.

    Transparent pixels are blended with white, an animation gives its first frame. A TIFF may have any number of bands.

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


def _by_pillow(image: Image.Image, data: bytes) -> NDArray[np.number]:
    """Decode an opened image, (H, W, 3) or (H, W)."""
    deep = _is_deep_colour(image, data)
    image.load()  # before the orientation is read: for a TIFF, it is applied here
    if deep:  # decoded by Pillow all the same: OpenCV says nothing of a truncated file
        turned = 1 if image.format == "TIFF" else _orientation(image)  # OpenCV turns a TIFF itself
        values = _by_opencv(data)
        return _upright(_without_alpha(values) if _has_alpha(image) else values, turned)
    return _upright(_numbers(image), _orientation(image))


def _is_deep_colour(image: Image.Image, data: bytes) -> bool:
    """Return whether an image has colours of 16 bits, of which Pillow keeps the upper 8."""
    if image.mode not in ("RGB", "RGBA", "RGBX", "LA"):
        return False
    if image.format == "PNG":
        return data[_BIT_DEPTH] == 16
    return image.format == "TIFF" and max(_tags(image).get(258, (8,))) == 16


def _has_alpha(image: Image.Image) -> bool:
    """Return whether a fourth band is transparency; in a TIFF it may be infrared."""
    return image.format != "TIFF" or not {1, 2}.isdisjoint(_tags(image).get(338, ()))


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


def _unknown_to_pillow(data: bytes) -> NDArray[np.number]:
    """Decode a TIFF that Pillow has no mode for: of many bands, of floating-point numbers."""
    if not data.startswith(_TIFF):
        raise ValueError("not a known image format")
    tags = _tiff_tags(data)
    check_pixels(int(tags.get(256, 0)), int(tags.get(257, 0)))
    bands, bits = int(tags.get(277, 1)), max(tags.get(258, (1,)))
    values = _by_opencv(data) if bands in (1, 3, 4) and bits > 8 else None
    if values is None or values.shape[2:] != ((bands,) if bands > 1 else ()):
        return _by_tifffile(data, f"a TIFF with {bands} band{'s' * (bands != 1)} of {bits} bits")
    return values


def _by_tifffile(data: bytes, what: str) -> NDArray[np.number]:
    """Decode the first image of a TIFF, (H, W, bands)."""
    import numpy as np

    try:
        from tifffile import TiffFile
    except ImportError:
        raise ValueError(f'{what}, which needs: pip install "kagglekit[arrays]"') from None
    logging.getLogger("tifffile").addHandler(_NOWHERE)  # else Python prints its log of damaged files
    with TiffFile(BytesIO(data)) as file:
        page = file.pages.first
        values: NDArray[Any] = page.asarray()
        axes = page.axes
    if values.dtype.kind not in "iuf":  # bits, complex numbers
        raise ValueError(f"{what}, of a type that is no usual number")
    values = np.moveaxis(values, [axes.index("Y"), axes.index("X")], [0, 1])
    return values.reshape(*values.shape[:2], -1)


def _tiff_tags(data: bytes) -> Any:
    """Return the tags of a TIFF's first image."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    big = data[2:4] in (b"+\0", b"\0+")
    tags = ImageFileDirectory_v2(data[: 16 if big else 8])
    file = BytesIO(data)
    file.seek(tags.next)
    tags.load(file)
    return tags


def _without_alpha(values: NDArray[np.number]) -> NDArray[np.number]:
    """Blend numbers (H, W, 4) with white, as 8 bits: what is not seen has a range of its own."""
    import numpy as np
    from PIL import Image

    if values.shape[2:] != (4,):
        return values
    return _numbers(Image.fromarray(np.dstack([to_8_bits(values[..., :3]), to_8_bits(values[..., 3])]), "RGBA"))


def _numbers(image: Image.Image) -> NDArray[np.number]:
    """Return the pixels of an image: (H, W, 3) uint8, or (H, W) if it has more than 8 bits."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        if image.format == "PPM" and image.mode != "F":  # it says its range, and Pillow scales it
            return to_8_bits(values, _WORDS)
        if _tags(image).get(262) != 0:
            return values
        black, white = _WORDS if values.dtype.itemsize == 2 else range_of(values)  # white is zero
        return (black + white - values.astype(np.float64)).astype(values.dtype)
    if image.format == "TIFF" and image.mode == "RGBX":
        return np.asarray(image)
    if image.has_transparency_data:
        under = Image.new("RGBA", image.size, "white")
        return np.asarray(Image.alpha_composite(under, image.convert("RGBA")).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where the EXIF block is missing or damaged."""
    from PIL import ExifTags

    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged EXIF block may raise anything, while the image is fine
        return 1
    return value if isinstance(value, int) else 1


def _upright(values: NDArray[np.number], orientation: int) -> NDArray[np.number]:
    """Undo an EXIF orientation (CIPA DC-008, tag 274)."""
    import numpy as np

    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.array(values)  # of its own: Pillow's memory cannot be written to
