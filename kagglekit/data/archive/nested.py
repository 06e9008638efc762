"""Unpack the archives in a folder, and those in them, in place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kagglekit.data.archive.budget import Budget
from kagglekit.data.archive.destination import BadArchive, BrokenArchive
from kagglekit.data.archive.extract import ELSEWHERE, extract
from kagglekit.data.archive.parts import is_packed, is_part, is_table, parts_of, unpacked_name, whole_name
from kagglekit.data.listing import DEEPEST, is_hidden, is_image
from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    from kagglekit.system.display.console import Display

MOST_LEVELS = 8  # archives in archives: some contain themselves


class Packed(NamedTuple):
    """An archive in a folder: its first or only file, and all of them, in order."""

    first: Path
    files: tuple[Path, ...]

    @property
    def target(self) -> Path:
        """The file or folder that it becomes: ``train`` of ``train.tar.7z``."""
        return self.first.with_name(unpacked_name(whole_name(self.first.name)))

    @property
    def size(self) -> int:
        """The size of all its files, bytes."""
        return sum(file.stat().st_size for file in self.files)


def extract_nested(folder: Path, display: Display | None = None, budget: Budget | None = None) -> int:
    """Unpack the archives in a folder and below in place, and those in them; remove them; return their number.

    The members of ``train.zip`` go into the folder ``train``, whether their names begin with ``train/`` or not;
    ``labels.csv.zip`` and ``labels.csv.gz`` become ``labels.csv``. Each appears under its name once it is complete. One
    whose place is taken stays packed.

    Args:
        folder: Where they are.
        display: Shows progress bars.
        budget: How much they may unpack to, all levels counted; None for 100 times their size.

    Raises:
        BadArchive: One is unsafe, they are too large, or too many are in one another.
        BrokenArchive: One is damaged, or a part of a split one is missing.
        UserError: Nothing is installed that reads 7z, the folder cannot be written, or the disk is too full.
    """
    archives = packed_below(folder)
    return _unpack(archives, display, budget or Budget(fetched=sum(archive.size for archive in archives)), 1)


def _unpack(archives: Sequence[Packed], display: Display | None, budget: Budget, level: int) -> int:
    if archives and level > MOST_LEVELS:
        what = f"{archives[0].first} is packed more than {MOST_LEVELS} times, one archive in another"
        raise BadArchive(what, "it is not unpacked; get the file again from its source")
    done = 0
    for archive in archives:
        if not archive.target.exists():
            done += 1 + _replace_by_content(archive, display, budget, level)
        elif display:
            display.report(f"{archive.first.name} stays packed: {archive.target.name} exists already")
    return done


def packed_below(folder: Path) -> list[Packed]:
    """Return the archives in a folder and below, in order; links to folders are not followed.

    Raises:
        BrokenArchive: A part of a split archive is missing.
    """
    return grouped(sorted(_packed_files(folder)))


def grouped(files: Sequence[Path]) -> list[Packed]:
    """Return archives from their files: the parts of a split one belong together.

    Raises:
        BrokenArchive: A part is missing.
    """
    found: dict[Path, Packed] = {}
    for file in files:
        parts = tuple(parts_of(file)) or (() if is_part(file.name) else (file,))
        if file not in parts:
            raise BrokenArchive(
                f"{file} is a part of a split archive, and one before it is missing", "download all parts again"
            )
        found[parts[0]] = Packed(parts[0], parts)
    last = [archive for archive in found.values() if not archive.files[-1].is_file()]
    if last:
        names = listing([archive.files[-1].name for archive in last])
        raise BrokenArchive(f"{last[0].first.parent} lacks the last part of split archives: {names}", "download it")
    return list(found.values())


def _packed_files(folder: Path) -> Iterator[Path]:
    waiting = [(folder, 0)]
    while waiting:
        place, depth = waiting.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False) and depth < DEEPEST:
                    waiting.append((place / entry.name, depth + 1))
                elif is_packed(entry.name) and entry.is_file():
                    yield place / entry.name


def _replace_by_content(archive: Packed, display: Display | None, budget: Budget, level: int) -> int:
    """Unpack an archive and those in it beside itself; then give the content its name. Return the number of those."""
    room = archive.first.with_name(f".{archive.first.name}.unpacking")
    try:
        shutil.rmtree(room, ignore_errors=True)  # of a killed call
        extract(archive.first, room, display, budget=budget)
        inside = _unpack(packed_below(room), display, budget, level + 1)
        source, target = content_of(room, archive.target)
        source.rename(target)
        for file in archive.files:
            file.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot unpack {archive.first} into {archive.target}: {reason}", ELSEWHERE) from error
    finally:
        shutil.rmtree(room, ignore_errors=True)
    return inside


def content_of(room: Path, target: Path) -> tuple[Path, Path]:
    """Return what in the folder of an unpacked archive is its content, and the place that is right for it.

    Args:
        room: What the archive held.
        target: The archive's name without suffix.
    """
    entries = [entry for entry in room.iterdir() if not is_hidden(entry.name)]
    if [entry.name for entry in entries] == [target.name]:
        return entries[0], target
    only = _only_file(room)
    if only and is_table(target.name):  # whatever folders and name it has inside: data/processed/train.json
        return only, target
    if only and only.stem == target.name and not is_image(only.name) and not target.with_name(only.name).exists():
        return only, target.with_name(only.name)  # train.csv of train.zip
    return room, target


def _only_file(room: Path) -> Path | None:
    """Return the one file in a folder and below, if there are no others but hidden ones."""
    while True:
        entries = [entry for entry in room.iterdir() if not is_hidden(entry.name)]
        if len(entries) != 1 or entries[0].is_symlink():
            return None
        if entries[0].is_file():
            return entries[0]
        room = entries[0]
