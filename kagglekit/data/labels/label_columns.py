"""Read the columns of a label file: classes, sets of labels, targets, and what else a table keeps of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.data.csv_file import separator_hint
from kagglekit.system.errors import UserError, listing, unknown
from kagglekit.types.image_table import COLUMNS, KEY

if TYPE_CHECKING:
    import pandas as pd

RESERVED = (*COLUMNS, KEY, "group", "row", "weight")  # names with a meaning of their own in an image table
_SPLITS = {"train": "train", "val": "valid", "dev": "valid", "test": "test"}  # by how a value begins
_FLAGS = {"true": 1.0, "false": 0.0}
_MISSING = ("", "na", "n/a", "nan", "none", "null")


@dataclass(frozen=True)
class Columns:
    """The columns of a label file: see `labels_from_csv`."""

    image: str
    file: str | None = None
    label: str | None = None
    one_hot: Sequence[str] = ()
    targets: Sequence[str] = ()
    group: str | None = None
    row: str | Sequence[str] | None = None
    weight: str | None = None
    split: str | None = None
    metadata: Sequence[str] = ()

    @property
    def rows(self) -> list[str]:
        """The columns that make the id of a row of the CSV together."""
        return [self.row] if isinstance(self.row, str) else list(self.row or ())

    def check(self, file: Path, rows: pd.DataFrame, labelled: bool) -> None:
        """Check that all of them exist once.

        Raises:
            UserError: One does not, or a target has a name that means something else in an image table.
        """
        wanted = [self.image, self.file, self.label, *self.one_hot, self.group, *self.rows, self.weight, self.split]
        need_columns(file, rows, filter(None, [*wanted, *(self.targets if labelled else ()), *self.metadata]))
        for kind, names in (("target", self.targets), ("metadata", self.metadata)):
            if taken := [name for name in names if name in RESERVED]:
                raise UserError(
                    f"the {kind} column {taken[0]!r} has the name of a column that every image table may have",
                    f"rename it in {file.name}" + ("; a single target may be the label_column" * (kind == "target")),
                )
        if both := sorted(set(self.targets) & set(self.metadata)):
            raise UserError(f"{listing(both)} cannot be both target and metadata", "name each column once")


def need_columns(file: Path, rows: pd.DataFrame, names: Iterable[str]) -> None:
    """Check that a file has each of these columns once.

    Raises:
        UserError: It does not.
    """
    there = [str(column) for column in rows.columns]
    for column in names:
        if column not in there:
            raise UserError(f"{file}: {unknown('column', column, there)}", separator_hint(there))
        if there.count(column) > 1:
            raise UserError(f"{file} has {there.count(column)} columns named {column!r}", "rename all but one")


@dataclass(frozen=True)
class Sets:
    """How sets of labels are written.

    Attributes:
        separator: Between the labels in a cell; None if a cell holds one.
        several: An image may have several rows.
        empty: An empty cell means no label instead of unknown ones.
    """

    separator: str | None = None
    several: bool = False
    empty: bool = False

    def __bool__(self) -> bool:
        """Return whether labels are sets."""
        return self.separator is not None or self.several

    def parse(self, cell: str) -> tuple[str, ...] | None:
        """Return the labels in a cell, each once; None if they are unknown."""
        words = cell.split(self.separator.strip() or None) if self.separator else [cell]
        names = tuple(dict.fromkeys(name for word in words if (name := word.strip())))
        return names or (() if self.empty else None)


def class_names(file: Path, rows: pd.DataFrame, columns: Columns) -> list[str | None]:
    """Return the class of each row; None where the cell is empty.

    Raises:
        UserError: The column is ambiguous, or a row has more or less than a single 1 in the columns of classes.
    """
    if columns.one_hot:
        return _of_one_hot(file, rows, columns)
    return [cell or None for cell in _cells(file, rows, columns)]


def label_sets(file: Path, rows: pd.DataFrame, columns: Columns, sets: Sets) -> list[tuple[str, ...] | None]:
    """Return the labels of each row; None where they are unknown.

    Raises:
        UserError: The column is ambiguous.
    """
    return [sets.parse(cell) for cell in _cells(file, rows, columns)]


def _cells(file: Path, rows: pd.DataFrame, columns: Columns) -> list[str]:
    named = columns.label or _only_other(file, rows, columns)
    return [str(cell).strip() for cell in rows[named]]


def _only_other(file: Path, rows: pd.DataFrame, columns: Columns) -> str:
    used = {columns.image, columns.file, columns.group, columns.split, columns.weight, *columns.rows, *columns.metadata}
    there = [str(column) for column in rows.columns]
    others = [column for column in there if column not in used]
    if len(others) != 1:
        raise UserError(
            f"{file} has the columns {listing(there, 20)}: the labels' column is ambiguous",
            "name it in the plugin: labels_from_csv(..., label_column=NAME)",
        )
    return others[0]


def _of_one_hot(file: Path, rows: pd.DataFrame, columns: Columns) -> list[str | None]:
    named = list(columns.one_hot)
    values = rows[named].apply(lambda column: column.str.strip())
    strange = values[~values.isin(["0", "1", "0.0", "1.0"]).all(axis=1)]
    ones = values.isin(["1", "1.0"]).to_numpy()
    wrong = rows[ones.sum(axis=1) != 1]
    if len(strange) or len(wrong):
        first = list((strange if len(strange) else wrong).index[:1])
        at = rows.loc[first, columns.image].tolist()
        what = "values other than 0 and 1" if len(strange) else "more or less than a single 1"
        hint = "" if len(strange) else "for several labels an image: labels_from_csv(..., target_columns=[...])"
        raise UserError(f"{file} has {what} in {listing(named)}, first for {at[0]!r}", hint)
    return [named[number] for number in ones.argmax(axis=1)]


def targets_of(file: Path, rows: pd.DataFrame, columns: Columns) -> dict[str, pd.Series[float]]:
    """Return the numbers in each target's column, nan where a cell is empty.

    Raises:
        UserError: A cell holds something else.
    """
    return {name: numbers_in(file, rows, name, columns.image) for name in columns.targets}


def numbers_in(file: Path, rows: pd.DataFrame, name: str, image: str) -> pd.Series[float]:
    """Return the numbers in a column, nan where a cell is empty; `image` is the column that a message names rows by.

    Raises:
        UserError: A cell holds something else.
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(rows[name]):
        return rows[name].astype("float64")
    numbers = pd.to_numeric(rows[name], errors="coerce").astype("float64")
    others = rows.loc[numbers.isna(), name].str.strip().str.lower()  # few of many rows
    numbers[others.index] = others.map(_FLAGS).astype("float64")
    wrong = rows.loc[others.index[~others.isin([*_FLAGS, *_MISSING])]]
    if len(wrong):
        first = [f"{value!r} of {at}" for value, at in zip(wrong[name], wrong[image], strict=True)]
        raise UserError(f"{file} has values in {name!r} that are no numbers: {listing(first, 3)}", "correct them")
    return numbers


