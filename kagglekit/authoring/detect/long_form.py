"""Recognise tables with a row for each image and target, and bring them into the form of a row an image."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagglekit.data.listing import stem_of

if TYPE_CHECKING:
    import pandas as pd

PROBED = 1000  # ids that are taken apart first
MOST_TARGETS = 100
MOST_CONTRADICTED = 0.02  # of the images and targets may have rows with different values: a plugin names them
_MARK = re.compile(r"[_.\-/:| ]+")


@dataclass(frozen=True)
class LongForm:
    """A table with a row for each image and target.

    Attributes:
        id_column: Name of the column of images, or of images and targets.
        value_column: Name of the column of values.
        targets: The names of the targets.
        separator: Between image and target in an id; empty if `target_column` has the targets.
        target_column: Name of the column of targets; empty if the ids end with them.
    """

    id_column: str
    value_column: str
    targets: tuple[str, ...]
    separator: str = ""
    target_column: str = ""


def take_apart(ids: pd.Series[str], stems: set[str]) -> tuple[str, tuple[str, ...]] | None:
    """Find the separator and the targets of ids that consist of an image and a target.

    Args:
        ids: All ids.
        stems: The images' names without suffix.

    Returns:
        None if the ids are of another form, or if they number pixels.
    """
    first, rest = list(ids[:PROBED]), list(ids[PROBED:])
    some = [*first, *random.Random(0).sample(rest, min(PROBED, len(rest)))]
    parts = [_parts(each, stems) for each in some]
    marks = {mark for mark, _ in parts}
    targets = tuple(dict.fromkeys(target for _, target in parts))
    if len(marks) != 1 or "" in marks or not 0 < len(targets) <= MOST_TARGETS:
        return None
    if not all(any(letter.isalpha() for letter in target) for target in targets):
        return None
    separator = marks.pop()
    found = parts_of(ids, separator, targets)
    if found.isna().any(axis=None) or len(found) != found[0].nunique() * len(targets):
        return None
    return separator, targets


def _parts(image_and_target: str, stems: set[str]) -> tuple[str, str]:
    """Return separator and target of an id, whose image is the longest one that fits; empty ones if none does."""
    marks = reversed(list(_MARK.finditer(image_and_target)))
    ends = (match for match in marks if stem_of(image_and_target[: match.start()]) in stems)
    found = next(ends, None)
    return (found.group(), image_and_target[found.end() :]) if found else ("", "")


def parts_of(ids: pd.Series[str], separator: str, targets: Sequence[str]) -> pd.DataFrame:
    """Return image and target of ids as the columns 0 and 1, nan where an id has another form."""
    known = "|".join(map(re.escape, targets))
    return ids.str.extract(f"^(.+?){re.escape(separator)}({known})$")


def wide_sample(rows: pd.DataFrame, stems: set[str]) -> tuple[pd.DataFrame, LongForm] | None:
    """Return a sample submission with a row for each target as one with a row an image and a column a target."""
    if len(rows.columns) != 2:
        return None
    ids, values = map(str, rows.columns)
    apart = take_apart(rows[ids], stems)
    if apart is None:
        return None
    separator, targets = apart
    form = LongForm(ids, values, targets, separator)
    return _wide(parts_of(rows[ids], separator, targets), rows, form), form


def wide_table(rows: pd.DataFrame, targets: Sequence[str], value: str) -> tuple[pd.DataFrame, LongForm] | None:
    """Return a table with a row for each image and target as one with a row an image and a column a target.

    Args:
        rows: The table, all cells as text.
        targets: The targets that the sample submission names.
        value: Name of the sample's column of values; empty if it has a column a target.

    Returns:
        None if the table has another form.
    """
    columns = [str(name) for name in rows.columns]
    return next((found for name in columns for found in _readings(rows, name, columns, targets, value)), None)


def _readings(
    rows: pd.DataFrame, name: str, columns: Sequence[str], targets: Sequence[str], value: str
) -> Iterator[tuple[pd.DataFrame, LongForm]]:
    """Yield the table in its wide form, if the column of this name holds the targets, or ends with them."""
    if separator := _separator_before(rows[name], targets):
        parts = parts_of(rows[name], separator, targets)
        if numbers := _value_column(rows, parts, [each for each in columns if each != name], value):
            form = LongForm(name, numbers, tuple(targets), separator)
            yield _wide(parts, rows, form), form
    elif set(targets) <= set(rows[name].unique()) and len(rows) >= 2 * rows[name].nunique():
        for image in columns:
            if image == name or not 1 < rows[image].nunique() < len(rows):
                continue
            parts = rows[[image, name]].set_axis([0, 1], axis=1)
            parts = parts[parts[1].isin(targets)]
            if parts.drop_duplicates().duplicated(0).mean() and (
                numbers := _value_column(rows, parts, [c for c in columns if c not in (image, name)], value)
            ):
                form = LongForm(image, numbers, tuple(targets), target_column=name)
                yield _wide(parts, rows, form), form


def _separator_before(values: pd.Series[str], targets: Sequence[str]) -> str:
    """Return what stands between images and targets in the values of a column; empty if they have another form."""
    some = values.iloc[:: -(-len(values) // PROBED)]
    known = "|".join(map(re.escape, sorted(targets, key=len, reverse=True)))
    found = some.str.extract(rf"^.+?({_MARK.pattern})(?:{known})$", expand=False)
    marks = set(found)
    if found.isna().any() or len(marks) != 1:
        return ""
    mark = str(marks.pop())
    return "" if parts_of(values, mark, targets).isna().any(axis=None) else mark


def _value_column(rows: pd.DataFrame, parts: pd.DataFrame, columns: Iterable[str], value: str) -> str:
    """Return the column of numbers with the name of the sample's, else the only one that varies.

    It must vary within an image and within a target: a number of each class is another name for it. For an image and a
    target together it has one value, but for a few contradictions.
    """
    import pandas as pd

    known = rows.loc[parts.index]
    numbers = [name for name in columns if pd.to_numeric(known[name], errors="coerce").notna().mean() > 0.5]
    pairs = [parts[0], parts[1]]
    numbers = [name for name in numbers if (known[name].groupby(pairs).nunique() > 1).mean() <= MOST_CONTRADICTED]
    varying = [n for n in numbers if all((known[n].groupby(parts[by]).nunique() > 1).any() for by in (0, 1))]
    if value in numbers:
        return value
    return varying[0] if len(varying) == 1 else ""


def _wide(parts: pd.DataFrame, rows: pd.DataFrame, form: LongForm) -> pd.DataFrame:
    """Return a row an image: its id, the columns that do not vary within an image, and a column a target."""
    images, targets = parts[0], parts[1]
    known = rows.loc[parts.index]
    others = [name for name in map(str, rows.columns) if name not in (form.id_column, form.value_column, *form.targets)]
    constant = [name for name in others if (known[name].groupby(images).nunique() == 1).all()]
    order = images.drop_duplicates()
    once = known.loc[order.index, constant].set_axis(order.to_numpy(), axis=0)
    values = known[form.value_column].groupby([images, targets]).first().unstack()
    wide = once.join(values.reindex(columns=list(form.targets)).fillna(""))
    wide.insert(0, form.id_column, wide.index)
    return wide.reset_index(drop=True)
