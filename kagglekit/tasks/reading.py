"""Read the targets of an image table: from columns of their own, or from its column ``label``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.system.errors import UserError, listing, unknown
from kagglekit.types.records import Value, write_record

if TYPE_CHECKING:
    import pandas as pd

FIX = "fix the labels hook of the competition's plugin"


def need_columns(table: pd.DataFrame, targets: Sequence[str]) -> None:
    """Check that a table has the columns of the targets.

    Raises:
        UserError: One is missing.
    """
    there = [str(column) for column in table.columns]
    for name in targets:
        if name not in there:
            raise UserError(f"Competition.targets: {unknown('column of the image table', name, there)}", FIX)


def records_of(
    table: pd.DataFrame, targets: Sequence[str], value_of: Callable[[object], Value], what: str
) -> list[str | None]:
    """Return the record of each row's targets; None for rows where all are missing.

    Args:
        table: The image table.
        targets: Names of the columns.
        value_of: Turns a cell that is not missing into a value.
        what: What a cell should be, for the message.

    Raises:
        UserError: A column is missing, or a cell is not what it should be.
    """
    need_columns(table, targets)
    columns = {name: _values(table, name, value_of, what) for name in targets}
    rows = zip(*columns.values(), strict=True)
    return [
        None if all(value is None for value in row) else write_record(dict(zip(columns, row, strict=True)))
        for row in rows
    ]


def _values(table: pd.DataFrame, name: str, value_of: Callable[[object], Value], what: str) -> list[Value]:
    found: list[Value] = []
    wrong: list[object] = []
    for image, value, there in zip(table["id"], table[name], table[name].notna(), strict=True):
        try:
            found.append(value_of(value) if there and value != "" else None)
        except (TypeError, ValueError):
            wrong.append(image)
    if wrong:
        raise UserError(
            f"the image table's column {name!r} has values other than {what} (by id): {listing(wrong)}",
            f"return {what} in this column from the labels hook, nothing where a value is unknown; or change the kind "
            "of target: Competition(task=...)",
        )
    return found


def as_number(value: object) -> float:
    """Return a cell as a finite number.

    Raises:
        ValueError: It is none.
    """
    number = float(value)  # type: ignore[arg-type]
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no finite number")
    return number


def as_zero_or_one(value: object) -> float:
    """Return a cell as 0 or 1.

    Raises:
        ValueError: It is another value.
    """
    number = 1.0 if value in (True, "True", "true") else 0.0 if value in (False, "False", "false") else float(value)  # type: ignore[arg-type]
    if number not in (0.0, 1.0):
        raise ValueError(f"{value!r} is neither 0 nor 1")
    return number


def label_sets(table: pd.DataFrame) -> list[frozenset[str] | None]:
    """Return the set of labels in each cell of the column ``label``; None where a cell is missing.

    Raises:
        UserError: A cell is no list, tuple or set of names.
    """
    found: list[frozenset[str] | None] = []
    wrong = []
    for image, cell in zip(table["id"], table["label"], strict=True):
        if isinstance(cell, (list, tuple, set, frozenset, np.ndarray)):
            names = frozenset(str(name).strip() for name in cell)
            found.append(names)
            if "" in names:
                wrong.append(image)
        else:
            found.append(None)
            if not _is_missing(cell):
                wrong.append(image)
    if wrong:
        what = "labels that are no list of names, as several labels an image need (by id)"
        raise UserError(
            f"the image table has {what}: {listing(wrong)}",
            'return a list for each image from the labels hook: labels_from_csv(..., separator=" ") splits the labels '
            "in a cell",
        )
    return found


def _is_missing(cell: object) -> bool:
    import pandas as pd

    return cell is None or cell is pd.NA or cell != cell  # nan


def names_in(labels: Iterable[str]) -> set[str]:
    """Return the names of the targets in records that are neither 0 nor unknown."""
    from kagglekit.types.records import read_record

    return {name for label in labels for name, value in read_record(label).items() if value is not None}
