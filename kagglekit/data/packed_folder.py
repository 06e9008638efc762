"""See through the archives in a data folder, which stays as it is: links in the cache folder show it unpacked."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.archive.cached import ELSEWHERE_CACHE, unpacked
from kagglekit.data.archive.nested import Packed, content_of, grouped
from kagglekit.data.archive.parts import is_packed, is_part, is_table
from kagglekit.data.listing import entries_of, is_hidden, is_image
from kagglekit.data.location import MARKER
from kagglekit.data.sample import is_sample_name
from kagglekit.system.damage import BROKEN
from kagglekit.system.errors import UserError
from kagglekit.system.files import check_writable

if TYPE_CHECKING:
    from kagglekit.system.display.console import Display

SOURCE = ".kagglekit-source.json"  # names the folder that links stand for
LEVELS = 1  # of folders below a data folder in which archives are looked for: there may be 15,000 class folders
_ROOT = re.compile("train|test|valid|image", re.IGNORECASE)  # how folders of a whole data set are called


def see_through(data: Path, display: Display | None = None, limit: int | None = None) -> Path:
    """Return a data folder as it is once its archives are unpacked: itself if it holds none.

    Nothing in the folder changes. Each archive is unpacked once, into the cache folder (`unpacked`), and beside them
    stands a folder of links to the contents and to all else, the archives too. A folder with nothing but one archive
    stands for what that holds. An archive that is unpacked already, beside itself, does not count. Zipped CSV files
    alone are read as they are.

    Args:
        data: The folder.
        display: Shows progress bars, and names archives that are left out.
        limit: Bytes that an archive may unpack to; None for 100 times its size.

    Raises:
        UserError: An archive is damaged or unsafe, nothing is installed that reads it, or the cache folder cannot be
            written.
    """
    archives = _to_unpack(data)
    if not archives:
        return data
    contents = {archive: unpacked(archive.first, display, limit) for archive in archives}
    return _linked(data.absolute(), contents, display)


def is_packed_folder(data: Path) -> bool:
    """Return whether `see_through` would unpack archives of a folder, or has done so."""
    return bool(_to_unpack(data))


def source_of(data: Path) -> Path:
    """Return the folder that `see_through` was asked for, given what it returned."""
    try:
        return Path(json.loads((data / SOURCE).read_text(encoding="utf-8"))["data"])
    except OSError:  # it is that folder
        return data


def _to_unpack(data: Path) -> list[Packed]:
    """Return the archives in a folder that are not read as they are; of a finished download none."""
    if not data.is_dir() or (data / MARKER).is_file() or (data / SOURCE).is_file():
        return []
    archives = [archive for archive in grouped(_packed_files(data.absolute())) if not _is_beside(archive)]
    return [] if all(_is_read_as_it_is(archive.first.name) for archive in archives) else archives


def _packed_files(data: Path) -> list[Path]:
    """Return the archives in a folder and in its folders, in order; folders of images hold none."""
    found: list[Path] = []
    waiting = [(data, 0)]
    while waiting:
        place, depth = waiting.pop()
        packed = []
        for entry in entries_of(place):
            if is_hidden(entry.name):
                continue
            if is_packed(entry.name) and entry.is_file():
                packed.append(place / entry.name)
            elif depth and is_image(entry.name):
                packed = []
                break
            elif depth < LEVELS and entry.is_dir():
                waiting.append((place / entry.name, depth + 1))
        found += packed
    return sorted(found)


def _is_read_as_it_is(name: str) -> bool:
    return name.lower().endswith(".csv.zip") or is_sample_name(name)


def _is_beside(archive: Packed) -> bool:
    """Return whether an archive is unpacked in the folder where it lies."""
    if archive.target.exists():
        return True
    if archive.first.suffix.lower() != ".zip" or is_part(archive.first.name):
        return False
    try:
        with zipfile.ZipFile(archive.first) as opened:
            names = {name.strip("/").partition("/")[0] for name in opened.namelist()}
    except (*BROKEN, OSError):  # unpacking it will fail, too, with the reason
        return False
    return bool(names) and all((archive.first.parent / name).exists() for name in names if name and not is_hidden(name))


def _linked(data: Path, contents: Mapping[Packed, Path], display: Display | None) -> Path:
    """Return the folder of links; make it if it does not exist."""
    from filelock import FileLock

    from kagglekit.system.paths import own_place

    links = dict(_links(data, contents, display))
    text = json.dumps([str(data), *((str(place), str(source)) for place, source in sorted(links.items()))])
    folder = own_place("unpacked", f"{data.name}-{blake2b(text.encode(), digest_size=8).hexdigest()}")
    check_writable(folder.parent, ELSEWHERE_CACHE)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            _make_links(data, links, folder)
    return folder


def _make_links(data: Path, links: Mapping[Path, Path], folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of an interrupted run
    try:
        for place, source in links.items():
            (part / place).parent.mkdir(parents=True, exist_ok=True)
            (part / place).symlink_to(source)
        (part / SOURCE).write_text(json.dumps({"data": str(data)}), encoding="utf-8")
        part.rename(folder)
    except OSError as error:
        what = f"cannot link the files of {data} in {folder.parent}: {error.strerror or error}"
        raise UserError(what, "unpack the archives yourself, and pass that folder with --data DIR") from error


def _links(data: Path, contents: Mapping[Packed, Path], display: Display | None) -> Iterator[tuple[Path, Path]]:
    """Yield where each link lies, relative to the folder of links, and where it leads."""
    files = {file for archive in contents for file in archive.files}
    alone = [entry for entry in data.iterdir() if not is_hidden(entry.name) and entry not in files]
    if len(contents) == 1 and not alone and (whole := _data_set(next(iter(contents.values())))):
        yield from ((Path(entry.name), entry) for entry in whole)
        return
    yield from _as_they_are(data, data, files)
    taken: set[Path] = set()
    for archive, content in contents.items():
        source, target = content_of(content, archive.target)
        if target.exists() or target in taken:
            if display:
                display.report(f"{archive.first.name} is left out: {target.name} exists already")
            continue
        taken.add(target)
        yield target.relative_to(data), source


def _data_set(content: Path) -> list[Path]:
    """Return what an archive holds if that is a whole data set, with labels or with folders for train and test.

    It may lie in a folder of another name.
    """
    entries = [entry for entry in content.iterdir() if not is_hidden(entry.name)]
    while len(entries) == 1 and entries[0].is_dir() and not _ROOT.match(entries[0].name):
        entries = [entry for entry in entries[0].iterdir() if not is_hidden(entry.name)]
    known = [e for e in entries if (is_table(e.name) and e.is_file()) or (_ROOT.match(e.name) and e.is_dir())]
    return entries if known else []


def _as_they_are(data: Path, folder: Path, archives: set[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield links to all that is there; a folder with an archive somewhere below is no link itself."""
    for entry in folder.iterdir():
        if is_hidden(entry.name):
            continue
        if any(entry in archive.parents for archive in archives):
            yield from _as_they_are(data, entry, archives)
        else:
            yield entry.relative_to(data), entry
