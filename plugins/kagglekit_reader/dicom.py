"""Read DICOM files by pydicom; JPEG and JPEG 2000 in them by pylibjpeg-openjpeg and GDCM."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit import PixelRange, UsageError, check_pixels, to_8_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

INSTALL = 'pip install "kagglekit[medical]"'
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "PALETTE COLOR")


def dicom_pixels(data: bytes) -> NDArray[np.number]:
    """Return the image in the bytes of a DICOM file; of several frames, the first one.

    Grey numbers are rescaled by the header's slope and intercept, and seen through its window (VOI LUT; PS3.3
    C.11.2): uint8 (H, W). Without a window they stay numbers, whose range the data set decides. MONOCHROME1 is
    inverted, so that a larger number is always brighter. Colours become RGB, uint8 (H, W, 3).

    Raises:
        ValueError: It is damaged, has no image, or too many pixels. pydicom raises other exceptions, too.
        UsageError: pydicom is not installed, or no decoder of the file's compression is.
    """
    try:
        import pydicom
    except ModuleNotFoundError as error:
        raise UsageError("pydicom is needed to read DICOM files", INSTALL) from error
    # Of values that break the standard in ways that do not matter; `catch_warnings` would be for one thread alone.
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    header = pydicom.dcmread(BytesIO(data), force=True)
    if "PixelData" not in header or not header.get("Rows"):
        raise ValueError("a DICOM file without an image, or no DICOM file")
    check_pixels(int(header.Columns), int(header.Rows))
    numbers = _first_frame(header, len(data))
    if header.get("PhotometricInterpretation", "") in _COLOURS:
        return _colours(numbers, header)
    return _grey(numbers, header)


def _first_frame(header: Any, n_bytes: int) -> NDArray[np.number]:
    """Decode the first frame, (H, W) or (H, W, 3); colours become RGB."""
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import ImplicitVRLittleEndian

    if "TransferSyntaxUID" not in header.file_meta:
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian  # the standard's default: PS3.5, chapter 10
    frames, samples = int(header.get("NumberOfFrames") or 1), int(header.get("SamplesPerPixel") or 1)
    claimed = int(header.Rows) * int(header.Columns) * samples * int(header.BitsAllocated) // 8 * frames
    if not header.file_meta.TransferSyntaxUID.is_compressed and claimed > n_bytes:
        raise ValueError("truncated: it has fewer pixels than its header says")
    try:
        numbers: NDArray[np.number] = pixel_array(header, index=0)
    except (RuntimeError, NotImplementedError) as error:
        if "missing dependencies" in str(error):
            syntax = header.file_meta.TransferSyntaxUID.name
            raise UsageError(f"no decoder for DICOM files of {syntax} is installed", INSTALL) from error
        raise
    return numbers


def _colours(numbers: NDArray[np.number], header: Any) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_color_lut

    if header.PhotometricInterpretation == "PALETTE COLOR":
        numbers = apply_color_lut(numbers, header)
    if numbers.ndim != 3 or numbers.shape[2] != 3:
        raise ValueError(f"colours of shape {numbers.shape}")
    bits = 8 * numbers.dtype.itemsize if header.PhotometricInterpretation == "PALETTE COLOR" else int(header.BitsStored)
    return to_8_bits(numbers, PixelRange(0, 2**bits - 1))


def _grey(numbers: NDArray[np.number], header: Any) -> NDArray[np.number]:
    from pydicom.pixels.processing import apply_modality_lut

    values = np.asarray(apply_modality_lut(numbers, header))
    if values.ndim != 2:
        raise ValueError(f"grey pixels of shape {values.shape}")
    inverted = header.get("PhotometricInterpretation", "") == "MONOCHROME1"
    shown = _shown(values, header)
    if shown is not None:
        return 255 - shown if inverted else shown
    if not inverted:
        return values
    signed = int(header.get("PixelRepresentation") or 0)  # 1: complements of two, whose negative is -1 - n
    white = -1 if signed else 2 ** int(header.BitsStored) - 1
    return np.asarray(apply_modality_lut(white - numbers.astype(np.int64), header))


def _shown(values: NDArray[np.number], header: Any) -> NDArray[np.uint8] | None:
    """Return rescaled numbers as the header says that they are shown, by its table, else by its window, if any."""
    if header.get("VOILUTSequence"):
        return _by_table(values, header.VOILUTSequence[0])
    center, width = (_first(header.get(name)) for name in ("WindowCenter", "WindowWidth"))
    function = str(header.get("VOILUTFunction") or "LINEAR").upper()
    if center is None or width is None or width < (1 if function == "LINEAR" else 1e-9):
        return None
    if function == "SIGMOID":  # PS3.3 C.11.2.1.3.1
        bent = 1 / (1 + np.exp(np.clip(-4 * (values.astype(np.float64) - center) / width, -700, 700)))
        return to_8_bits(bent, PixelRange(0, 1))
    if function == "LINEAR":  # PS3.3 C.11.2.1.2.1
        center, width = center - 0.5, max(width - 1, 1e-3)
    return to_8_bits(values, PixelRange(center - width / 2, center + width / 2))


def _by_table(values: NDArray[np.number], table: Any) -> NDArray[np.uint8]:
    """Look numbers up in a table (PS3.3 C.11.2.1.1); pydicom's own function takes 256 entries of 8 bits at most."""
    n, first, bits = (int(number) for number in table.LUTDescriptor)
    n = n or 2**16
    data = table.LUTData
    narrow = isinstance(data, bytes) and len(data) < 2 * n
    entries = np.frombuffer(data, "u1" if narrow else "<u2") if isinstance(data, bytes) else np.array(data)
    if len(entries) < n:
        raise ValueError(f"damaged: its table has {len(entries)} of {n} entries")
    places = np.clip(values.astype(np.int64) - first, 0, n - 1)
    return to_8_bits(entries[places], PixelRange(0, 2**bits - 1))


def _first(value: Any) -> float | None:
    """Return the first of a header's numbers; None if there is none."""
    if value is None or value == "":
        return None
    numbers = list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
    return float(numbers[0]) if numbers else None
