"""Write the members of untrusted archives: check every name, replace nothing, and stay inside the folder.

Links, devices and other special members are refused. Owners, modes and dates are ignored.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from kagglekit.data.archive.budget import Budget
from kagglekit.data.archive.parts import Joined
from kagglekit.data.listing import DEEPEST
from kagglekit.system.display.printable import printable, shortened
from kagglekit.system.errors import UserError, listing

# Sizes in headers are not trusted. Deflate shrinks a CSV of equal numbers (5,000 columns) by a factor of 600 and a file
# of zeros by 1,028, so the ratio means nothing for small files and little for large ones. It is there to catch
# kilobytes that become terabytes, in an archive that a plugin unpacks: a download has a budget.
RATIO = 500
LARGE_MEMBER = 10**9  # bytes above which a member's ratio counts
LARGE_IN_ALL = 2 * 10**9  # bytes above which an archive's ratio counts
MOST_NAMED = 200  # letters of a member's name in messages


class BadArchive(UserError):
    """An archive is unsafe and must not be used, or is damaged."""


class LargeArchive(BadArchive):
    """An archive would unpack to more than its budget."""


class BrokenArchive(BadArchive):
    """An archive is damaged: download it again."""


@dataclass
class Place:
    """Hold where an archive is unpacked, and how far.

    Attributes:
        archive: The archive, named in messages.
        folder: The destination. It may hold files; none is replaced.
        elsewhere: The hint if the disk has too little room.
        budget: How much may be unpacked; None to go by the ratio of one archive alone.
        parts: The files of a split archive, in order; empty for one that is whole.
        member: Name of the current member.
        n_files: Number of files written.
    """

    archive: Path
    folder: Path
    elsewhere: str
    budget: Budget | None = None
    parts: Sequence[Path] = ()
    member: str = ""
    n_files: int = 0
    _folders: set[tuple[str, ...]] = field(default_factory=lambda: {()})

    @property
    def files(self) -> Sequence[Path]:
        """The archive's files: its parts in order, or itself."""
        return self.parts or (self.archive,)

    @property
    def packed_size(self) -> int:
        """Size of the archive, all parts together, bytes."""
        return sum(file.stat().st_size for file in self.files)

    def opened(self) -> IO[bytes]:
        """Open the archive for reading, its parts as one file."""
        return cast("IO[bytes]", Joined(self.parts)) if self.parts else self.archive.open("rb")

    def refuse(self, what: str) -> BadArchive:
        """Return the error for an archive that must not be unpacked."""
        return BadArchive(f"{self.archive} {what}", "it is not unpacked; get the file again from its source")

    def refuse_unsafe(self, names: Iterable[str]) -> None:
        """Refuse an archive for members that are links, or whose paths are not safe.

        Raises:
            BadArchive: There are such members.
        """
        misread: list[str] = []
        outside: list[str] = []
        for name in names:
            (misread if any(map(_is_misread, _inside(name) or ())) else outside).append(name)
        self.refuse_any("would write outside its folder, or holds links", outside)
        self.refuse_any("has names that mean drives, streams, devices or other names on Windows", misread)

    def refuse_strange(self, names: Iterable[str]) -> None:
        """Refuse an archive for members that are neither files nor folders.

        Raises:
            BadArchive: There are such members.
        """
        self.refuse_any("holds special members that are not files", names)

    def refuse_any(self, what: str, names: Iterable[str]) -> None:
        """Refuse an archive for members of which `what` is true.

        Raises:
            BadArchive: There are such members.
        """
        shown = [shown_name(name) for name in names]
        if shown:
            raise self.refuse(f"{what}: {listing(shown)}")

    def refuse_deep(self, names: Iterable[str]) -> None:
        """Refuse an archive for members in folders that are nested too deep to be listed, moved and removed.

        Raises:
            BadArchive: There are such members.
        """
        self.refuse_any(f"has folders nested more than {DEEPEST} deep", (n for n in names if n.count("/") > DEEPEST))

    def check_budget(self, n: int) -> None:
        """Check that `n` more bytes are within the budget, if there is one.

        Raises:
            LargeArchive: They are not.
        """
        if self.budget and n > self.budget.left:
            at = f" (at {shown_name(self.member)})" if self.member else ""
            raise LargeArchive(
                f"{self.archive}{at} would unpack to more than {self.budget}",
                "if you trust it, allow more: --max-unpacked 20GB",
            )

    def take(self, n: int) -> None:
        """Take bytes from the budget.

        Raises:
            LargeArchive: It does not have as many.
        """
        self.check_budget(n)
        if self.budget:
            self.budget.used += n

    def check_room(self, needed: int) -> None:
        """Check that the disk has room for `needed` more bytes.

        Raises:
            UserError: The disk is too full.
        """
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            what = f"{self.archive} (at {shown_name(self.member)})" if self.member else str(self.archive)
            room = f"{_room(needed)}, but {self.folder} has {_room(free)} left"
            raise UserError(f"unpacking {what} needs {room}", self.elsewhere)

    def make_folder(self, parts: Sequence[str]) -> None:
        """Make a folder and its parents.

        Raises:
            BadArchive: A file or a link is in the way.
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
                    raise self.refuse(f"holds a file where a folder must be: {shown_name(self.member)}") from None
            self._folders.add(above)

    def write(self, parts: Sequence[str], chunks: Iterable[bytes]) -> Iterator[int]:
        """Write a file; yield the size of each chunk.

        Raises:
            BadArchive: A file of that name exists, or the budget is used up.
        """
        self.make_folder(parts[:-1])
        try:
            handle = os.open(os.path.join(self.folder, *parts), _NEW, 0o666)  # noqa: PTH118 - 25,000 times
        except FileExistsError:
            raise self.refuse(f"holds {shown_name(self.member)} twice, or it existed before") from None
        try:
            for chunk in chunks:
                self.take(len(chunk))
                rest = memoryview(chunk)
                while rest:
                    rest = rest[os.write(handle, rest) :]
                yield len(chunk)
        finally:
            os.close(handle)
        self.n_files += 1


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def _room(n: int) -> str:
    return f"{n / 1e9:.1f} GB" if n >= 5e7 else f"{n / 1e6:.1f} MB"


def shown_name(name: str) -> str:
    """Return a member's name for messages: shortened, and without letters that a terminal would hide or act on."""
    return shortened(printable(name), MOST_NAMED) if name else "''"


def safe_parts(name: str) -> tuple[str, ...] | None:
    """Return the parts of a member's path, or None if it leads outside on any system. ``./`` has none."""
    parts = _inside(name)
    return None if parts is None or any(map(_is_misread, parts)) else parts


def _inside(name: str) -> tuple[str, ...] | None:
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    strange = not name or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name
    return None if strange or re.match("[A-Za-z]:", name) else parts


def _is_misread(part: str) -> bool:
    """Return whether Windows takes a name for a drive, a stream or a device, or cuts off its end."""
    return ":" in part or part.endswith((".", " ")) or part.partition(".")[0].rstrip(" ").upper() in _DEVICES


_DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{device}{number}" for device in ("COM", "LPT") for number in "0123456789¹²³"
}
