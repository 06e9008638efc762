"""Write files atomically: under a temporary name, flushed, then renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from kagglekit.system.errors import UserError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_writable(folder: Path, hint: str) -> None:
    """Check that a folder can be written to, or created.

    Args:
        folder: It need not exist.
        hint: Hint of the error.

    Raises:
        UserError: It, or its nearest existing parent, is read-only or a file.
    """
    place = folder.absolute()
    there = next(parent for parent in (place, *place.parents) if parent.exists())
    if not there.is_dir():
        raise UserError(f"cannot write to the folder {folder}: {there} is a file", hint)
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to the folder {folder}: {there} is read-only", hint)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; at the end of the block, flush that file and rename it to `path`.

    Raises:
        UserError: The folder is not writable, or the disk is full.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        part.open("xb").close()  # a new file: never somebody's link of that name
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        full = "disk full: " if error.errno in NO_SPACE else ""
        hint = "free some space, or choose another folder" if full else "make its folder writable, or choose another"
        raise UserError(f"{full}cannot write {path}: {error.strerror or error}", hint) from error
    finally:
        with suppress(OSError):  # renamed, or never created
            part.unlink()


def open_own(path: Path) -> BinaryIO:
    """Open a file to append to; one that is a link is not followed.

    Raises:
        OSError: It is a link, or cannot be written.
    """
    special = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | special, 0o666), "ab")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: readers see either the old or the new one."""
    with replacing(path) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, atomically: readers see either the old or the new one."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
