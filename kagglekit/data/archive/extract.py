"""Unpack an archive into a folder, safely."""

from __future__ import annotations

import errno
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.archive.budget import Budget
from kagglekit.data.archive.destination import BadArchive as BadArchive
from kagglekit.data.archive.destination import BrokenArchive as BrokenArchive
from kagglekit.data.archive.destination import LargeArchive as LargeArchive
from kagglekit.data.archive.destination import Place, shown_name
from kagglekit.data.archive.parts import is_compressed_table, parts_of, unpacked_name
from kagglekit.data.archive.seven_zip import SIGN, seven_zip_steps
from kagglekit.data.archive.tar_files import holds_tar, table_steps, tar_steps
from kagglekit.data.archive.zip_files import zip_steps
from kagglekit.data.listing import existing_file
from kagglekit.system.damage import BROKEN, reason
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from kagglekit.system.display.console import Display

ELSEWHERE = "free some disk space, or choose another folder"


def extract(
    archive: Path,
    folder: Path,
    display: Display | None = None,
    elsewhere: str = ELSEWHERE,
    budget: Budget | None = None,
) -> int:
    """Unpack a zip, 7z or tar file, or a compressed table, and return the number of files.

    Nothing outside `folder` is written, nothing in it replaced, and no link or device is made. The checksums of zip
    and 7z files are verified. After an error, files written before it remain: unpack into a new folder, and rename it
    at the end.

    Args:
        archive: ``.zip``, ``.7z``, ``.tar``, or the latter with gzip, bzip2 or xz; its content counts, not its name.
            Of a split one, any part: ``train.zip.001``.
        folder: It need not exist.
        display: Shows a progress bar.
        elsewhere: The hint if the disk is full.
        budget: How much may be unpacked, with what was before; None for what is sensible for one archive.

    Raises:
        BadArchive: It is unsafe or too large; the message names the member.
        BrokenArchive: It is damaged; the message names the member.
        UserError: The file does not exist, nothing is installed that reads 7z, the folder cannot be written, or the
            disk is too full.
    """
    place = Place(existing_file(archive), folder, elsewhere, budget, parts_of(archive))
    if display is None:
        for _ in _steps(place):
            pass
        return place.n_files
    total = None if ".7z" in archive.name.lower() else place.packed_size  # what 7z holds is counted once unpacked
    with display.bar(f"unpacking {archive.name}", total, "bytes") as bar:
        for n_bytes in _steps(place):
            bar.advance(n_bytes)
    return place.n_files


def _steps(place: Place) -> Iterator[int]:
    """Unpack; yield how many of the archive's bytes were consumed since the last time."""
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        yield from _content_steps(place)
    except OSError as error:
        if error.errno is None:  # gzip and bz2 report damage so
            raise _broken(place, error) from error
        if error.errno == errno.ENAMETOOLONG:
            raise place.refuse(f"has a name that is too long for this disk: {shown_name(place.member)}") from error
        at = f" (at {shown_name(place.member)})" if place.member else ""
        raise UserError(
            f"cannot unpack {place.archive} into {place.folder}{at}: {error.strerror}", place.elsewhere
        ) from error
    except BROKEN as error:
        raise _broken(place, error) from error


def _broken(place: Place, error: Exception) -> BrokenArchive:
    where = f", at {shown_name(place.member)}" if place.member else ""
    return BrokenArchive(
        f"cannot unpack {place.archive}{where}: {reason(error)}", "download it again, or unpack it yourself"
    )


def _content_steps(place: Place) -> Iterator[int]:
    kind = _kind(place)
    if kind == "zip":
        return zip_steps(place)
    if kind == "7z":
        return seven_zip_steps(place)
    if kind != "tar" and is_compressed_table(place.archive.name) and not holds_tar(place, kind):
        return table_steps(place, kind, unpacked_name(place.archive.name))
    return tar_steps(place, kind)


def _kind(place: Place) -> str:
    """Return ``zip``, ``7z``, or the compression of a tar file, by its first bytes: names can be wrong."""
    with place.opened() as file:
        start = file.read(512)
        known = next((kind for kind, sign in _SIGNS.items() if start.startswith(sign)), "")
        if known:
            return known
        if start[257:262] == b"ustar":
            return "tar"
        if zipfile.is_zipfile(file):  # data may precede its first member
            return "zip"
    raise tarfile.ReadError("it is not a zip, 7z or tar file")


_SIGNS = {"zip": b"PK", "7z": SIGN, "gz": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\0"}
