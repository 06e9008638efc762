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

Write = Callable[[NDArray[np.int64], NDArray[np.uint64], NDArray[np.float32]], None]


class FeatureFile:
    """Rows of features (N, D) of a store's N images.

    Args:
        folder: The store's.
        key: Hash of everything that the features depend on beside the images and how each is seen.
        n: N.
        width: D.

    Attributes:
        lock: Held by the one process that writes.
    """

    def __init__(self, folder: Path, key: str, n: int, width: int) -> None:
        self.lock = FileLock(folder / f"{FEATURES}{key}.lock", thread_local=False)
        self._path = folder / f"{FEATURES}{key}.f32"
        self._index = self._path.with_suffix(".npz")
        self._shape = n, width
        self._seen, self._sums = np.zeros(n, np.uint64), np.zeros(n, np.uint32)

    def missing(self, rows: NDArray[np.int64], seen: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return (M,) bool: which of these images are not there, seen as asked, with a row that fits its checksum."""
        self._read_index()
        there: NDArray[np.bool_] = self._seen[rows] == seen
        if there.any():
            table = self._table()
            for place in np.flatnonzero(there):
                there[place] = crc32(table[rows[place]]) == self._sums[rows[place]]
        return ~there

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features (M, D) of images that are there."""
        return np.asarray(self._table()[rows])

    @contextmanager
    def writing(self) -> Iterator[Write]:
        """Yield a function that writes the features (M, D) of rows, seen so; also if an error follows, they are kept.

        Raises:
            OSError: They cannot be written.
        """
        n, width = self._shape
        special = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | special, 0o666), "r+b") as file:
            file.truncate(4 * n * width)

            def write(rows: NDArray[np.int64], seen: NDArray[np.uint64], features: NDArray[np.float32]) -> None:
                for row, own, vector in zip(rows, seen, np.ascontiguousarray(features), strict=True):
                    file.seek(4 * width * int(row))
                    file.write(vector.data)
                    self._seen[row], self._sums[row] = own, crc32(vector)

            try:
                yield write
            finally:
                file.flush()
                os.fsync(file.fileno())
                self._write_index()

    def _table(self) -> NDArray[np.float32]:
        return np.memmap(self._path, np.float32, "r", shape=self._shape)

    def _read_index(self) -> None:
        n = self._shape[0]
        with (
            suppress(OSError, ValueError, KeyError, BadZipFile),
            self._index.open("rb") as file,
            np.load(file) as found,
        ):
            seen, sums = found["seen"], found["sums"]
            if seen.shape == sums.shape == (n,) and self._path.stat().st_size == 4 * n * self._shape[1]:
                self._seen, self._sums = seen.astype(np.uint64), sums.astype(np.uint32)

    def _write_index(self) -> None:
        part = self._index.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, seen=self._seen, sums=self._sums)
        part.replace(self._index)
