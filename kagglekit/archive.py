"""Zip files, unpacked once into the cache folder: the data folder may be read-only."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from hashlib import blake2b
from pathlib import Path, PurePosixPath, PureWindowsPath

from kagglekit.errors import UserError, listing
from kagglekit.files import check_writable
from kagglekit.folder import existing_file


def unpacked(archive: Path) -> Path:
    """Unpack a zip file into the cache folder and return that folder; what is there already is used again.

    A changed file (its place, size or time) is unpacked anew. Two runs at once wait for one another.

    Raises:
        UserError: The file is missing, broken or unsafe, or the disk is too full.
    """
    from filelock import FileLock

    from kagglekit.store import cache_folder

    facts = existing_file(archive).stat()
    key = blake2b(f"{archive.resolve()}|{facts.st_size}|{facts.st_mtime_ns}".encode(), digest_size=8).hexdigest()
    folder = cache_folder() / "unpacked" / f"{archive.stem}-{key}"
    if folder.is_dir():  # it gets this name when it is complete
        return folder
    check_writable(folder.parent, _ELSEWHERE)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            _unpack(archive, folder)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was stopped
    try:
        with zipfile.ZipFile(archive) as content:
            _refuse_unsafe(archive, content.infolist())
            _refuse_too_large(archive, content.infolist(), folder.parent)
            content.extractall(part)
        part.rename(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"cannot unpack {archive}: {error}", "download it again, or unpack it yourself") from error
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot unpack {archive} into {folder.parent}: {reason}", _ELSEWHERE) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


_ELSEWHERE = "free some disk, or set KAGGLEKIT_CACHE to a folder elsewhere"


def _refuse_unsafe(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    unsafe = [member.filename for member in members if _leads_outside(member)]
    if unsafe:
        raise UserError(
            f"{archive} would write outside of its folder, or holds links: {listing(unsafe)}",
            "it is not unpacked; get the file from its source again",
        )


def _leads_outside(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    drive = PureWindowsPath(member.filename).drive
    strange = path.is_absolute() or drive or ".." in path.parts or "\\" in member.filename
    return bool(strange) or stat.S_ISLNK(member.external_attr >> 16)


def _refuse_too_large(archive: Path, members: list[zipfile.ZipInfo], where: Path) -> None:
    needed, free = sum(member.file_size for member in members), shutil.disk_usage(where).free
    if needed > free:
        raise UserError(
            f"unpacking {archive} needs {needed / 1e9:.1f} GB and {where} has {free / 1e9:.1f} GB left",
            _ELSEWHERE,
        )
