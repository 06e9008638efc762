"""Features of a frozen network, kept beside the image store that they were computed from.

``features-KEY.f32`` in the store's folder has a row of float32 for each image, and ``features-KEY.npz`` says which rows
are there: for each image how it was seen (`Loader.fingerprints`), 0 if not at all, and a checksum of its row.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from zipfile import BadZipFile
from zlib import crc32

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from kagglekit.images.store import FEATURES
from kagglekit.system.errors import UserError
from kagglekit.system.files import replacing

MOST_FILES = 12  # of a store: of those used least recently, the rest is removed
Write = Callable[[NDArray[np.int64], NDArray[np.uint64], NDArray[np.float32]], None]


class FeatureFile:
    """Rows of features (N, D) of a store's N images.

    Anybody may read. Who writes, or forgets, holds `lock`.

    Args:
        folder: The store's.
        key: Hash of everything that the features depend on beside the images and how each is seen.
        n: N.
        width: D.

    Attributes:
        lock: A lock between processes.
    """

    def __init__(self, folder: Path, key: str, n: int, width: int) -> None:
        self.lock = FileLock(folder / f"{FEATURES}{key}.lock", thread_local=False)
        self._path = folder / f"{FEATURES}{key}.f32"
        self._index = self._path.with_suffix(".npz")
        self._shape = n, width
        self._seen, self._sums = np.zeros(n, np.uint64), np.zeros(n, np.uint32)
        self._table: NDArray[np.float32] | None = None

    def missing(self, rows: NDArray[np.int64], seen: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return (M,) bool: which of these images, seen so, are not there."""
        self._read_index()
        there: NDArray[np.bool_] = self._seen[rows] == seen
        return ~there

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return the features (M, D) of images; None if one of them has no row that fits its checksum."""
        if self._table is None:  # once: another process may remove the file
            try:
                self._table = np.asarray(np.memmap(self._path, np.float32, "r", shape=self._shape))
            except (OSError, ValueError):
                return None
        found: NDArray[np.float32] = self._table[rows]
        sums = np.fromiter(map(crc32, found), np.uint32, len(found))
        return found if np.array_equal(sums, self._sums[rows]) else None

    def forget(self) -> None:
        """Let no row count any more."""
        self._seen[:] = 0
        self._write_index()

    @contextmanager
    def writing(self) -> Iterator[Write]:
        """Yield a function that writes the features (M, D) of rows, seen so; rows that the disk refuses are left out.

        What was written counts at the end of the block, also if an error ends it.

        Raises:
            OSError: The file cannot be opened, or given its size.
        """
        n, width = self._shape
        special = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | special, 0o666)
        with os.fdopen(
            descriptor, "r+b", buffering=0
        ) as file:  # what a full disk refuses is not tried again at the end
            file.truncate(4 * n * width)
            self._remove_old()

            def write(rows: NDArray[np.int64], seen: NDArray[np.uint64], features: NDArray[np.float32]) -> None:
                for row, own, vector in zip(rows, seen, np.ascontiguousarray(features), strict=True):
                    with suppress(OSError):
                        file.seek(4 * width * int(row))
                        if file.write(vector.data) == vector.nbytes:
                            self._seen[row], self._sums[row] = own, crc32(vector)

            try:
                yield write
            finally:
                with suppress(OSError):
                    os.fsync(file.fileno())
                    self._write_index()

    def _read_index(self) -> None:
        n = self._shape[0]
        damaged = (OSError, EOFError, ValueError, KeyError, BadZipFile)
        with suppress(*damaged), self._index.open("rb") as file, np.load(file) as found:
            seen, sums = found["seen"], found["sums"]
            if seen.shape == sums.shape == (n,) and self._path.stat().st_size == 4 * n * self._shape[1]:
                self._seen, self._sums = seen.astype(np.uint64), sums.astype(np.uint32)
                os.utime(self._index)  # the time of the last use

    def _write_index(self) -> None:
        with suppress(UserError), replacing(self._index) as part, part.open("wb") as file:
            np.savez(file, seen=self._seen, sums=self._sums)

    def _remove_old(self) -> None:
        """Remove the files of the store that were used least recently, beyond `MOST_FILES`."""
        others = [file for file in self._path.parent.glob(f"{FEATURES}*.npz") if file != self._index]
        for index in sorted(others, key=lambda file: -file.stat().st_mtime)[MOST_FILES - 1 :]:
            for file in (index, index.with_suffix(".f32")):
                file.unlink(missing_ok=True)
