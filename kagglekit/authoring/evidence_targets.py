"""Find the columns of a file that hold the targets of a plugin's image table: several labels, or numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.tables.cells import MARKS, words_of
from kagglekit.types.records import Value

if TYPE_CHECKING:
    import pandas as pd

LEAST_SHARE = 0.99  # of the rows that columns must agree with
_CLOSE = 1e-5  # relative: float32 has seven digits

Record = Mapping[str, Value]


def columns_with_targets(rows: pd.DataFrame, images: pd.Series[str], records: Sequence[Record]) -> tuple[str, ...]:
    """Return the columns that hold the targets of images; none if no column does.

    Args:
        rows: A file's rows, all cells as text.
        images: The image of each row.
        records: The targets of each row's image, without those that are 0.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = [str(name) for name in rows.columns]
    if names and set(names) <= set(columns) and all(_hold(rows[name], records, name) for name in names):
        return tuple(names)
    if len(names) == 1:
        return tuple(column for column in columns if _hold(rows[column], records, names[0]))[:1]
    sets = [{name for name, value in record.items() if value} for record in records]
    return tuple(column for column in columns if _hold_sets(rows[column], images, sets))[:1]


def _hold(cells: pd.Series[str], records: Sequence[Record], name: str) -> bool:
    return _share(_is_value(cell, record.get(name, 0)) for cell, record in zip(cells, records, strict=True))


def _is_value(cell: str, value: Value) -> bool:
    """Return whether a cell holds a value; an empty one holds an unknown one."""
    text = cell.strip()
    if value is None or not text:
        return value is None and not text
    if isinstance(value, str):
        return text == value
    try:
        return math.isclose(float(text), value, rel_tol=_CLOSE, abs_tol=_CLOSE)
    except ValueError:
        return text.lower() == str(bool(value)).lower() and value in (0, 1)


def _hold_sets(cells: pd.Series[str], images: pd.Series[str], sets: Sequence[set[str]]) -> bool:
    """Return whether a column holds the labels of each image, in one cell or in its cells together."""
    wanted = dict(zip(images, sets, strict=True))
    for mark in (*MARKS, ""):
        found: dict[str, set[str]] = {image: set() for image in wanted}
        for cell, image in zip(cells, images, strict=True):
            found[image].update(words_of(cell, mark) if mark else [cell.strip()] if cell.strip() else [])
        if _share(found[image] == names for image, names in wanted.items()):
            return True
    return False


def _share(hits: Iterable[bool]) -> bool:
    found = list(hits)
    return bool(found) and sum(found) >= LEAST_SHARE * len(found)
