"""List and remove the contents of the cache folder: image stores and unpacked archives."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from kagglekit.images.store import ENTRIES, FEATURES, INFO, JOURNAL, LOCK, PIXELS, USED
from kagglekit.system.paths import cache_folder, private_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN_FILES = (PIXELS, ENTRIES, JOURNAL, INFO, f".{INFO}.*.part", f"{FEATURES}*")


@dataclass(frozen=True)
class CachedStore:
    """One image store in the cache.

    Attributes:
        folder: Its location.
        root: The data folder whose images it holds; empty if unknown.
        images: Number of images.
        side: See `kagglekit.images.store.StoreSpec`, px.
        fit: See `kagglekit.images.store.StoreSpec`.
        n_bytes: Size on the disk.
        complete: Whether the build has finished.
        used: Time of the last use, seconds since 1970.
    """

    folder: Path
    root: str
    images: int
    side: int
    fit: str
    n_bytes: int
    complete: bool
    used: float


@dataclass(frozen=True)
class CachedArchive:
    """The files unpacked from an archive (see `kagglekit.data.archive.extract`).

    Attributes:
        folder: Its location; until unpacking has finished, the files are in ``FOLDER.part``.
        name: Name of the archive, without suffix.
        n_bytes: Sum of the files' sizes.
        complete: Whether unpacking has finished.
        used: Time of the last use, seconds since 1970.
    """

    folder: Path
    name: str
    n_bytes: int
    complete: bool
    used: float


def cached_stores() -> list[CachedStore]:
    """Return all stores of the cache, the most recently used first."""
    stores = [_describe(entry) for entry in _entries("stores") if _is_store(entry)]
    return sorted(stores, key=lambda store: -store.used)


def cached_archives() -> list[CachedArchive]:
    """Return all unpacked archives of the cache, the most recent first."""
    there = [entry for entry in _entries("unpacked") if _is_unpacked(entry)]
    whole = {entry.with_name(entry.name.removesuffix(".part")) for entry in there}
    return sorted((_describe_archive(entry) for entry in whole), key=lambda archive: -archive.used)


def _entries(kind: str) -> Iterator[Path]:
    """Yield what lies in a folder of the cache, and in the private one that stands in for it."""
    for folder in dict.fromkeys((cache_folder() / kind, private_folder() / kind)):
        if folder.is_dir() and not folder.is_symlink():
            yield from folder.iterdir()


def remove(entry: CachedStore | CachedArchive) -> bool:
    """Remove an entry from the cache; return False and touch nothing if a process builds or uses it.

    Of a store, only files written by kagglekit are removed. Links are removed, never followed.
    """
    return _remove_store(entry) if isinstance(entry, CachedStore) else _remove_archive(entry)


def _remove_store(store: CachedStore) -> bool:
    locks = [store.folder / LOCK, store.folder / USED]
    try:
        with FileLock(locks[0], timeout=0), FileLock(locks[1], timeout=0):
            for path in _files(store.folder):
                path.unlink(missing_ok=True)
    except (Timeout, PermissionError):  # on Windows, a file that is open cannot be removed
        return False
    for lock in locks:
        lock.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it contains a file of somebody else's
        store.folder.rmdir()
    return True


def _remove_archive(archive: CachedArchive) -> bool:
    locks = [archive.folder.with_name(f"{archive.folder.name}.{what}") for what in ("lock", "used")]
    try:
        with FileLock(locks[0], timeout=0), FileLock(locks[1], timeout=0):
            for folder in (archive.folder, _part(archive.folder)):
                if folder.is_dir():
                    shutil.rmtree(folder)
    except Timeout:
        return False
    for lock in locks:
        lock.unlink(missing_ok=True)
    return True


def _is_unpacked(folder: Path) -> bool:
    named = re.fullmatch(r".+-[0-9a-f]{16}(\.part)?", folder.name)
    return bool(named) and folder.is_dir() and not folder.is_symlink()


def _part(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.part")


def _describe_archive(folder: Path) -> CachedArchive:
    part = _part(folder)
    there = folder if folder.is_dir() else part
    return CachedArchive(
        folder=folder,
        name=folder.name.rpartition("-")[0],
        n_bytes=_bytes_below(folder) + _bytes_below(part),
        complete=there == folder,
        used=there.stat().st_mtime,
    )


def _bytes_below(folder: Path) -> int:
    return sum((Path(place) / name).lstat().st_size for place, _, names in os.walk(folder) for name in names)


def _is_store(folder: Path) -> bool:
    return bool(re.fullmatch("[0-9a-f]{32}", folder.name)) and folder.is_dir() and not folder.is_symlink()


def _files(folder: Path) -> list[Path]:
    return [path for pattern in _OWN_FILES for path in folder.glob(pattern)]


def _describe(folder: Path) -> CachedStore:
    info = _info(folder / INFO)
    status = [path.lstat() for path in _files(folder)]
    return CachedStore(
        folder=folder,
        root=str(info.get("root", "")),
        images=int(info.get("images", 0)),
        side=int(info.get("side", 0)),
        fit=str(info.get("fit", "")),
        n_bytes=sum(entry.st_size for entry in status),
        complete=(folder / ENTRIES).exists(),
        used=max((entry.st_mtime for entry in status), default=folder.stat().st_mtime),
    )


def _info(path: Path) -> dict[str, Any]:
    """Read a store's info.json; return an empty dict if it is missing or damaged."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}
