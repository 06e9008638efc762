"""Read image files: JPEG by libjpeg-turbo through OpenCV, all others by Pillow."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from kagglekit import hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"  # markers of ITU-T T.81, table B.1


@hookimpl
def kagglekit_read_image(path: Path) -> NDArray[np.uint8]:
    """Decode all pixels of a file, upright.

    Transparent pixels are blended with white, 16-bit grey is scaled to 8 bits, an animation gives its first frame.

    Raises:
        ValueError: The file is not an image, or an unsupported one, with the reason.
        OSError: It cannot be read, or is truncated.
        PIL.Image.DecompressionBombError: It has more pixels than Pillow's limit.
    """
    from PIL import Image, UnidentifiedImageError

    data = _content(path)
    try:
        with Image.open(BytesIO(data)) as image:  # reads only the header, and refuses decompression bombs
            jpeg = image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L")
            pixels = _by_libjpeg(data) if jpeg else None
            return _by_pillow(image) if pixels is None else pixels
    except UnidentifiedImageError:
        raise ValueError("not a known image format") from None


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except IsADirectoryError:
        raise ValueError("a folder, not a file") from None
    if not data:
        raise ValueError("the file is empty")
    return data


def _by_libjpeg(data: bytes) -> NDArray[np.uint8] | None:
    """Decode a JPEG, (H, W, 3) uint8; return None to leave it to Pillow."""
    import cv2
    import numpy as np

    if data.rfind(_END_OF_IMAGE) < data.rfind(_START_OF_SCAN):
        return None  # truncated: older OpenCVs fill the rest with grey, Pillow raises
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
    return None if image is None else image.astype(np.uint8, copy=False)


def _by_pillow(image: Image.Image) -> NDArray[np.uint8]:
    """Decode an opened image, (H, W, 3) uint8."""
    import numpy as np

    image.load()  # before the orientation is read: for a TIFF, it is applied here
    return np.array(_upright(_as_rgb(image), _orientation(image)))


def _as_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode.startswith("I"):
        return _from_16_bits(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Scale grey values of 0..65535 to 0..255, where Pillow's own conversion would clip them at 255."""
    import numpy as np
    from PIL import Image

    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its pixels are 32-bit numbers of unknown range")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")


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
