"""Find the columns that hold the labels or targets: by the sample submission, else by their values and names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.asked import Asked, plain
from kagglekit.authoring.detect.tables.cells import (
    are_flags,
    are_flags_or_empty,
    are_grades,
    are_numbers_or_empty,
    distinct,
    few_values,
    holds_boxes,
    separator_of,
    words_of,
)
from kagglekit.authoring.detect.tables.target import Refusal, Target, Task
from kagglekit.system.errors import listing

if TYPE_CHECKING:
    import pandas as pd

HINTS = ("label", "class", "category", "species", "target", "breed", "diagnosis", "type", "kind", "variety", "name")


def find_target(
    rows: pd.DataFrame, columns: Sequence[str], shared: set[str], asked: Asked | None
) -> Target | Refusal | None:
    """Find the labels of a table.

    Args:
        rows: The table, a row an image.
        columns: The columns to choose from.
        shared: Columns that the test images have, too: facts, not labels.
        asked: The sample submission.

    Returns:
        None if there is no column of labels.
    """
    if asked and not asked.is_single:
        found = _named_by_columns(rows, columns, asked) or _named_by_values(rows, columns, asked)
        if found:
            return found
    same = [column for column in columns if asked and asked.is_single and plain(column) == plain(asked.columns[0])]
    if same and asked:
        return _of_same_name(rows, same[0], asked)
    return _likeliest(rows, columns, shared, asked)


def _named_by_columns(rows: pd.DataFrame, columns: Sequence[str], asked: Asked) -> Target | Refusal | None:
    """Return the columns that the sample's columns name."""
    named = tuple(column for column in asked.columns if column in columns)
    if len(named) < len(asked.columns):
        return None
    if all(are_flags_or_empty(rows[column]) for column in named):
        return _of_flags(rows, named, asked=True)
    if all(are_numbers_or_empty(rows[column]) for column in named) and not _are_classes(rows, named, asked):
        return Target(named, sure=True, task="regression")
    if all(are_numbers_or_empty(rows[column]) or few_values(rows[column]) for column in named):
        kinds: dict[str, Task] = {name: _kind(rows[name]) for name in named}
        why = f"each of the columns {listing(named)} is a target of its own: check their kinds"
        return Target(named, sure=True, task="several", kinds=kinds, why=why)
    return Refusal("several targets", f"has several targets, {listing(named)}, which the sample asks for", True)


def _are_classes(rows: pd.DataFrame, named: Sequence[str], asked: Asked) -> bool:
    """Return whether columns of numbers are numbers of classes: the metric compares none, nor does the sample."""
    if asked.compares_numbers or asked.holds_fractions():
        return False
    return all(are_grades(rows[name]) and few_values(rows[name]) for name in named)


def _kind(values: pd.Series[str]) -> Task:
    grades = are_grades(values) and few_values(values)
    return "regression" if are_numbers_or_empty(values) and not grades else "single-label"


def _named_by_values(rows: pd.DataFrame, columns: Sequence[str], asked: Asked) -> Target | None:
    """Return the column with most of the sample's columns as values, or as labels in sets of them."""
    wanted = {plain(column) for column in asked.columns}
    marks = {column: separator_of(distinct(rows[column])) for column in columns}
    hits = {column: len(wanted & _labels_in(rows[column], marks[column])) for column in columns}
    best = max(hits, key=lambda column: hits[column], default="")
    if not best or 2 * hits[best] < len(wanted):
        return None
    task: Task = "multi-label" if marks[best] else "single-label"
    return Target((best,), sure=True, task=task, separator=marks[best])


def _labels_in(values: pd.Series[str], separator: str) -> set[str]:
    words = [words_of(value, separator) if separator else [value] for value in values.unique()]
    return {plain(word) for each in words for word in each}


def _of_flags(rows: pd.DataFrame, columns: Sequence[str], asked: bool) -> Target:
    """Return one label an image if each row has a single 1, else several."""
    ones = rows[list(columns)].isin(["1", "1.0"]).sum(axis=1)
    whole = all(are_flags(rows[column]) for column in columns)
    if (ones == 1).all() and whole and len(columns) > 1:
        return Target(tuple(columns), sure=asked)
    counts = f"{(ones > 1).sum():,} rows have several, {(ones == 0).sum():,} none"
    why = "" if asked else f"columns of 0 and 1 are taken for several labels ({listing(columns)}): {counts}"
    return Target(tuple(columns), sure=asked, task="multi-label", why=why)


