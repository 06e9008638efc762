"""Read CSV files with an image a row: a column for each pixel, or one column of all pixels separated by blanks.

Keys are the rows' positions, from 0 after the header; ``137x236/17`` gives the height and width too.
Only the places of the rows are kept in memory.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kagglekit.containers.container import Blocks, Container, Value, number_of
from kagglekit.containers.pixel_columns import pixel_columns
from kagglekit.containers.shapes import check_array, shape_in, shaped

CHUNK = 2**24  # bytes that are scanned at a time


class CSVRows(Container):
    """An open CSV file of pixels."""

    def __init__(self, path: Path) -> None:
        self._path, self._blocks = path, Blocks(path)
        self._ends = _line_ends(self._blocks)
        self.columns = self._fields(0) if len(self._ends) > 1 else []
        self._pixels = pixel_columns(self.columns, self._fields(1) if len(self._ends) > 2 else [])
        if not self._pixels:
            raise ValueError("none of its columns are pixels")

    def keys(self, within: str = "") -> Sequence[str]:
        """Return ``0``, ``1``, ...: a key a row."""
        return list(map(str, range(len(self._ends) - 2)))

    def read(self, key: str) -> Value:
        """Return a row's pixels, (H, W) or (H, W, 3): see `Container.read`."""
        shape, position = shape_in(key)
        fields = self._fields(1 + number_of(position, len(self._ends) - 2))
        if len(fields) != len(self.columns):
            raise ValueError(f"the row has {len(fields)} fields, not {len(self.columns)}")
        values = numbers(
            [fields[i] for i in self._pixels] if len(self._pixels) > 1 else fields[self._pixels[0]].split()
        )
        check_array(values.shape, values.dtype.kind)
        return shaped(values, shape)  # type: ignore[return-value]  # numbers, as checked

    def facts(self, within: str = "") -> Mapping[str, Sequence[object]]:
        """Return the other columns, as text."""
        import pandas as pd

        pixels = set(self._pixels)
        others = [i for i in range(len(self.columns)) if i not in pixels]
        if not others:
            return {}
        rows = pd.read_csv(self._path, usecols=others, dtype="str", keep_default_na=False, encoding="utf-8-sig")
        if len(rows) != len(self._ends) - 2:
            raise ValueError("it has empty lines, or line breaks in quotes")
        return {self.columns[i]: rows.iloc[:, column].tolist() for column, i in enumerate(others)}

    def _fields(self, line: int) -> list[str]:
        start, end = int(self._ends[line]), int(self._ends[line + 1])
        text = self._blocks.read(start, end - start).decode("utf-8-sig")
        return next(csv.reader([text]), [])


def numbers(fields: Sequence[str]) -> NDArray[np.float32] | NDArray[np.uint8]:
    """Return numbers from their texts, as uint8 where they fit.

    Raises:
        ValueError: A text is no number.
    """
    values = np.array(fields, dtype=np.float32)
    if not values.size or not np.isfinite(values).all() or values.min() < 0 or values.max() > 255:
        return values
    small = values.astype(np.uint8)
    return small if (small == values).all() else values


def _line_ends(blocks: Blocks) -> NDArray[np.int64]:
    """Return 0, and the end of each line that is not empty."""
    found = [np.zeros(1, dtype=np.int64)]
    for start in range(0, blocks.size, CHUNK):
        part = np.frombuffer(blocks.read(start, min(CHUNK, blocks.size - start)), dtype=np.uint8)
        found.append(np.flatnonzero(part == 10) + start + 1)
    ends = np.concatenate([*found, np.array([blocks.size], dtype=np.int64)])
    lengths = np.diff(ends)
    while len(lengths) and lengths[-1] <= 2:  # empty lines at the end
        lengths, ends = lengths[:-1], ends[:-1]
    return ends
