"""Find the column that holds the labels: by the sample submission, else by its values and its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.asked import Asked, plain
from kagglekit.system.errors import listing

if TYPE_CHECKING:
    import pandas as pd

HINTS = ("label", "class", "category", "species", "target", "breed", "diagnosis", "type", "kind", "variety", "name")
FLAGS = {"0", "1", "0.0", "1.0"}


@dataclass(frozen=True)
class Target:
    """The labels of a table.

    Attributes:
        columns: The column of labels; or those of 0 and 1, of which each row has one 1.
        rivals: Other columns that could be meant.
        sure: The sample submission names the column or its values.
    """

    columns: tuple[str, ...]
    rivals: tuple[str, ...] = ()
    sure: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why a table that names images is of no use.

    Attributes:
        kind: The task that it is for.
        what: The reason, as the end of a sentence that begins with the table's name.
        asked: The sample submission asks for just this.
    """

    kind: str
    what: str
    asked: bool


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
    named = [column for column in asked.columns if column in columns]
    if len(named) < len(asked.columns):
        return None
    if all(_is_flag(rows[column]) for column in named):
        return _one_hot(rows, named, asked=True)
    if all(_is_numeric(rows[column]) for column in named):
        return Refusal("regression", f"has numbers in {listing(named)}, which the sample submission asks for", True)
    return Refusal("several targets", f"has several targets, {listing(named)}, which the sample asks for", True)


def _named_by_values(rows: pd.DataFrame, columns: Sequence[str], asked: Asked) -> Target | None:
    """Return the column with most of the sample's columns as values."""
    wanted = {plain(column) for column in asked.columns}
    hits = {column: len(wanted & {plain(value) for value in rows[column].unique()}) for column in columns}
    best = max(hits, key=lambda column: hits[column], default="")
    return Target((best,), sure=True) if best and 2 * hits[best] >= len(wanted) else None


def _one_hot(rows: pd.DataFrame, columns: Sequence[str], asked: bool) -> Target | Refusal:
    ones = rows[list(columns)].isin(["1", "1.0"]).sum(axis=1)
    if (ones == 1).all():
        return Target(tuple(columns), sure=asked)
    counts = f"{(ones > 1).sum():,} rows have several, {(ones == 0).sum():,} none"
    what = f"has a column of 0 and 1 for each of several labels ({listing(columns)}): {counts}"
    return Refusal("multi-label", what, asked)


def _of_same_name(rows: pd.DataFrame, column: str, asked: Asked) -> Target | Refusal:
    """Return the column that has the name of the sample's only column."""
    values, repeated = _distinct(rows[column]), rows[column].duplicated().any()
    numeric = _is_numeric(rows[column])
    if numeric and (not few_values(rows[column]) or (len(values) > 2 and asked.is_of_fractions())):
        return Refusal("regression", f"has numbers in {column!r}, which the sample submission asks for", True)
    sets = asked.names_words_of(values) or (_holds_sets(values) and not few_values(rows[column]))
    if len(values) < 2 or not repeated or sets:
        what = f"has sets of labels in {column!r}" if sets else f"has no classes in {column!r}"
        return Refusal("multi-label", f"{what}: {listing(values, 3)}", True)
    return Target((column,), sure=True)


def _likeliest(
    rows: pd.DataFrame, columns: Sequence[str], shared: set[str], asked: Asked | None
) -> Target | Refusal | None:
    few = [column for column in columns if few_values(rows[column])]
    flags = [column for column in few if _is_flag(rows[column])]
    if flags and asked and asked.is_single and asked.agrees_with(flags) == 1:
        return _one_hot(rows, flags, asked=True)
    classes = [column for column in few if column not in flags or len(flags) == 1]
    own = [column for column in classes if column not in shared] or classes
    if not own and len(flags) > 1:
        return _one_hot(rows, flags, asked=False)
    fits = {column: asked.agrees_with(_distinct(rows[column])) if asked else 0 for column in own}
    left = [column for column in own if fits[column] >= 0] or own
    if not left:
        numbers = [column for column in columns if column not in shared and _is_numeric(rows[column])]
        what = (
            f"names images, but its other columns hold numbers with few repeats ({listing(numbers)}): a regression task"
        )
        return Refusal("regression", what, False) if numbers else None
    ranked = sorted(left, key=lambda column: (-fits[column], *_by_name(column, rows)))
    best = ranked[0]
    if asked and asked.names_words_of(_distinct(rows[best])):
        return Refusal("multi-label", f"has sets of labels in {best!r}: {listing(_distinct(rows[best]), 3)}", True)
    rivals = [column for column in ranked[1:] if fits[column] == fits[best]]
    return Target((best,), tuple(rivals), sure=fits[best] == 1)


def _by_name(column: str, rows: pd.DataFrame) -> tuple[int, int]:
    hints = [i for i, hint in enumerate(HINTS) if hint in column.lower()]
    return (hints[0] if hints else len(HINTS), rows[column].nunique())


def _distinct(values: pd.Series[str]) -> list[str]:
    return [value for value in values.unique() if value.strip()]


def _holds_sets(values: Sequence[str]) -> bool:
    """Return whether values consist of words that recur in other values: sets of labels, not names with blanks."""
    words = [value.replace(",", " ").replace("|", " ").replace(";", " ").split() for value in values]
    return any(len(each) > 1 for each in words) and len({word for each in words for word in each}) < len(values)


def few_values(values: pd.Series[str]) -> bool:
    """Return whether a column has at least two values, each twice on average."""
    return 2 <= values[values != ""].nunique() <= max(2, len(values) // 2)


def _is_flag(values: pd.Series[str]) -> bool:
    return set(values) <= FLAGS


def _is_numeric(values: pd.Series[str]) -> bool:
    import pandas as pd

    return bool(pd.to_numeric(values, errors="coerce").notna().all())
