"""Find the columns that say which row of the CSV an image belongs to, where several images share one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.layout import Labels, TestList
from kagglekit.authoring.detect.tables.sources import Source
from kagglekit.authoring.detect.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

MOST_JOINED = 3  # columns


def with_row_columns(labels: Labels, sources: Sequence[Source], listed: TestList) -> Labels:
    """Add to a table of labels the columns that make the ids of the CSV's rows.

    Args:
        labels: The labels.
        sources: All tables.
        listed: The one of the test images, with the column of these ids.

    Returns:
        The labels as they are if they are no table, or if no columns of it make such ids.
    """
    tables = {source.name: source.rows for source in sources}
    if not isinstance(labels, Table) or labels.csv not in tables:
        return labels
    return replace(labels, row=_row_columns(tables[labels.csv], tables[listed.file], listed.row_column))


def _row_columns(train: pd.DataFrame, test: pd.DataFrame, ids: str) -> tuple[str, ...]:
    """Return the columns of both tables whose values, joined by ``_``, are the ids of the test images' rows."""
    if ids in train:
        return (ids,)
    wanted = test[ids].str.strip()
    shared = [name for name in map(str, train.columns) if name in test]
    shared = [name for name in shared if all(map(_contains, wanted.head(), test[name].head()))]
    for n in range(1, MOST_JOINED + 1):
        for names in permutations(shared, n):
            if (test[list(names)].agg("_".join, axis=1) == wanted).all():
                return names
    return ()


def _contains(row: str, part: str) -> bool:
    return bool(part) and part in row
