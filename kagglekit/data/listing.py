"""List a folder's images and subfolders in order, and describe what is missing.

The one rule for what an image is: a file whose suffix is one of `IMAGE_SUFFIXES`, in any case. Hidden entries
(``._1.jpg``), what file managers leave, and ``__MACOSX`` do not count. Neither does what kagglekit wrote itself: runs,
the cache folder, and files noted by `mark_output`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kagglekit.runs.place import is_run
from kagglekit.system.display.printable import printable, shortened
from kagglekit.system.errors import UserError, listing
from kagglekit.system.members import is_there
from kagglekit.system.output_marker import OUTPUT, output_names
from kagglekit.system.paths import cache_folder
from kagglekit.types.image_path import channel_files

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".mpo")
_JPEG_2000 = (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx")
_NETPBM = (".ppm", ".pgm", ".pbm", ".pnm")
_OTHERS = (".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif", ".avifs")
_RARE = (".tga", ".pcx", ".sgi", ".dds", ".qoi", ".ras")
MEDICAL_SUFFIXES = (".dcm", ".dicom")
IMAGE_SUFFIXES = frozenset({*_JPEG, *_OTHERS, *_JPEG_2000, *_NETPBM, *_RARE, *MEDICAL_SUFFIXES})
LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # written by file managers
DEEPEST = 100  # levels of folders below the one that is listed

RENAME = "rename the files, for example: convmv -f latin1 -t utf8 -r --notest DIR"

_HIDDEN = (".", "__MACOSX")
_CHANNELS = re.compile(r"[_.\- ]?\{[^{}/]*,[^{}/]*\}[^{}/]*$")


def is_image(name: str) -> bool:
    """Return whether a file of this name counts as an image."""
    return suffix_of(name).rpartition("}")[2].lower() in IMAGE_SUFFIXES and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name does not count, whatever it holds."""
    return name.startswith(_HIDDEN) or name in LITTER


def suffix_of(name: str) -> str:
    """Return a file name's suffix, as `pathlib.PurePath.suffix` does, in a fifth of the time.

    That of an image with a file for each channel begins before the braces: ``_{red,green}.png``.
    """
    if "{" in name and (channels := _CHANNELS.search(name)):
        return channels[0]
    return os.path.splitext(name)[1]  # noqa: PTH122


def stem_of(name: str) -> str:
    """Return a file name without its suffix if that is an image's."""
    suffix = suffix_of(name)
    return name.removesuffix(suffix) if suffix.rpartition("}")[2].lower() in IMAGE_SUFFIXES else name


def image_names(folder: Path) -> list[str]:
    """Return the names of a folder's images: see `in_order`.

    Raises:
        UserError: There is no such folder, or it cannot be read.
    """
    return in_order(entry.name for entry in entries_of(folder) if is_image(entry.name) and not _is_folder(entry))


def images_beside(folder: Path, names: Iterable[str]) -> list[str]:
    """Return the relative paths of the images in a folder and in its subfolders that `names` mention."""
    found: list[str] = []
    for below in sorted({name.rpartition("/")[0] for name in names} or {""}):
        place = folder / below
        found += [f"{below}/{name}" if below else name for name in (image_names(place) if place.is_dir() else ())]
    return found


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder: see `in_order`. Runs do not count, and neither do links to it or above.

    Raises:
        UserError: There is no such folder.
    """
    found = [entry for entry in entries_of(folder) if not is_hidden(entry.name) and _is_folder(entry)]
    found = [entry for entry in found if not _is_output(entry)]
    own = folder.resolve() if any(entry.is_symlink() for entry in found) else folder
    names = (entry.name for entry in found if not (entry.is_symlink() and own.is_relative_to(_target(entry))))
    return [folder / name for name in in_order(names)]


def folders_below(folder: Path) -> Iterator[Path]:
    """Yield a folder and all folders below it, each before its own, in order; each place once, whatever links there.

    Raises:
        UserError: There is no such folder, one cannot be read, or they are nested too deep.
    """
    known: set[tuple[int, int]] = set()
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        if depth > DEEPEST:
            raise UserError(
                f"{folder} has folders nested more than {DEEPEST} deep, such as {shortened(str(here), 80)}",
                "remove them, or a link that leads back",
            )
        deeper = subfolders(here)
        facts = here.stat()
        if facts.st_ino and (facts.st_dev, facts.st_ino) in known:  # some file systems number nothing
            continue
        known.add((facts.st_dev, facts.st_ino))
        yield here
        waiting += [(below, depth + 1) for below in reversed(deeper)]


def images_below(folder: Path) -> list[str]:
    """Return the relative paths of all images in a folder and below.

    Raises:
        UserError: See `folders_below`.
    """
    found: list[str] = []
    for place in folders_below(folder):
        start = "" if place == folder else f"{place.relative_to(folder).as_posix()}/"
        found += [f"{start}{name}" for name in image_names(place)]
    return found


def holds_only_output(folder: Path) -> bool:
    """Return whether kagglekit wrote everything in a folder and below; not of an empty folder."""
    places = list(folders_below(folder))
    theirs = any(not is_hidden(entry.name) and not _is_folder(entry) for place in places for entry in entries_of(place))
    return not theirs and any((place / OUTPUT).is_file() or _has_run(place) for place in places)


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


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """Return a folder's entries, which know whether they are folders without a system call each.

    Files that kagglekit wrote are left out.

    Raises:
        UserError: There is no such folder, or it cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}", what_is_there(folder))
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror}", "make it readable") from error
    if any(entry.name == OUTPUT for entry in entries):
        own = output_names(folder)
        return [entry for entry in entries if entry.name not in own]
    return entries


def is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8; names of files that are other bytes cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_unicode(names: Iterable[str]) -> None:
    """Refuse names that no CSV or JSON file can hold.

    Raises:
        UserError: There are such names.
    """
    wrong = [printable(name) for name in names if not is_unicode(name)]
    if wrong:
        raise UserError(f"names of files or folders that are not valid Unicode (UTF-8): {listing(wrong)}", RENAME)


def image_files(paths: Sequence[Path]) -> list[Path]:
    """Return files as they are, and the images in folders and below, in order.

    Raises:
        UserError: A path does not exist, a folder holds no image, or a name is not valid Unicode.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists() and not all(map(is_there, channel_files(path))):
            raise UserError(f"there is no file or folder {path}")
        found = [path / name for name in images_below(path)] if path.is_dir() else [path]
        if not found:
            raise UserError(f"there are no images in {path}", what_is_there(path / "*"))
        files += found
    check_unicode(str(file) for file in files)
    return list(dict.fromkeys(files))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a path that is too long, or links that lead round in a circle
        return False


def _has_run(folder: Path) -> bool:
    return any(_is_folder(entry) and is_run(Path(entry.path)) for entry in entries_of(folder))


def _is_output(entry: os.DirEntry[str]) -> bool:
    """Return whether a folder is a run, or the cache folder."""
    cache = cache_folder()
    return is_run(Path(entry.path)) or (entry.name == cache.name and _target(entry) == cache.resolve())


def _target(entry: os.DirEntry[str]) -> Path:
    return Path(entry.path).resolve()
