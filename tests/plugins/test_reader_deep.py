"""Images of more than 8 bits, of signed and of floating-point numbers, and TIFFs of any number of bands."""

from __future__ import annotations

import re
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from kagglekit import UnreadableImage
from kagglekit_reader import kagglekit_read_image, read_numbers

HEIGHT, WIDTH = 4, 6
SHARES = np.linspace(0, 1, HEIGHT * WIDTH * 3, dtype=np.float32).reshape(HEIGHT, WIDTH, 3)
SIGNED, FLOATING = 2, 3  # of the tag SampleFormat


def encoded(suffix: str, pixels: np.ndarray) -> bytes:
    """An image file of RGB or RGBA by OpenCV, whose order is another."""
    order = [2, 1, 0, 3][: pixels.shape[-1]]
    return cv2.imencode(suffix, pixels[..., order] if pixels.ndim == 3 else pixels)[1].tobytes()


def tiff(pixels: np.ndarray, photometric: int = 1, orientation: int = 1) -> bytes:
    """A TIFF of any type and number of bands; 1: black is zero, 0: white is, 2: RGB."""
    bands, n, kind = pixels[0, 0].size, pixels.nbytes, {"u": 1, "i": SIGNED, "f": FLOATING}[pixels.dtype.kind]
    tags = {
        256: WIDTH, 257: HEIGHT, 258: pixels.itemsize * 8, 259: 1, 262: photometric, 273: 8, 274: orientation,
        277: bands, 278: HEIGHT, 279: n, 339: kind,
    }  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + n) + pixels.tobytes() + struct.pack("<H", len(tags)) + entries + bytes(4)


def numbers(folder: Path, content: bytes) -> np.ndarray:
    (folder / "image").write_bytes(content)
    return read_numbers(folder / "image")


def read(folder: Path, content: bytes) -> np.ndarray:
    """An image as people see it, alone."""
    (folder / "image").write_bytes(content)
    return kagglekit_read_image(folder / "image").astype(int)


def is_near(pixels: np.ndarray, shares: np.ndarray) -> bool:
    expected = np.broadcast_to(shares * 255 if shares.ndim == 3 else shares[..., None] * 255, (HEIGHT, WIDTH, 3))
    return pixels.shape == expected.shape and bool(np.abs(pixels - expected).max() <= 1)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_and_greys_of_10_to_16_bits_use_the_whole_range(tmp_path: Path, suffix: str, bits: int) -> None:
    stored = (SHARES * (2**bits - 1)).round().astype(np.uint16)
    assert is_near(read(tmp_path, encoded(suffix, stored)), SHARES)
    assert is_near(read(tmp_path, encoded(suffix, stored[..., 2])), SHARES[..., 2])


def test_transparency_of_16_bits_is_blended_with_white(tmp_path: Path) -> None:
    stored = (np.dstack([SHARES, np.ones((HEIGHT, WIDTH, 1))]) * 65535).round().astype(np.uint16)
    stored[0, :, 3] = 0
    pixels = read(tmp_path, encoded(".png", stored))
    assert (pixels[0] == 255).all()
    assert np.abs(pixels[1:] - SHARES[1:] * 255).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_numbers_of_8_bits_in_a_longer_type_are_not_black(tmp_path: Path, dtype: type[np.number]) -> None:
    stored = (SHARES[..., 1] * 255).round().astype(dtype)
    stored[-1, -1] = 255
    assert (read(tmp_path, tiff(stored))[..., 0] == stored).all()


def test_signed_numbers_are_shifted(tmp_path: Path) -> None:
    stored = np.full((HEIGHT, WIDTH), -1000, np.int16)  # air in Hounsfield units
    stored[0, 0], stored[1, 1] = 2000, 0
    pixels = read(tmp_path, tiff(stored))
    assert pixels[:2, :2, 0].tolist() == [[252, 65], [65, 128]]


