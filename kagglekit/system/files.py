"""Files that are either whole or absent: written under a temporary name, flushed, renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kagglekit.system.errors import UserError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_writable(folder: Path, hint: str) -> None:
    """Check that a folder can be written to, or be made.

    Args:
        folder: It need not exist.
        hint: What the user could do otherwise.

    Raises:
        UserError: It can't, as far as the nearest folder that exists tells.
    """
    place = folder.absolute()
    there = next(parent for parent in (place, *place.parents) if parent.exists())
    if not there.is_dir():
        raise UserError(f"cannot write to the folder {folder}: {there} is a file", hint)
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to the folder {folder}: {there} is read-only for you", hint)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; when the block ends, flush that file and rename it to `path`.

    Raises:
        UserError: The folder can't be written, or the disk is full.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        full = "the disk is full: " if error.errno in NO_SPACE else ""
        hint = "free some space, or choose another folder" if full else "make its folder writable, or choose another"
        raise UserError(f"{full}cannot write {path}: {error.strerror or error}", hint) from error
    finally:
        with suppress(OSError):  # renamed, or never made
            part.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, so that readers see either the old or the new one."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
