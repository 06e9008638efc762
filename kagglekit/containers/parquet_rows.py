"""Read parquet files with an image a row: a column for each pixel, or a column of image files.

Keys are the rows' positions, from 0; ``137x236/17`` gives the height and width too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kagglekit.containers.container import Container, Value, needs, number_of
from kagglekit.containers.encoded import is_encoded
from kagglekit.containers.held import Held, check_size
from kagglekit.containers.pixel_columns import pixel_columns
from kagglekit.containers.shapes import check_array, shape_in, shaped

try:
    import pyarrow as arrow
    import pyarrow.parquet as parquet
except ModuleNotFoundError:
    arrow = parquet = None


class ParquetRows(Container):
    """An open parquet file."""

    def __init__(self, path: Path) -> None:
        if parquet is None:
            raise needs("arrays", path, "pyarrow")
        self._file: Any = parquet.ParquetFile(path, memory_map=True)
        schema = self._file.schema_arrow
        self._names: list[str] = list(schema.names)
        self._encoded = [name for name in self._names if _holds_bytes(schema.field(name).type)]
        numeric = [
            name for name in self._names if arrow.types.is_integer(schema.field(name).type) or _is_real(schema, name)
        ]
        self._pixels = [numeric[i] for i in pixel_columns(numeric, ["0"] * len(numeric))]
        if not self._pixels and len(self._encoded) != 1:
            raise ValueError("none of its columns are pixels, and not exactly one holds image files")
        groups = range(self._file.num_row_groups)
        self._ends = list(accumulate(self._file.metadata.row_group(i).num_rows for i in groups))
        self._held = Held()

    def keys(self, within: str = "") -> Sequence[str]:
        """Return ``0``, ``1``, ...: a key a row."""
        return list(map(str, range(self._n)))

    def read(self, key: str) -> Value:
        """Return a row's pixels, or the bytes of its image file: see `Container.read`."""
        shape, position = shape_in(key)
        row = number_of(position, self._n)
        group = bisect_right(self._ends, row)
        values = self._group(group)[row - (self._ends[group - 1] if group else 0)]
        if not self._pixels:
            value = values.as_py()
            data = value.get("bytes") if isinstance(value, dict) else value
            if not isinstance(data, bytes) or not is_encoded(data):
                raise ValueError("the row holds no image file")
            return data
        check_array(values.shape, values.dtype.kind)
        return shaped(values, shape)  # type: ignore[return-value]  # numbers, as checked

    def facts(self, within: str = "") -> Mapping[str, Sequence[object]]:
        """Return the other columns."""
        images = {*self._pixels, *self._encoded}
        others = self._file.read(columns=[name for name in self._names if name not in images])
        return {name: others.column(name).to_pylist() for name in others.column_names}

    @property
    def _n(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _group(self, number: int) -> Any:
        """Return the images of a row group: an array (rows, pixels), or a column of bytes."""
        n_bytes = self._file.metadata.row_group(number).total_byte_size
        check_size(n_bytes, f"its row group {number}")

        def read() -> Any:
            table = self._file.read_row_group(number, columns=self._pixels or self._encoded)
            return _matrix(table) if self._pixels else table.column(0)

        return self._held.get(number, read, n_bytes)


def _matrix(table: Any) -> NDArray[np.generic]:
    return np.stack([column.to_numpy() for column in table.columns], axis=1)


def _holds_bytes(kind: Any) -> bool:
    if arrow.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
    return bool(arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind))


def _is_real(schema: Any, name: str) -> bool:
    return bool(arrow.types.is_floating(schema.field(name).type))
