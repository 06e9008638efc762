"""Sizes and formats from image headers."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kagglekit.containers.container import needs
from kagglekit.containers.opening import read_member
from kagglekit.data.listing import MEDICAL_SUFFIXES, suffix_of
from kagglekit.images.opening import UnreadableImage, open_image, reading_image
from kagglekit.system.display.printable import printable
from kagglekit.system.members import member_of
from kagglekit.types.image_path import channel_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kagglekit.system.display.console import Display


MOST_HEADERS = 20_000  # a few seconds' worth
THIN = 8  # px: a shorter side shows nothing
LONGEST = 20  # ratio of the sides: no crop or padding shows such an image well


class Header(NamedTuple):
    """Width and height of an image, px, and its format, as stated by the file."""

    width: int
    height: int
    form: str
    path: str = ""

    @property
    def aspect(self) -> float:
        """Width divided by height."""
        return self.width / self.height

    @property
    def is_thin(self) -> bool:
        """True if a side is too short, or the sides are too different, to show anything."""
        short, long = sorted((self.width, self.height))
        return short < THIN or long > LONGEST * short


def read_header(path: str) -> Header:
    """Read one header, without decoding pixels.

    Raises:
        ValueError: It cannot be read, with the reason on one line.
    """
    path = str(channel_files(Path(path))[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        try:
            with reading_image(Path(path)):
                return _header(path)
        except UnreadableImage as error:
            raise ValueError(printable(error.why)) from error
        except OSError as error:
            raise ValueError(printable(error.strerror or str(error))) from error


def _header(path: str) -> Header:
    member = member_of(Path(path))
    value = read_member(member) if member else None
    if value is not None and not isinstance(value, bytes):
        height, width = value.shape[1:] if value.ndim == 3 and value.shape[2] > value.shape[0] else value.shape[:2]
        return Header(width, height, "numbers", path)
    if suffix_of(path).lower() in MEDICAL_SUFFIXES:
        return _dicom_header(path)
    with open_image(Path(path) if value is None else BytesIO(value)) as image:
        return Header(*image.size, image.format or "unknown", path)


def _dicom_header(path: str) -> Header:
    try:
        import pydicom
    except ModuleNotFoundError as error:
        raise needs("medical", Path(path), "pydicom") from error
    read = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
    if not read.get("Rows") or not read.get("Columns"):
        raise ValueError("no DICOM file, or without an image")
    return Header(int(read.Columns), int(read.Rows), "DICOM", path)


def read_headers(paths: Sequence[str], display: Display) -> tuple[list[Header], list[tuple[str, str]]]:
    """Read the header of each file, without decoding pixels.

    Returns:
        The headers, and the path of each unreadable file with the reason.
    """
    headers, broken = [], []
    for path in display.track("reading sizes", len(paths), paths):
        try:
            headers.append(read_header(path))
        except ValueError as error:
            broken.append((path, str(error)))
    return headers, broken
