"""Mark files in the cache as in use, by a lock that ends with the process: whoever removes them asks for it alone.

Where the system has no such locks (Windows), open files cannot be removed in the first place.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from pathlib import Path

_held: dict[Path, int] = {}  # until the process ends


def mark_in_use(file: Path, by: object | None = None) -> None:
    """Share the lock of a file for as long as an object lives, or until the process ends.

    Nothing happens where the file cannot be written or locked: what it guards can then be removed while it is used.

    Args:
        file: The lock's file, made if it is missing.
        by: The object; None for the process.
    """
    if by is None and file in _held:
        return
    held = _shared(file)
    if held is None:
        return
    if by is None:
        _held[file] = held
    else:
        weakref.finalize(by, _close, held)


def release(file: Path) -> None:
    """End the process's own use of a file's lock."""
    if file in _held:
        _close(_held.pop(file))


def _shared(file: Path) -> int | None:
    try:
        import fcntl
    except ImportError:
        return None
    try:
        held = os.open(file, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # it is being removed, or the file system has no locks
        _close(held)
        return None
    return held


def _close(held: int) -> None:
    with contextlib.suppress(OSError):
        os.close(held)
