"""Paths of images that are members of a file: ``train.h5/images/17`` is the member ``images/17`` of ``train.h5``.

A path names a member exactly when one of its parents is a file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Member(NamedTuple):
    """An image in a file that holds many.

    Attributes:
        container: The path of that file.
        key: The image's name in it, with forward slashes.
    """

    container: str
    key: str


def members_of(paths: Iterable[str]) -> list[Member | None]:
    """Return the member that each path names; None for files, and for paths that do not exist.

    The cost is one look at the disk for each folder, not for each path.
    """
    known: dict[str, str] = {}
    found: list[Member | None] = []
    for path in paths:
        parent = path.rpartition(os.sep)[0]
        container = known.get(parent)
        if container is None:
            container = _file_at_or_above(parent, known)
        key = path[len(container) + 1 :].replace(os.sep, "/")
        found.append(Member(container, key) if container else None)
    return found


def member_of(path: Path) -> Member | None:
    """Return the member that a path names; None for a file, and for a path that does not exist."""
    return members_of([str(path)])[0]


def is_there(path: Path) -> bool:
    """Return whether a path is a file, or names a member of a file; the member itself may be missing."""
    return path.is_file() or member_of(path) is not None


def why_no_key(key: object) -> str:
    """Return why a value cannot be a member's key; an empty string if it can."""
    if not isinstance(key, str) or not key:
        return "not text"
    if key.startswith("/") or "\\" in key or "\0" in key:
        return "absolute, or with a backslash"
    if any(part in ("", ".", "..") for part in key.split("/")):
        return "with an empty part, . or .."
    return ""


def _file_at_or_above(path: str, known: dict[str, str]) -> str:
    """Return `path` if it is a file, else the nearest file above it; empty where a folder comes first."""
    if path not in known:
        known[path] = _looked_up(path, known)
    return known[path]


def _looked_up(path: str, known: dict[str, str]) -> str:
    try:
        mode = os.stat(path or os.curdir).st_mode  # noqa: PTH116 (for each folder of a table)
    except (OSError, ValueError):  # missing, or below a file
        above = path.rpartition(os.sep)[0]
        return _file_at_or_above(above, known) if above else ""
    return path if stat.S_ISREG(mode) else ""
