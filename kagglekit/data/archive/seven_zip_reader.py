"""Write the content of a 7z file to standard output as tar: ``python -m kagglekit.data.archive.seven_zip_reader FILE``.

A program of its own, run by `kagglekit.data.archive.seven_zip`: py7zr believes what a header says about the memory that
it needs, and this process has a limit. Special members become entries that the reader of tar refuses.
"""

from __future__ import annotations

import stat
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import IO

import py7zr
from py7zr.exceptions import PasswordRequired, UnsupportedCompressionMethodError
from py7zr.io import Py7zIO, WriterFactory

from kagglekit.data.archive.destination import safe_parts
from kagglekit.data.archive.parts import Joined
from kagglekit.data.archive.seven_zip import BEYOND, ENCRYPTED

MOST_MEMORY = 1 << 31  # bytes that this process may ask for


def main(files: Sequence[str]) -> int:
    """Write an archive, given its parts in order, as tar; return the exit code."""
    _limit_memory()
    try:
        with Joined([Path(file) for file in files]) as file, py7zr.SevenZipFile(file) as archive:
            if archive.needs_password():
                return ENCRYPTED
            _write(archive, sys.stdout.buffer)
    except PasswordRequired:
        return ENCRYPTED
    except UnsupportedCompressionMethodError:
        return _say("py7zr does not know its compression", BEYOND)
    except MemoryError:
        return _say(f"it needs more than {MOST_MEMORY / 1e9:.0f} GB of memory", BEYOND)
    except Exception as error:  # py7zr raises whatever a damaged header leads to
        return _say(" ".join(f"{type(error).__name__}: {error}".split()))
    return 0


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows has no limits; a stricter one may be set
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def _say(what: str, code: int = 1) -> int:
    print(what, file=sys.stderr)
    return code


def _write(archive: py7zr.SevenZipFile, target: IO[bytes]) -> None:
    sizes = {}
    for file in archive.files:
        kind = _kind_of(file)
        parts = safe_parts(file.filename)
        if kind != tarfile.REGTYPE or not parts:
            target.write(_header(file.filename, 0, kind))
        else:
            sizes["/".join(parts)] = int(file.uncompressed)
    for name in _twice(archive.files):
        target.write(_header(name, 0) * 2)
    target.flush()  # what is unsafe is refused before anything is expanded
    archive.extractall(factory=_Writers(target, sizes))
    target.write(bytes(2 * tarfile.BLOCKSIZE))
    target.flush()


def _kind_of(file: py7zr.py7zr.ArchiveFile) -> bytes:
    if file.is_symlink or file.is_junction:
        return tarfile.SYMTYPE
    if file.st_fmt not in (None, 0, stat.S_IFREG, stat.S_IFDIR):
        return tarfile.FIFOTYPE
    return tarfile.DIRTYPE if file.is_directory else tarfile.REGTYPE


def _twice(files: Iterable[py7zr.py7zr.ArchiveFile]) -> list[str]:
    names = Counter("/".join(safe_parts(file.filename) or ()) for file in files if not file.is_directory)
    return [name for name, number in names.items() if name and number > 1]


def _header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


class _Writers(WriterFactory):
    def __init__(self, target: IO[bytes], sizes: Mapping[str, int]) -> None:
        self._target, self._sizes = target, sizes

    def create(self, filename: str) -> Py7zIO:
        name = PurePath(filename).as_posix()
        self._target.write(_header(name, self._sizes[name]))
        return _Writer(self._target, self._sizes[name])


class _Writer(Py7zIO):
    """Write a member's bytes, and pad them at its end."""

    def __init__(self, target: IO[bytes], size: int) -> None:
        self._target, self._size, self._left = target, size, size

    def write(self, s: bytes | bytearray) -> int:
        self._left -= len(s)
        return self._target.write(s)

    def close(self) -> None:
        if self._left:
            raise ValueError(f"a member has {self._size - self._left:,} bytes instead of {self._size:,}")
        self._target.write(bytes(-self._size % tarfile.BLOCKSIZE))

    def size(self) -> int:
        return self._size - self._left

    def seekable(self) -> bool:
        return False

    def read(self, size: int | None = None) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def flush(self) -> None:
        self._target.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
