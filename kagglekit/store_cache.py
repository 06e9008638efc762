"""What the image stores in the cache take up, and their removal."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from kagglekit.store import INFO, JOURNAL, LOCK, PICTURES, PIXELS, cache_folder

if TYPE_CHECKING:
    from pathlib import Path

_MADE_HERE = (PIXELS, PICTURES, JOURNAL, INFO, f".{INFO}.*.part")


@dataclass(frozen=True)
class CachedStore:
    """One image store in the cache.

    Attributes:
        folder: Where it lies.
        root: The data folder whose pictures it holds; empty where that is not known.
        images: How many.
        side: See `kagglekit.store.StoreSpec`, px; likewise `fit`.
        n_bytes: On the disk.
        complete: Whether it was built to the end.
        used: When it was last opened or worked on, seconds since 1970.
    """

    folder: Path
    root: str
    images: int
    side: int
    fit: str
    n_bytes: int
    complete: bool
    used: float


def cached_stores() -> list[CachedStore]:
    """Return all stores of the cache, the last used first."""
    folder = cache_folder() / "stores"
    stores = [_describe(entry) for entry in folder.iterdir() if _is_store(entry)] if folder.is_dir() else []
    return sorted(stores, key=lambda store: -store.used)


def remove(store: CachedStore) -> bool:
    """Remove a store's files and its folder; False if a process is building it, and then nothing is touched.

    Only files that kagglekit made go; a link is removed, not what it points to.
    """
    lock = FileLock(store.folder / LOCK, timeout=0)
    try:
        with lock:
            for path in _files(store.folder):
                path.unlink(missing_ok=True)
    except Timeout:
        return False
    (store.folder / LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody else's file lies in it
        store.folder.rmdir()
    return True


def _is_store(folder: Path) -> bool:
    return bool(re.fullmatch("[0-9a-f]{32}", folder.name)) and folder.is_dir() and not folder.is_symlink()


def _files(folder: Path) -> list[Path]:
    return [path for pattern in _MADE_HERE for path in folder.glob(pattern)]


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
        complete=(folder / PICTURES).exists(),
        used=max((entry.st_mtime for entry in status), default=folder.stat().st_mtime),
    )


def _info(path: Path) -> dict[str, Any]:
    """Read a store's info.json; nothing where its builder was killed before writing it."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}