@pytest.mark.parametrize(("scale", "dtype"), [(1, np.float32), (255, np.float32), (4095, np.float32), (1, np.float64)])
@pytest.mark.parametrize("photometric", [1, 2])
def test_three_bands_of_floating_point_numbers_are_colours(
    tmp_path: Path, scale: int, dtype: type[np.number], photometric: int
) -> None:
    assert is_near(read(tmp_path, tiff((SHARES * scale).astype(dtype), photometric)), SHARES)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("orientation", [2, 3, 4, 6, 8])
def test_deep_colours_are_turned_upright(tmp_path: Path, dtype: type[np.number], orientation: int) -> None:
    # The value says where the stored row 0 and column 0 are to be seen; see test_reader.py.
    upright = {
        2: SHARES[:, ::-1],
        3: SHARES[::-1, ::-1],
        4: SHARES[::-1],
        6: np.rot90(SHARES, -1),
        8: np.rot90(SHARES),
    }[orientation]
    pixels = read(tmp_path, tiff((SHARES * 65535).astype(dtype), 2, orientation))
    assert pixels.shape == upright.shape
    assert np.abs(pixels - upright * 255).max() <= 1


def test_a_deep_png_is_turned_as_its_exif_block_says(tmp_path: Path) -> None:
    content = encoded(".png", (SHARES * 4095).astype(np.uint16))
    exif = b"eXIf" + b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6
    chunk = struct.pack(">I", len(exif) - 4) + exif + struct.pack(">I", zlib.crc32(exif))
    pixels = read(tmp_path, content[:33] + chunk + content[33:])  # after the header
    assert np.abs(pixels - np.rot90(SHARES, -1) * 255).max() <= 1


def test_where_white_is_zero_it_is_white(tmp_path: Path) -> None:
    stored = (SHARES[..., 0] * 65535).round().astype(np.uint16)
    assert is_near(read(tmp_path, tiff(stored, 0)), 1 - SHARES[..., 0])


def test_a_portable_graymap_says_its_range_itself(tmp_path: Path) -> None:
    stored = (SHARES[..., 0] * 500).astype(">u2")  # a dark image, of 12 bits
    pixels = read(tmp_path, b"P5 6 4 4095\n" + stored.tobytes())
    assert np.abs(pixels[..., 0] - stored / 4095 * 255).max() <= 1


MANY = {
    "five bands": (np.uint8, 5, "a TIFF with 5 bands of 8 bits"),
    "13 bands of a satellite": (np.uint16, 13, "a TIFF with 13 bands of 16 bits"),
    "two bands": (np.float32, 2, "a TIFF with 2 bands of 32 bits"),
}


@pytest.mark.parametrize(("dtype", "bands", "said"), MANY.values(), ids=MANY)
def test_a_tiff_of_any_number_of_bands_is_read(
    tmp_path: Path, dtype: type[np.number], bands: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.arange(HEIGHT * WIDTH * bands).reshape(HEIGHT, WIDTH, bands).astype(dtype)
    found = numbers(tmp_path, tiff(pixels))
    assert found.dtype == dtype
    assert (found == pixels).all()
    monkeypatch.setitem(sys.modules, "tifffile", None)  # as if it were not installed
    with pytest.raises(
        UnreadableImage, match=re.escape(f'image: {said}, which needs: pip install "kagglekit[arrays]"')
    ):
        numbers(tmp_path, tiff(pixels))


def test_four_bands_are_not_taken_for_transparency(tmp_path: Path) -> None:
    pixels = np.arange(HEIGHT * WIDTH * 4, dtype=np.uint16).reshape(HEIGHT, WIDTH, 4)  # the fourth is infrared
    assert (numbers(tmp_path, tiff(pixels, 2)) == pixels).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("kept", [0.9, 0.5])
def test_a_truncated_deep_image_is_an_error(tmp_path: Path, suffix: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (80, 90, 3), dtype=np.uint16)
    content = encoded(suffix, noise)
    with pytest.raises(UnreadableImage):
        read(tmp_path, content[: int(len(content) * kept)])