def _of_same_name(rows: pd.DataFrame, column: str, asked: Asked) -> Target | Refusal:
    """Return the column that has the name of the sample's only column."""
    values, cells = rows[column], distinct(rows[column])
    if are_numbers_or_empty(values) and _asks_numbers(values, asked):
        return Target((column,), sure=True, task="regression")
    if mark := _separator(values, asked):
        return _of_sets(column, mark, values, sure=True)
    if len(cells) < 2 or not values.duplicated().any():
        return Refusal("no classes", f"has no classes in {column!r}: {listing(cells, 3)}", True)
    return Target((column,), sure=True)


def _asks_numbers(values: pd.Series[str], asked: Asked) -> bool:
    """Return whether the sample asks for a number rather than for the number of a class."""
    if asked.metric:
        return asked.compares_numbers
    return not few_values(values) or (len(distinct(values)) > 2 and asked.is_of_fractions())


def _separator(values: pd.Series[str], asked: Asked | None) -> str:
    """Return what separates labels in the cells of a column; empty if they are names."""
    cells = distinct(values)
    if mark := separator_of(cells):
        return mark
    return " " if asked and asked.names_words_of(cells) else ""


def _of_sets(column: str, mark: str, values: pd.Series[str], sure: bool, rivals: Sequence[str] = ()) -> Target:
    several = max(distinct(values), key=lambda cell: len(words_of(cell, mark)))
    why = f"is {several!r} in {column!r} one class? It is taken for {len(words_of(several, mark))} labels"
    return Target((column,), tuple(rivals), sure, "multi-label", mark, why=why)


def _likeliest(
    rows: pd.DataFrame, columns: Sequence[str], shared: set[str], asked: Asked | None
) -> Target | Refusal | None:
    if asked and asked.compares_numbers and (number := _number(rows, columns, shared, asked)):
        return number
    marks = {column: mark for column in columns if (mark := _separator(rows[column], asked))}
    few = [column for column in columns if few_values(rows[column]) or column in marks]
    flags = [column for column in few if are_flags(rows[column])]
    if flags and asked and asked.is_single and asked.agrees_with(flags) == 1:
        return _of_flags(rows, flags, asked=True)
    classes = [column for column in few if column not in flags or len(flags) == 1]
    own = [column for column in classes if column not in shared] or classes
    if not own and len(flags) > 1 and (asked is None or all(flag not in shared for flag in flags)):
        return _of_flags(rows, flags, asked=False)
    fits = {column: _fit(rows[column], marks.get(column, ""), asked) for column in own}
    left = [column for column in own if fits[column] >= 0]
    if not left and (number := _number(rows, columns, shared, asked)):
        return number
    if not (left or own):
        return None
    ranked = sorted(left or own, key=lambda column: (-fits[column], *_by_name(column, rows)))
    best = ranked[0]
    rivals = tuple(column for column in ranked[1:] if fits[column] == fits[best])
    if best in marks:
        return _of_sets(best, marks[best], rows[best], fits[best] == 1, rivals)
    return Target((best,), rivals, sure=fits[best] == 1)


def _fit(values: pd.Series[str], mark: str, asked: Asked | None) -> int:
    """Return how well the labels of a column agree with the sample: see `Asked.agrees_with`."""
    if asked is None:
        return 0
    cells = distinct(values)
    labels = dict.fromkeys(word for cell in cells for word in words_of(cell, mark)) if mark else cells
    return asked.agrees_with(list(labels))


def _number(
    rows: pd.DataFrame, columns: Sequence[str], shared: set[str], asked: Asked | None
) -> Target | Refusal | None:
    """Return the column of numbers that may be the target, where no column holds classes that fit."""
    compared = asked is not None and asked.compares_numbers
    found = [column for column in columns if column not in shared and are_numbers_or_empty(rows[column])]
    found = [column for column in found if compared or not few_values(rows[column])]
    if not found:
        return None
    says = asked is not None and asked.is_single and asked.holds_numbers()
    if holds_boxes(columns) or (asked and not says) or (len(found) > 1 and not compared):
        what = f"names images, but its other columns hold numbers with few repeats ({listing(found)})"
        return Refusal("regression", what, False)
    ranked = sorted(found, key=lambda column: _by_name(column, rows))
    why = f"the numbers in {ranked[0]!r} are taken for the target, which the sample submission does not name"
    return Target((ranked[0],), tuple(ranked[1:]), says and len(found) == 1, "regression", why=why)


def _by_name(column: str, rows: pd.DataFrame) -> tuple[int, int]:
    hints = [i for i, hint in enumerate(HINTS) if hint in column.lower()]
    return (hints[0] if hints else len(HINTS), rows[column].nunique())
