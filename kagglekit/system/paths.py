"""The cache folder, and the places in it that are safe to write to.

Others may write to a shared cache folder. A link in it could lead a write anywhere, and a file of somebody else could
change at any time. Such places are left alone: a private folder takes their part.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import platformdirs

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return the folder for files that can be recreated: ``$KAGGLEKIT_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("KAGGLEKIT_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("kagglekit")


def own_place(*parts: str, files: tuple[str, ...] = (), own_root: bool = False) -> Path:
    """Return a place in the cache folder, or in a private folder if the place is a link or belongs to somebody else.

    A warning names a place that is left alone, once.

    Args:
        *parts: Names of folders, one in the other; they need not exist.
        files: Names of files in the last of them that must be safe, too.
        own_root: Whether the cache folder itself must be the user's own.
    """
    root = cache_folder()
    place = root.joinpath(*parts)
    foreign = _foreign(root, [*_below(root, parts), *(place / name for name in files)], own_root)
    if foreign is None:
        return place
    private = private_folder()
    if _foreign(private, [], own_root=True):
        private = _temporary_folder()
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    _warn(foreign, private)
    return private.joinpath(*parts)


def private_folder() -> Path:
    """Return the folder, closed to others, that stands in for places left alone; it need not exist."""
    return platformdirs.user_cache_path("kagglekit-private")


@lru_cache(1)
def _temporary_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="kagglekit-"))


@lru_cache
def _warn(foreign: Path, private: Path) -> None:
    _log.warning(f"warning: {foreign} is a link or belongs to another user; using {private} instead")


def _below(root: Path, parts: tuple[str, ...]) -> list[Path]:
    return [root.joinpath(*parts[:number]) for number in range(1, len(parts) + 1)]


def _foreign(root: Path, places: list[Path], own_root: bool) -> Path | None:
    """Return the first place that is a link or belongs to somebody else; the root may be a link of the user's own."""
    status = _status(root)
    if status is not None and (own_root or stat.S_ISLNK(status.st_mode)) and not _is_users(status):
        return root
    for place in places:
        status = _status(place)
        if status is not None and (_leads_away(status) or not (_is_users(status) or _is_owners(status, root))):
            return place
    return None


def _status(place: Path) -> os.stat_result | None:
    try:
        return place.lstat()
    except OSError:  # not there, or writing to it will fail, too, with a message that says why
        return None


def _leads_away(status: os.stat_result) -> bool:
    """Return whether a place is a link, on Windows also a junction, or a file with another name elsewhere."""
    reparse = getattr(status, "st_reparse_tag", 0)
    return stat.S_ISLNK(status.st_mode) or bool(reparse) or (stat.S_ISREG(status.st_mode) and status.st_nlink > 1)


def _is_users(status: os.stat_result) -> bool:
    """Return whether something belongs to this user or to root; Windows does not tell."""
    return not hasattr(os, "geteuid") or status.st_uid in (os.geteuid(), 0)


def _is_owners(status: os.stat_result, root: Path) -> bool:
    """Return whether something belongs to the only user who may write to the cache folder, or is as good as one's own.

    The first is for root in a container, which uses a folder of the host's user. The second is for network drives that
    give all new files to one user.
    """
    return status.st_uid in (_only_owner(root), _mapped_user(root))


def _only_owner(root: Path) -> int | None:
    try:
        status = root.stat()
    except OSError:
        return None
    return None if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else status.st_uid


@lru_cache
def _mapped_user(root: Path) -> int | None:
    """Return the owner of new files in a folder: not this user where a network drive maps users to others."""
    try:
        with tempfile.TemporaryFile(dir=root) as file:
            return os.fstat(file.fileno()).st_uid
    except OSError:
        return None


@contextmanager
def cache_in(folder: Path) -> Iterator[None]:
    """Use another cache folder in the block."""
    before = os.environ.get("KAGGLEKIT_CACHE")
    os.environ["KAGGLEKIT_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["KAGGLEKIT_CACHE"]
        else:
            os.environ["KAGGLEKIT_CACHE"] = before