def facts_of(file: Path, rows: pd.DataFrame, columns: Columns) -> Iterator[tuple[str, pd.Series[Any]]]:
    """Yield name and values of each further column of the image table.

    Raises:
        UserError: A weight is no number, or negative.
    """
    if columns.group:
        yield "group", _texts(rows[columns.group])
    if columns.rows:
        yield "row", _texts(rows[columns.rows].agg("_".join, axis=1))
    if columns.weight:
        weights = numbers_in(file, rows, columns.weight, columns.image)
        if len(wrong := rows.loc[weights < 0, columns.image]):
            raise UserError(f"{file} has negative weights in {columns.weight!r}, of {listing(list(wrong), 3)}")
        yield "weight", weights.astype(object)
    for name in columns.metadata:
        yield name, _texts(rows[name])


def _texts(values: pd.Series[str]) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series([value.strip() or None for value in values], index=values.index, dtype=object)


def splits_of(file: Path, values: pd.Series[str]) -> list[str]:
    """Return the split that each row's word means: train, valid or test.

    Raises:
        UserError: There is another word.
    """
    words = values.str.strip().str.lower()
    found = [next((ours for start, ours in _SPLITS.items() if word.startswith(start)), "") for word in words]
    strange = [word for word, ours in zip(words, found, strict=True) if not ours]
    if strange:
        has = f"the column {str(values.name)!r} has {listing(list(dict.fromkeys(strange)), 3)}"
        raise UserError(f"{file}: {has}, not only train, val and test")
    return found
