"""Unpack archives safely: into a folder, nested ones in place, or once into the cache folder."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.archive.destination import BadArchive as BadArchive
from kagglekit.data.archive.destination import BrokenArchive as BrokenArchive
from kagglekit.data.archive.destination import Place, printable
from kagglekit.data.archive.tar_files import tar_steps
from kagglekit.data.archive.zip_files import zip_steps
from kagglekit.data.listing import existing_file
from kagglekit.system.damage import BROKEN, reason
from kagglekit.system.errors import UserError
from kagglekit.system.files import check_writable
from kagglekit.system.fingerprints import fingerprint

if TYPE_CHECKING:
    from kagglekit.system.console import Display

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_ELSEWHERE = "free some disk space, or choose another folder"
_ELSEWHERE_CACHE = "free some disk space, or set KAGGLEKIT_CACHE to another folder"


def extract(archive: Path, folder: Path, display: Display | None = None, elsewhere: str = _ELSEWHERE) -> int:
    """Unpack a zip or tar file and return the number of files.

    Nothing outside `folder` is written, nothing in it replaced, and no link or device is made. The checksum of every
    member of a zip file is verified. After an error, files written before it remain: unpack into a new folder, and
    rename it at the end.

    Args:
        archive: ``.zip``, ``.tar``, or the latter with gzip, bzip2 or xz; its content counts, not its name.
        folder: It need not exist.
        display: Shows a progress bar.
        elsewhere: The hint if the disk is full.

    Raises:
        BadArchive: It is unsafe; the message names the member.
        BrokenArchive: It is damaged; the message names the member.
        UserError: The file does not exist, the folder cannot be written, or the disk is too full.
    """
    place = Place(existing_file(archive), folder, elsewhere)
    if display is None:
        for _ in _steps(place):
            pass
        return place.n_files
    with display.bar(f"unpacking {archive.name}", archive.stat().st_size, "bytes") as bar:
        for n_bytes in _steps(place):
            bar.advance(n_bytes)
    return place.n_files


def _steps(place: Place) -> Iterator[int]:
    """Unpack; yield how many of the archive's bytes were consumed since the last time."""
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        kind = _kind(place.archive)
        yield from zip_steps(place) if kind == "zip" else tar_steps(place, kind)
    except OSError as error:
        if error.errno is None:  # gzip and bz2 report damage so
            raise _broken(place, error) from error
        at = f" (at {printable(place.member)})" if place.member else ""
        raise UserError(
            f"cannot unpack {place.archive} into {place.folder}{at}: {error.strerror}", place.elsewhere
        ) from error
    except BROKEN as error:
        raise _broken(place, error) from error


def _broken(place: Place, error: Exception) -> BrokenArchive:
    where = f", at {printable(place.member)}" if place.member else ""
    return BrokenArchive(
        f"cannot unpack {place.archive}{where}: {reason(error)}", "download it again, or unpack it yourself"
    )


def _kind(archive: Path) -> str:
    """Return ``zip``, or the compression of a tar file, by its first bytes: names can be wrong."""
    with archive.open("rb") as file:
        start = file.read(512)
    known = next((kind for kind, sign in _SIGNS.items() if start.startswith(sign)), "")
    if known:
        return known
    if start[257:262] == b"ustar":
        return "tar"
    if zipfile.is_zipfile(archive):  # data may precede its first member
        return "zip"
    raise tarfile.ReadError("it is neither a zip nor a tar file")


_SIGNS = {"zip": b"PK", "gz": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\0"}


def extract_nested(folder: Path, display: Display | None = None) -> int:
    """Unpack the zip files in a folder and below in place, and remove them; return their number.

    The members of ``train.zip`` go into the folder ``train``, whether their names begin with ``train/`` or not;
    ``labels.csv.zip`` becomes ``labels.csv``. Zip files inside these stay packed, and so does one whose place is
    taken.

    Raises:
        BadArchive: One is unsafe.
        BrokenArchive: One is damaged.
        UserError: The folder cannot be written, or the disk is too full.
    """
    archives = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".zip" and path.is_file())
    done = 0
    for archive in archives:
        if not archive.with_suffix("").exists():
            _replace_by_content(archive, display)
            done += 1
        elif display:
            display.report(f"{archive.name} stays packed: {archive.stem} exists already")
    return done


def _replace_by_content(archive: Path, display: Display | None) -> None:
    target, room = archive.with_suffix(""), archive.with_name(f".{archive.name}.unpacking")
    try:
        extract(archive, room, display)
        only = [entry.name for entry in room.iterdir()] == [target.name]
        (room / target.name if only else room).rename(target)
        archive.unlink()
    except OSError as error:
        raise UserError(f"cannot unpack {archive} into {target}: {error.strerror or error}", _ELSEWHERE) from error
    finally:
        shutil.rmtree(room, ignore_errors=True)


def unpacked(archive: Path) -> Path:
    """Unpack a zip or tar file into the cache folder, unless that is done, and return that folder.

    A changed file (its path, size, first or last 4 kB) is unpacked again. Two runs at once wait for one another.

    Raises:
        UserError: The file is missing, damaged or unsafe, or the disk is too full.
    """
    from filelock import FileLock

    from kagglekit.system.paths import own_place

    content = fingerprint(existing_file(archive))
    key = blake2b(os.fsencode(archive.resolve()), key=content, digest_size=8).hexdigest()
    folder = own_place("unpacked", f"{archive.stem}-{key}")
    if folder.is_dir():  # it gets this name once it is complete
        return folder
    check_writable(folder.parent, _ELSEWHERE_CACHE)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            _unpack(archive, folder)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of an interrupted run
    try:
        extract(archive, part, elsewhere=_ELSEWHERE_CACHE)
        part.rename(folder)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot unpack {archive} into {folder.parent}: {reason}", _ELSEWHERE_CACHE) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
