"""Report what lies among the images of an image table but is not in it."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.listing import entries_of, folders_below, holds_only_output, is_hidden, is_image, suffix_of
from kagglekit.system.display.printable import printable
from kagglekit.system.errors import UserError, listing
from kagglekit.types.image_path import all_files

if TYPE_CHECKING:
    import pandas as pd

# What competitions put beside folders of images, into the data folder itself.
_TABLES = (".csv", ".tsv", ".json", ".txt", ".md", ".xml", ".yaml", ".yml", ".html", ".pdf", ".mat", ".zip", ".py")
_PARTS = ("train", "valid", "test")
_MOST = 10_000  # files of a folder without images that are counted


def describe_unused(table: pd.DataFrame, data: Path) -> Iterator[str]:
    """Yield a warning about files beside the table's images that are not in it, and one about such folders.

    Args:
        table: A checked image table, with absolute paths.
        data: The data folder.
    """
    names: dict[str, set[str]] = defaultdict(set)
    for path in all_files(list(map(str, table["path"]))):
        folder, _, name = path.rpartition(os.sep)
        names[folder].add(name)
    images: list[str] = []
    others: list[str] = []
    for folder in sorted(names):
        beside = [name for name in _files(folder) if name not in names[folder]]
        images += [_below(f"{folder}{os.sep}{name}", data) for name in beside if is_image(name)]
        others += [name for name in beside if not is_image(name) and not _is_usual(name, folder, data)]
    if images or others:
        parts = [f"{_count(images, 'image')} ({listing(images, 3)})"] if images else []
        parts += [f"{_count(others, 'other file')} ({_suffixes(others)})"] if others else []
        yield f"not used, in the folders of the images: {' and '.join(parts)}"
    empty = [f"{_below(str(folder), data)} ({_content(folder)})" for folder in _empty_folders(table, data, set(names))]
    if empty:
        yield f"folders without an image that is used: {listing(empty)}"


def _files(folder: str) -> list[str]:
    with suppress(OSError, UserError):
        return sorted(
            entry.name for entry in entries_of(Path(folder)) if not is_hidden(entry.name) and not entry.is_dir()
        )
    return []


def _is_usual(name: str, folder: str, data: Path) -> bool:
    return folder == str(data.absolute()) and suffix_of(name).lower() in _TABLES


def _below(path: str, data: Path) -> str:
    return printable(Path(path).relative_to(data.absolute()).as_posix() if _is_in(path, data) else path)


def _is_in(path: str, data: Path) -> bool:
    return Path(path).is_relative_to(data.absolute())


def _count(names: Sequence[str], what: str) -> str:
    return f"{len(names):,} {what}{'' if len(names) == 1 else 's'}"


def _suffixes(names: Sequence[str]) -> str:
    counts = Counter(suffix_of(name).lower() or "no suffix" for name in names)
    return listing([f"{printable(suffix)} {n:,}" for suffix, n in counts.most_common()])


def _empty_folders(table: pd.DataFrame, data: Path, used: set[str]) -> list[Path]:
    """Return the folders beside class folders, or named like a split, in which the table has no image."""
    inside = {folder[:end] for folder in used for end in [*_separators(folder), len(folder)]}
    above = _above_classes(table)
    found = [place for folder in sorted(above) for place in _folders(folder)]
    found += [place for place in _folders(str(data.absolute())) if Path(place).name.lower().startswith(_PARTS)]
    return [Path(place) for place in dict.fromkeys(found) if place not in inside and not _is_output(Path(place))]


def _is_output(folder: Path) -> bool:
    with suppress(UserError):
        return holds_only_output(folder)
    return False


def _separators(folder: str) -> list[int]:
    return [i for i, letter in enumerate(folder) if letter == os.sep]


def _above_classes(table: pd.DataFrame) -> set[str]:
    """Return the folders in which at least two folders bear the label of the images in them."""
    classes: dict[str, set[str]] = defaultdict(set)
    known = table[table["label"].notna()]
    folders = known["path"].map(lambda path: str(path).rpartition(os.sep)[0])
    for path, label in set(zip(folders, known["label"], strict=True)):
        above, mark, _ = f"{path}{os.sep}".rpartition(f"{os.sep}{label}{os.sep}")
        if mark:
            classes[above].add(label)
    return {folder for folder, labels in classes.items() if len(labels) > 1}


def _folders(folder: str) -> list[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(entry.path for entry in entries if not is_hidden(entry.name) and entry.is_dir())
    return []


def _content(folder: Path) -> str:
    """Describe what a folder holds: ``empty``, or how many files of which suffix."""
    files: list[str] = []
    with suppress(UserError):
        files = list(islice((name for place in folders_below(folder) for name in _files(str(place))), _MOST))
    return f"{_count(files, 'file')}: {_suffixes(files)}" if files else "empty"
