"""What all containers have in common: keys, values and facts."""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from kagglekit.system.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

Value: TypeAlias = "bytes | NDArray[np.number] | NDArray[np.bool_]"

_PIECE = 1 << 20  # bytes
_SHORT = 1 << 17  # bytes that a disk reads about as fast as a page elsewhere


class NoSuchMember(ValueError):
    """A container has no image of this key."""

    def __init__(self) -> None:
        super().__init__("no such member")


class Container(ABC):
    """An open file that holds many images; its methods may be called from several threads.

    It is closed once nobody refers to it.
    """

    @abstractmethod
    def keys(self, within: str = "") -> Sequence[str]:
        """Return the keys of the images, in the file's order; `within` names the part of it that holds them."""

    @abstractmethod
    def read(self, key: str) -> Value:
        """Return an image: the bytes of an image file, or numbers (H, W) or (H, W, C).

        Raises:
            NoSuchMember: There is none.
            ValueError: It is damaged, or too large.
        """

    @abstractmethod
    def facts(self, within: str = "") -> Mapping[str, Sequence[object]]:
        """Return what else the file says of each image, by its name: labels, ids; in the order of `keys`."""


class Blocks:
    """Reads parts of a file at any place, from several threads.

    Attributes:
        size: Of the file, bytes.
    """

    def __init__(self, path: Path) -> None:
        file = path.open("rb", buffering=0)
        weakref.finalize(self, file.close)
        self._file, self._lock = file, threading.Lock()
        self.size = os.fstat(file.fileno()).st_size

    def read(self, start: int, n: int) -> bytes:
        """Return `n` bytes from `start`.

        Raises:
            ValueError: The file ends before.
        """
        if start < 0 or n < 0 or start + n > self.size:
            raise ValueError("truncated")
        parts: list[bytes] = []
        while n:  # one system call reads 2 GB at most
            part = self._some(start, n)
            if not part:
                raise ValueError("truncated: it became shorter")
            parts.append(part)
            start, n = start + len(part), n - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, start: int, n: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), n, start)
        with self._lock:
            self._file.seek(start)
            return self._file.read(n)


class Heads:
    """Reads the head of each record of a file, from front to back.

    Short records are read with all that lies between their heads: a disk takes longer for many single pages, and the
    images are read next, then from the system's cache. Finding and reading 100,000 took less than half of the time.
    """

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._begin, self._piece = 0, b""  # what is in memory, and where that begins
        self._last = 0

    def read(self, start: int, n: int) -> bytes:
        """Return `n` bytes from `start`, which lies behind all earlier ones."""
        at = start - self._begin
        if at + n > len(self._piece):
            several = start - self._last <= _SHORT
            self._piece = self._blocks.read(start, min(_PIECE, self._blocks.size - start) if several else n)
            self._begin, at = start, 0
        self._last = start
        return self._piece[at : at + n]


def number_of(key: str, n: int) -> int:
    """Return the position that a key names, of `n`.

    Raises:
        NoSuchMember: It is no number, or too large.
    """
    if not (key.isascii() and key.isdigit() and len(key) < 19) or int(key) >= n:
        raise NoSuchMember
    return int(key)


def needs(extra: str, path: Path, what: str) -> UsageError:
    """Return the error for a file that only an optional package can read."""
    return UsageError(f"{what} is needed to read {path}", f'pip install "kagglekit[{extra}]"')
