"""What unpacks archives that nobody vouches for: every name is checked, nothing is replaced, nothing leads outside.

Links, devices and whatever else is no file and no folder are refused; owners, modes and dates are not taken over.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kagglekit.system.errors import UserError, listing

# Of the sizes that headers tell none is believed. A CSV of equal numbers shrinks to a 600th (5,000 columns, deflate),
# a file of zeros to a 1,028th: so the ratio says nothing of small files, and little of large ones. What it must catch
# are kilobytes that become terabytes.
RATIO = 500
LARGE_MEMBER = 10**9  # bytes from which on a member's ratio counts
LARGE_IN_ALL = 2 * 10**9  # bytes from which on an archive's ratio counts
CHUNK = 1 << 20  # bytes that are read at once


class BadArchive(UserError):
    """An archive is unsafe, and not to be used, or broken."""


class BrokenArchive(BadArchive):
    """An archive is damaged: it should be fetched again."""


@dataclass
class Place:
    """A folder into which an archive is unpacked.

    Attributes:
        archive: What is unpacked, for messages.
        folder: Where to. It may have files in it; none is replaced.
        elsewhere: What to do where there is too little room.
        member: The name at which it is.
        n_files: How many files were written.
    """

    archive: Path
    folder: Path
    elsewhere: str
    member: str = ""
    n_files: int = 0
    _folders: set[tuple[str, ...]] = field(default_factory=lambda: {()})

    def refuse(self, what: str) -> BadArchive:
        """Return the error for an archive that must not be unpacked."""
        return BadArchive(f"{self.archive} {what}", "it is not unpacked; get the file from its source again")

    def refuse_unsafe(self, names: Iterable[str]) -> None:
        """Refuse an archive for members that are links, or whose paths are not safe.

        Raises:
            BadArchive: There are such members.
        """
        misread: list[str] = []
        outside: list[str] = []
        for name in names:
            (misread if any(map(_is_misread, _inside(name) or ())) else outside).append(name)
        self.refuse_any("would write outside of its folder, or holds links", outside)
        self.refuse_any("has names that Windows reads as drives, streams, devices or other names", misread)

    def refuse_strange(self, names: Iterable[str]) -> None:
        """Refuse an archive for members that are neither files nor folders.

        Raises:
            BadArchive: There are such members.
        """
        self.refuse_any("holds what is no file", names)

    def refuse_any(self, what: str, names: Iterable[str]) -> None:
        """Refuse an archive for members of which `what` is true.

        Raises:
            BadArchive: There are such members.
        """
        shown = [printable(name) for name in names]
        if shown:
            raise self.refuse(f"{what}: {listing(shown)}")

    def check_room(self, needed: int) -> None:
        """Check that the disk has room for `needed` more bytes.

        Raises:
            UserError: It has not.
        """
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            what = f"{self.archive} (at {printable(self.member)})" if self.member else str(self.archive)
            room = f"{needed / 1e9:.1f} GB and {self.folder} has {free / 1e9:.1f} GB left"
            raise UserError(f"unpacking {what} needs {room}", self.elsewhere)

    def make_folder(self, parts: Sequence[str]) -> None:
        """Make a folder and those above it.

        Raises:
            BadArchive: There is a file, or a link, in the way.
        """
        for depth in range(1, len(parts) + 1):
            above = tuple(parts[:depth])
            if above in self._folders:
                continue
            path = self.folder.joinpath(*above)
            try:
                path.mkdir()
            except FileExistsError:
                if not stat.S_ISDIR(path.lstat().st_mode):
                    raise self.refuse(f"holds a file where a folder must be: {printable(self.member)}") from None
            self._folders.add(above)

    def write(self, parts: Sequence[str], chunks: Iterable[bytes]) -> Iterator[int]:
        """Write a file; yield the size of each piece.

        Raises:
            BadArchive: There is a file of that name already.
        """
        self.make_folder(parts[:-1])
        try:
            handle = os.open(os.path.join(self.folder, *parts), _NEW, 0o666)  # noqa: PTH118 - 25,000 times
        except FileExistsError:
            raise self.refuse(f"holds {printable(self.member)} twice, or it was there before") from None
        try:
            for chunk in chunks:
                rest = memoryview(chunk)
                while rest:
                    rest = rest[os.write(handle, rest) :]
                yield len(chunk)
        finally:
            os.close(handle)
        self.n_files += 1


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def printable(name: str) -> str:
    """Return a name that can be seen and does nothing to a terminal."""
    return name if name and name.isprintable() else ascii(name)


def safe_parts(name: str) -> tuple[str, ...] | None:
    """Return the parts of a member's path; None if it leads outside, or might on some system. ``./`` has none."""
    parts = _inside(name)
    return None if parts is None or any(map(_is_misread, parts)) else parts


def _inside(name: str) -> tuple[str, ...] | None:
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    strange = not name or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name
    return None if strange or re.match("[A-Za-z]:", name) else parts


def _is_misread(part: str) -> bool:
    """Whether Windows takes a name for a drive, a stream or a device, or leaves out its end."""
    return ":" in part or part.endswith((".", " ")) or part.partition(".")[0].rstrip(" ").upper() in _DEVICES


_DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{device}{number}" for device in ("COM", "LPT") for number in "0123456789¹²³"
}
