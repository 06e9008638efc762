"""Unpack the fetched files of a download, side by side in one folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from kagglekit.data.archive.budget import Budget
from kagglekit.data.archive.extract import BadArchive, BrokenArchive, LargeArchive, extract
from kagglekit.data.archive.nested import Packed, extract_nested, grouped
from kagglekit.data.archive.parts import is_archive
from kagglekit.data.listing import is_hidden, is_image
from kagglekit.system.errors import UserError
from kagglekit.types.download import DownloadOptions


def unpack_all(files: Sequence[Path], unpacked: Path, options: DownloadOptions, full: str) -> None:
    """Unpack the archives among some files, and those inside, into a folder; copy the other files into it.

    Archives that hold images without a folder go into folders of their names if there are two or more: their images
    would be mixed, and nothing would tell train from test.

    Args:
        files: The files, beside `unpacked`; archives stay there.
        unpacked: The folder; it must not exist.
        options: Display, and what may be unpacked.
        full: The hint if the disk is full.

    Raises:
        BrokenArchive: An archive is damaged; it is removed, so that the next call fetches it again.
        BadArchive: An archive is unsafe or too large. It stays: it is complete, and another download would be the same.
        UserError: The disk is too full.
    """
    archives = grouped(sorted(file for file in files if is_archive(file.name)))
    budget = Budget(options.max_unpacked, fetched=sum(archive.size for archive in archives))
    rooms = unpacked.with_name("rooms")
    shutil.rmtree(rooms, ignore_errors=True)  # of an interrupted download
    rooms.mkdir()
    try:
        contents = {archive: rooms / archive.first.name for archive in archives}
        for archive, room in contents.items():
            _unpack(archive, room, options, budget, full)
        bare = [archive for archive, room in contents.items() if _is_bare(room)]
        for archive, room in contents.items():
            apart = len(bare) > 1 and archive in bare
            _merge(room, unpacked / archive.target.name if apart else unpacked, archive)
        _copy([file for file in files if not is_archive(file.name)], unpacked, full)
    except OSError as error:
        raise UserError(f"cannot unpack into {unpacked}: {error.strerror or error}", full) from error
    finally:
        shutil.rmtree(rooms, ignore_errors=True)  # a bomb may have filled the disk


def _unpack(archive: Packed, room: Path, options: DownloadOptions, budget: Budget, full: str) -> None:
    try:
        extract(archive.first, room, options.display, full, budget)
        extract_nested(room, options.display, budget)
    except BrokenArchive as error:
        for file in archive.files:
            file.unlink()
        again = f"run the same command again: it downloads {archive.first.name} once more"
        raise BrokenArchive(error.what, again) from error
    except BadArchive as error:
        hint = f"the archive is kept but not used; to fetch it again, remove {archive.first}"
        if isinstance(error, LargeArchive):
            hint = f"{error.hint}; the archive is kept"
        raise type(error)(error.what, hint) from error


def _copy(files: Sequence[Path], folder: Path, full: str) -> None:
    folder.mkdir(exist_ok=True)
    for file in files:
        try:
            shutil.copy2(file, folder)
        except OSError as error:
            raise UserError(f"cannot copy {file} into {folder}: {error.strerror or error}", full) from error


def _is_bare(room: Path) -> bool:
    return any(is_image(entry.name) and entry.is_file() for entry in room.iterdir())


def _merge(source: Path, target: Path, archive: Packed) -> None:
    """Move what is in a folder into another one, which need not exist.

    Raises:
        BadArchive: A file is there already.
    """
    if not os.path.lexists(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        return
    for entry in source.iterdir():
        place = target / entry.name
        if not os.path.lexists(place) or (entry.is_dir() and place.is_dir()):
            _merge(entry, place, archive)
        elif not is_hidden(entry.name):
            what = f"{archive.first} holds {entry.name}, and so does another file of this download"
            raise BadArchive(what, "it is not unpacked; name other files in the competition's plugin")
