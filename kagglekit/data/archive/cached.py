"""Unpack archives once, into the cache folder: those that a user's data folder holds stay as they are."""

from __future__ import annotations

import contextlib
import os
import shutil
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.archive.budget import Budget
from kagglekit.data.archive.destination import LargeArchive
from kagglekit.data.archive.extract import extract
from kagglekit.data.archive.nested import extract_nested
from kagglekit.data.archive.parts import parts_of, unpacked_name, whole_name
from kagglekit.data.listing import existing_file
from kagglekit.system.errors import UserError
from kagglekit.system.files import check_writable
from kagglekit.system.fingerprints import fingerprint

if TYPE_CHECKING:
    from kagglekit.system.display.console import Display

ELSEWHERE_CACHE = "free some disk space, or set KAGGLEKIT_CACHE to another folder"
_FORM = b"2"  # of what is unpacked: archives inside are, too


def unpacked(archive: Path, display: Display | None = None, limit: int | None = None) -> Path:
    """Unpack an archive and those in it into the cache folder, unless that is done, and return that folder.

    A changed file (its path, size, first or last 4 kB) is unpacked again. Two runs at once wait for one another.

    Args:
        archive: A zip, 7z or tar file; of a split one, any part.
        display: Shows progress bars.
        limit: Bytes that it may unpack to; None for 100 times its size.

    Raises:
        UserError: The file is missing, damaged or unsafe, nothing is installed that reads 7z, or the disk is too full.
    """
    from filelock import FileLock

    from kagglekit.system.in_use import mark_in_use
    from kagglekit.system.paths import own_place

    parts = parts_of(existing_file(archive)) or [archive]
    content = blake2b(b"".join(map(fingerprint, parts)), key=_FORM, digest_size=16).digest()
    key = blake2b(os.fsencode(parts[0].resolve()), key=content, digest_size=8).hexdigest()
    folder = own_place("unpacked", f"{unpacked_name(whole_name(archive.name))}-{key}")
    if not folder.is_dir():  # it gets this name once it is complete
        check_writable(folder.parent, ELSEWHERE_CACHE)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                _unpack(parts, folder, display, limit)
    mark_in_use(
        folder.with_name(f"{folder.name}.used")
    )  # `kagglekit cache` leaves it alone, as this process may read it
    with contextlib.suppress(OSError):  # it is shown as the time of last use
        os.utime(folder)
    return folder


def _unpack(parts: list[Path], folder: Path, display: Display | None, limit: int | None) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of an interrupted run
    budget = Budget(limit, fetched=sum(file.stat().st_size for file in parts))
    try:
        extract(parts[0], part, display, ELSEWHERE_CACHE, budget)
        extract_nested(part, display, budget)
        part.rename(folder)
    except LargeArchive as error:
        raise LargeArchive(
            error.what, "if you trust it, unpack it yourself, and pass that folder with --data DIR"
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot unpack {parts[0]} into {folder.parent}: {reason}", ELSEWHERE_CACHE) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
