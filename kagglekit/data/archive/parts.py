"""Know archives by their names, find the parts of split ones, and read these as one file."""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, count, takewhile
from pathlib import Path

ARCHIVE_SUFFIXES = (".zip", ".7z", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
TABLES = ("csv", "tsv", "json", "jsonl", "ndjson", "txt", "xml")  # kinds of files that are compressed one by one
_ARCHIVE = re.compile(rf"({'|'.join(map(re.escape, sorted(ARCHIVE_SUFFIXES, key=len, reverse=True)))})$", re.IGNORECASE)
_PART = re.compile(rf"(.+(?:{'|'.join(map(re.escape, ARCHIVE_SUFFIXES))}))\.(\d{{3,}})$", re.IGNORECASE)
_SPAN = re.compile(r"(.+)\.z(\d{2,})$", re.IGNORECASE)
_COMPRESSED = re.compile(rf"(.+\.(?:{'|'.join(TABLES)}))\.(gz|bz2|xz)$", re.IGNORECASE)


def is_archive(name: str) -> bool:
    """Return whether a file of this name is an archive, or a part of a split one."""
    return bool(_ARCHIVE.search(name) or _PART.match(name) or _SPAN.match(name))


def is_part(name: str) -> bool:
    """Return whether a file of this name is a part of a split archive, and not its last one, which is a zip file."""
    return bool(_PART.match(name) or _SPAN.match(name))


def is_compressed_table(name: str) -> bool:
    """Return whether a file of this name is a single compressed table: ``labels.csv.gz``."""
    return bool(_COMPRESSED.match(name))


def is_packed(name: str) -> bool:
    """Return whether a file of this name is an archive, a part of one, or a compressed table."""
    return is_archive(name) or is_compressed_table(name)


def is_table(name: str) -> bool:
    """Return whether a file of this name holds text in rows or JSON."""
    return name.lower().rpartition(".")[2] in TABLES and "." in name


def unpacked_name(name: str) -> str:
    """Return an archive's name without suffixes: ``train`` for ``train.tar.7z``, ``a.csv`` for ``a.csv.zip.001``."""
    while True:
        if found := _PART.match(name) or _COMPRESSED.match(name):
            name = found[1]
        elif (found := _ARCHIVE.search(name)) and found.start():
            name = name[: found.start()]
        else:
            return name


def whole_name(name: str) -> str:
    """Return the name of the archive that a part belongs to; of a whole archive, its own."""
    if part := _PART.match(name):
        return part[1]
    span = _SPAN.match(name)
    return f"{span[1]}.zip" if span else name


def parts_of(archive: Path) -> list[Path]:
    """Return the files of a split archive in order, given any of them; empty if the archive is whole.

    Two kinds are known: ``train.zip.001``, ``train.zip.002``, ... and ``train.z01``, ..., ``train.zip``. The first
    part that is missing ends the list.
    """
    if part := _PART.match(archive.name):
        return _there(archive.with_name(f"{part[1]}.{number:0{len(part[2])}}") for number in count(1))
    last = archive.with_name(whole_name(archive.name))
    span = _SPAN.match(archive.name)
    if last.suffix.lower() != ".zip":
        return []
    width, letter = (len(span[2]), archive.suffix[1]) if span else (2, last.suffix[1])
    spans = _there(last.with_suffix(f".{letter}{number:0{width}}") for number in count(1))
    return [*spans, last] if spans else []


def _there(files: Iterator[Path]) -> list[Path]:
    return list(takewhile(Path.is_file, files))


class Joined(io.BufferedReader):
    """Read several files as one, without joining them on the disk."""

    def __init__(self, files: Sequence[Path]) -> None:
        super().__init__(_Joined(files))


class _Joined(io.RawIOBase):
    def __init__(self, files: Sequence[Path]) -> None:
        self._files = [file.open("rb", buffering=0) for file in files]
        self._ends = list(accumulate(file.stat().st_size for file in files))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        at = (0, self._at, self._ends[-1])[whence] + offset
        if at < 0:
            raise ValueError(f"a place {-at:,} bytes before the beginning")
        self._at = at
        return at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        number = bisect_right(self._ends, self._at)
        if number == len(self._files):
            return 0
        start = self._ends[number - 1] if number else 0
        file = self._files[number]
        file.seek(self._at - start)
        n_bytes = file.readinto(memoryview(buffer)[: self._ends[number] - self._at]) or 0
        self._at += n_bytes
        return n_bytes

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()
