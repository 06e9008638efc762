"""A partly fetched file: FILE.part contains the received bytes, FILE.part.json describes the whole file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kagglekit.system.display.console import amount
from kagglekit.system.errors import UserError
from kagglekit.system.files import write_text


@dataclass(frozen=True)
class Origin:
    """A host's facts about a file; fields are empty where it says nothing.

    Attributes:
        total: Its size in bytes.
        etag: A strong entity tag.
        modified: Its date, in the host's format.
        md5: 32 hexadecimal digits.
    """

    total: int | None = None
    etag: str = ""
    modified: str = ""
    md5: str = ""

    @property
    def validator(self) -> str:
        """The value for If-Range, which identifies this version of the file."""
        return self.etag or self.modified

    def contradicts(self, other: Origin) -> bool:
        """Return whether any field has two different values."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return any(mine != theirs for mine, theirs in pairs if mine not in ("", None) and theirs not in ("", None))


class PartialFile:
    """The received bytes of a file, open for more. `append` returns once the bytes are written.

    Attributes:
        file: Its final name, which `finish` gives it.
        size: Number of received bytes.
        origin: What the host said about the file.
        starts: How often this process started from the first byte.
        size_assumed: Whether the end of the transfer was taken as the end of the file: the host gave no size.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.size = 0
        self.origin = Origin()
        self.starts = 0
        self.size_assumed = False
        self._path = file.with_name(f"{file.name}.part")
        self._description = file.with_name(f"{file.name}.part.json")
        self._digest = hashlib.md5(usedforsecurity=False)
        self._handle: int | None = None

    @property
    def md5(self) -> str:
        """The md5 of the received bytes, 32 hexadecimal digits."""
        return self._digest.hexdigest()

    @property
    def complete(self) -> bool:
        """True once all bytes were received."""
        return self.origin.total is not None and self.size >= self.origin.total

    def start(self, origin: Origin) -> None:
        """Discard the received bytes and start from the first byte.

        Raises:
            UserError: The disk is too full, or not writable.
        """
        self.clear()
        self.origin = origin
        self.check_disk_space()
        with _system_errors(self._path):
            write_text(self._description, json.dumps(asdict(origin)) + "\n")
            self._handle = os.open(self._path, _WRITE | os.O_CREAT | os.O_EXCL, 0o666)
        self.starts += 1

    def check_disk_space(self) -> None:
        """Check that the disk has space for the missing bytes.

        Raises:
            UserError: It does not.
        """
        needed = (self.origin.total or 0) - self.size
        free = shutil.disk_usage(self.file.parent).free
        if needed > free:
            raise UserError(
                f"{self.file.name} needs {amount(needed)} more, but {self.file.parent} has only {amount(free)} free",
                _ELSEWHERE,
            )

    def append(self, data: bytes) -> None:
        """Write the next bytes.

        Raises:
            UserError: The disk is full, or not writable.
        """
        rest = memoryview(data)
        with _system_errors(self._path):
            if self._handle is None:
                self._handle = os.open(self._path, _WRITE | os.O_APPEND)
            while rest:
                written = os.write(self._handle, rest)
                self._digest.update(rest[:written])
                self.size += written
                rest = rest[written:]

    def assume_complete(self) -> None:
        """Take the file as complete: the host gave no size and ended the transfer."""
        self.size_assumed = True
        self.origin = replace(self.origin, total=self.size)
        write_text(self._description, json.dumps(asdict(self.origin)) + "\n")

    def finish(self) -> None:
        """Give the file its final name.

        Raises:
            UserError: The disk is full, or not writable.
        """
        self.close()
        with _system_errors(self.file):
            with self._path.open("rb+") as file:
                os.fsync(file.fileno())
            self._path.replace(self.file)
            self._description.unlink(missing_ok=True)

    def clear(self) -> None:
        """Discard the received bytes.

        Raises:
            UserError: They cannot be removed.
        """
        self.close()
        self.size_assumed = False
        self.size, self.origin, self._digest = 0, Origin(), hashlib.md5(usedforsecurity=False)
        with _system_errors(self._path):
            self._path.unlink(missing_ok=True)  # first: a description without its bytes does no harm
            self._description.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None

    def load(self) -> None:
        """Read what an earlier process left, if it can be resumed."""
        with suppress(OSError, ValueError, TypeError):  # no bytes, no description, or not ours
            origin = Origin(**json.loads(self._description.read_text(encoding="utf-8")))
            with self._path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
                size = file.tell()
            if origin.validator and isinstance(origin.total, int | None):
                self.origin, self.size, self._digest = origin, size, digest


_WRITE = os.O_WRONLY | getattr(os, "O_BINARY", 0)
_ELSEWHERE = "free some disk space, or choose another folder; received bytes are kept"


@contextmanager
def opened(file: Path) -> Iterator[PartialFile]:
    """Open the received bytes of a file; close them at the end."""
    part = PartialFile(file)
    part.load()
    try:
        yield part
    finally:
        part.close()


@contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}", _ELSEWHERE) from error
