"""Read images: image files, DICOM, and members of containers (CSV, parquet, JSON, npy, npz, HDF5, TFRecord, BSON)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import as_rgb, hookimpl, member_of, read_member, reading_image

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_NPY = b"\x93NUMPY"


def kagglekit_read_image(path: Path) -> NDArray[np.uint8]:
    """Decode an image like `read_numbers`, to RGB of 8 bits by its own range: for other plugins that call this one."""
    with reading_image(path):
        return as_rgb(read_numbers(path))


@hookimpl(specname="kagglekit_read_image")
def read_numbers(path: Path) -> NDArray[np.number]:
    """Decode all pixels of a file, or of a member of a container, upright.

    That is RGB of 8 bits; more bits, signed and floating-point numbers and other channels as they are. Transparent
    pixels are blended with white, an animation gives its first frame, DICOM is seen through its window, if it has one.

    Raises:
        UnreadableImage: The file is damaged, of an unknown kind, or has too many pixels.
        UsageError: A package that reads such files is not installed.
        OSError: The system cannot read it.
    """
    with reading_image(path):
        try:
            data = path.read_bytes()
        except (NotADirectoryError, FileNotFoundError):  # below a file; the other one on Windows
            member = member_of(path)
            if member is None:
                raise
            value = read_member(member)
            return _decoded(value) if isinstance(value, bytes) else _as_image(value)
        if path.suffix.lower() in (".dcm", ".dicom"):
            return _dicom(data)
        if data.startswith(_NPY):
            return _as_image(_array(data))
        return _decoded(data)


def _decoded(data: bytes) -> NDArray[np.number]:
    if data[128:132] == b"DICM":
        return _dicom(data)
    from kagglekit_reader.files import decoded

    return decoded(data)


def _dicom(data: bytes) -> NDArray[np.number]:
    from kagglekit_reader.dicom import dicom_pixels

    return dicom_pixels(data)


def _as_image(values: NDArray[np.generic]) -> NDArray[np.number]:
    from kagglekit_reader.pixels import as_image

    return as_image(values)


def _array(data: bytes) -> NDArray[np.generic]:
    """Return the array in the bytes of an npy file; nothing in it is unpickled."""
    from io import BytesIO

    import numpy as np

    values: NDArray[np.generic] = np.lib.format.read_array(BytesIO(data), allow_pickle=False)
    return values
