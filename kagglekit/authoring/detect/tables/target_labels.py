"""Return what the rows of a table say of their images, as text, and count it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.authoring.detect.tables.cells import words_of
from kagglekit.authoring.detect.tables.target import Target

if TYPE_CHECKING:
    import pandas as pd

ONES = ("1", "1.0")


def labels_of(rows: pd.DataFrame, target: Target) -> pd.Series[str]:
    """Return the label of each row, or its targets in one text; empty where nothing is known."""
    import pandas as pd

    columns = list(target.columns)
    if target.is_hot:
        numbers = rows[columns].isin(ONES).to_numpy().argmax(axis=1)
        return pd.Series([columns[number] for number in numbers], index=rows.index, dtype=object)
    if len(columns) == 1:
        return rows[columns[0]].str.strip()
    cells = rows[columns].apply(lambda column: column.str.strip())
    texts: pd.Series[str] = cells.agg(",".join, axis=1)
    return texts.where((cells != "").any(axis=1), "")


def count_labels(rows: pd.DataFrame, paths: pd.Series[str], target: Target) -> Mapping[str, int]:
    """Return the number of images of each class or label; of numbers, how many of each target are known.

    Args:
        rows: The rows with labels.
        paths: Their images.
        target: Their labels.
    """
    once = rows[~paths.duplicated()]
    if target.task == "multi-label" and target.has_columns:
        return {name: int(once[name].str.strip().isin(ONES).sum()) for name in target.columns}
    if target.numbers or target.task == "several":
        return {name: int((once[name].str.strip() != "").sum()) for name in target.columns}
    if target.several:
        labels = rows[target.columns[0]].str.strip()
        return Counter(labels[~(paths + "/" + labels).duplicated()])
    labels = labels_of(once, target)
    return (
        Counter(word for cell in labels for word in words_of(cell, target.separator))
        if target.separator
        else Counter(labels)
    )


def range_of(rows: pd.DataFrame, target: Target) -> tuple[float, float]:
    """Return the lowest and the highest of the numbers to predict; infinite ones if there are none."""
    import pandas as pd

    numbers = rows[list(target.numbers)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    return (float(np.nanmin(numbers)), float(np.nanmax(numbers))) if numbers.size else (-np.inf, np.inf)
