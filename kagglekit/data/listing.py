"""List a folder's images and subfolders in order, and describe what is missing.

Hidden entries, ``__MACOSX`` and files that are no images do not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


import os
from collections.abc import Iterable
from pathlib import Path

from kagglekit.system.errors import UserError, listing

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


def image_names(folder: Path) -> list[str]:
    """Return the names of a folder's images: see `in_order`.

    Raises:
        UserError: There is no such folder, or it cannot be read.
    """
    names = (entry.name for entry in _entries(folder) if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES)
    return in_order(name for name in names if not name.startswith("."))


def other_images(folder: Path, names: Iterable[str]) -> list[str]:
    """Return the images that are not among `names`, in a folder and in its subfolders that `names` mention."""
    known = set(names)
    found = []
    for below in sorted({name.rpartition("/")[0] for name in known} or {""}):
        place = folder / below
        found += [f"{below}/{name}" if below else name for name in (image_names(place) if place.is_dir() else ())]
    return [name for name in found if name not in known]


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder: see `in_order`.

    Raises:
        UserError: There is no such folder.
    """
    names = (entry.name for entry in _entries(folder) if not entry.name.startswith(_HIDDEN) and entry.is_dir())
    return [folder / name for name in in_order(names)]


_HIDDEN = (".", "__MACOSX")


def in_order(names: Iterable[str]) -> list[str]:
    """Sort file names: by value if all are numbers (``2.jpg`` before ``10.jpg``), else as text."""
    ordered = sorted(names)
    stems = [name.partition(".")[0] for name in ordered]
    if not all(stem.isascii() and stem.isdigit() for stem in stems):
        return ordered
    return [name for _, name in sorted(zip(map(int, stems), ordered, strict=True))]


def existing_file(file: Path) -> Path:
    """Return `file`.

    Raises:
        UserError: It does not exist; the hint lists what is there instead.
    """
    if file.is_dir():
        raise UserError(f"{file} is a folder, not a file", what_is_there(file / "*"))
    if not file.is_file():
        raise UserError(f"there is no file {file}", what_is_there(file))
    return file


def what_is_there(path: Path) -> str:
    """Return a hint that lists the nearest existing folder above a missing path."""
    folder = next((parent for parent in path.absolute().parents if parent.is_dir()), Path("/"))
    names = in_order(entry.name for entry in folder.iterdir())
    return f"{folder} contains: {listing(names, 8) or 'nothing'}"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return a folder's entries, which know whether they are folders without a system call each."""
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}", what_is_there(folder))
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror}") from error


def image_files(paths: Sequence[Path]) -> list[Path]:
    """Return files as they are, and the images in folders and below, in order.

    Raises:
        UserError: A path does not exist, or a folder holds no image.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"there is no file or folder {path}")
        if not path.is_dir():
            files.append(path)
            continue
        folders = [path]
        before = len(files)
        while folders:
            folder = folders.pop(0)
            files += [folder / name for name in image_names(folder)]
            folders = subfolders(folder) + folders
        if len(files) == before:
            raise UserError(f"there are no images in {path}")
    return list(dict.fromkeys(files))
