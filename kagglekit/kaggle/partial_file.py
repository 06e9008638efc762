"""A file on its way: FILE.part holds what has arrived, FILE.part.json says what it is a part of."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kagglekit.system.console import amount
from kagglekit.system.errors import UserError
from kagglekit.system.files import write_text


@dataclass(frozen=True)
class Origin:
    """What a host says of a file; empty where it says nothing.

    Attributes:
        total: Its size in bytes.
        etag: A strong entity tag.
        modified: Its date, as the host writes it.
        md5: 32 hexadecimal digits.
    """

    total: int | None = None
    etag: str = ""
    modified: str = ""
    md5: str = ""

    @property
    def validator(self) -> str:
        """What If-Range takes to know the file again."""
        return self.etag or self.modified

    def contradicts(self, other: Origin) -> bool:
        """Whether both say something, and not the same."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return any(mine != theirs for mine, theirs in pairs if mine not in ("", None) and theirs not in ("", None))


class Part:
    """What has arrived of a file, open for more. Every byte is in the file as soon as `append` returns.

    Attributes:
        file: Its final name, which it gets in `finish`.
        size: Bytes that have arrived.
        origin: What the host said of the file.
        begun: How often it was begun from the first byte, by this process.
        settled: Whether its end was taken for granted, since the host did not say how long it is.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.size = 0
        self.origin = Origin()
        self.begun = 0
        self.settled = False
        self._path = file.with_name(f"{file.name}.part")
        self._note = file.with_name(f"{file.name}.part.json")
        self._digest = hashlib.md5(usedforsecurity=False)
        self._handle: int | None = None

    @property
    def md5(self) -> str:
        """Of the bytes that have arrived, 32 hexadecimal digits."""
        return self._digest.hexdigest()

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return self.origin.total is not None and self.size >= self.origin.total

    def begin(self, origin: Origin) -> None:
        """Throw away what has arrived and begin from the first byte.

        Raises:
            UserError: There is not enough room on the disk, or it can't be written to.
        """
        self.clear()
        self.origin = origin
        self.check_room()
        with _words_errors(self._path):
            write_text(self._note, json.dumps(asdict(origin)) + "\n")
            self._handle = os.open(self._path, _WRITE | os.O_CREAT | os.O_EXCL, 0o666)
        self.begun += 1

    def check_room(self) -> None:
        """Check that the disk has room for what is missing.

        Raises:
            UserError: It has not.
        """
        needed = (self.origin.total or 0) - self.size
        free = shutil.disk_usage(self.file.parent).free
        if needed > free:
            raise UserError(
                f"fetching {self.file.name} needs {amount(needed)} more and {self.file.parent} has {amount(free)} left",
                _ELSEWHERE,
            )

    def append(self, data: bytes) -> None:
        """Write what came next.

        Raises:
            UserError: The disk is full, or it can't be written to.
        """
        rest = memoryview(data)
        with _words_errors(self._path):
            if self._handle is None:
                self._handle = os.open(self._path, _WRITE | os.O_APPEND)
            while rest:
                written = os.write(self._handle, rest)
                self._digest.update(rest[:written])
                self.size += written
                rest = rest[written:]

    def settle(self) -> None:
        """Take the file as whole as it is: the host did not say how long it is, and has sent all."""
        self.settled = True
        self.origin = replace(self.origin, total=self.size)
        write_text(self._note, json.dumps(asdict(self.origin)) + "\n")

    def finish(self) -> None:
        """Give the file its final name.

        Raises:
            UserError: The disk is full, or it can't be written to.
        """
        self.close()
        with _words_errors(self.file):
            with self._path.open("rb+") as file:
                os.fsync(file.fileno())
            self._path.replace(self.file)
            self._note.unlink(missing_ok=True)

    def clear(self) -> None:
        """Throw away what has arrived.

        Raises:
            UserError: It can't be removed.
        """
        self.close()
        self.settled = False
        self.size, self.origin, self._digest = 0, Origin(), hashlib.md5(usedforsecurity=False)
        with _words_errors(self._path):
            self._path.unlink(missing_ok=True)  # first, since a note without its part does no harm
            self._note.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None

    def take_up(self) -> None:
        """Read what an earlier process left, if it can be gone on with."""
        with suppress(OSError, ValueError, TypeError):  # no part, no note, or not of ours
            origin = Origin(**json.loads(self._note.read_text(encoding="utf-8")))
            with self._path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
                size = file.tell()
            if origin.validator and isinstance(origin.total, int | None):
                self.origin, self.size, self._digest = origin, size, digest


_WRITE = os.O_WRONLY | getattr(os, "O_BINARY", 0)
_ELSEWHERE = "free some disk or choose a folder elsewhere; what has arrived is kept"


@contextmanager
def arriving(file: Path) -> Iterator[Part]:
    """Open what has arrived of a file, close it at the end."""
    part = Part(file)
    part.take_up()
    try:
        yield part
    finally:
        part.close()


@contextmanager
def _words_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}", _ELSEWHERE) from error
