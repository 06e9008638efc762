"""Propose a column of groups: patients, drivers, places, whose images must not be in train and in valid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagglekit.data.splits import split_off
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_WHO = (
    "patient subject person driver individual user owner donor animal specimen case lesion eye study experiment plate "
    "slide plot field farm hospital center centre scanner camera cam location place trap scene sequence seq session "
    "burst video clip group"
)
NAMED = re.compile(rf"(\w+_)?({'|'.join(_WHO.split())})s?(_?(id|name|no|num|number|code|key|uid))?|site(_?(id|name))?")
PAIRED = r"^(.+)[_-](?:left|right|l|r|os|od)$"  # two eyes, hands, sides of one person
LEAST_PAIRED = 0.9  # of the ids that are named so
LEAST_GROUPS = 5  # of a column that only its name makes one of groups
LEAST_APART = 3  # of a column whose values the test images do not share
MOST_SHARE = 0.8  # distinct values for each row: else hardly any image shares its group
VALID = 0.2  # share of the images that must be possible to hold out


@dataclass(frozen=True)
class Group:
    """A column of groups.

    Attributes:
        column: Its name; the ids' column if there is a `pattern`.
        why: Why its values look like groups, as a sentence.
        pattern: A regular expression whose first group, searched in the ids, is the name of the group; empty if the
            whole value is.
    """

    column: str
    why: str
    pattern: str = ""


def find_group(
    rows: pd.DataFrame, labels: pd.Series[str], columns: Sequence[str], test: pd.DataFrame | None
) -> Group | None:
    """Find the column whose groups should stay together.

    Args:
        rows: The labelled images, a row each.
        labels: Their classes.
        columns: The columns to choose from.
        test: The test images' rows, which may have the same columns.

    Returns:
        None if no column has groups, or if none can be held out.
    """
    found = [(column, _apart(rows[column], column, test)) for column in columns if _repeats(rows[column])]
    fitting = [(c, apart) for c, apart in found if apart or (_is_named(c) and rows[c].nunique() >= LEAST_GROUPS)]
    for column, apart in sorted(
        fitting, key=lambda each: (not each[1], not _is_named(each[0]), rows[each[0]].nunique())
    ):
        if _can_be_held_out(rows[column], labels):
            return Group(column, _why(rows[column], column, apart))
    return None


def paired_ids(ids: pd.Series[str], labels: pd.Series[str], column: str) -> Group | None:
    """Return the groups of ids that end in left or right: ``10_left``, ``10_right``."""
    who = ids.str.extract(PAIRED, flags=re.IGNORECASE, expand=False).fillna("")
    if (who != "").mean() < LEAST_PAIRED or not who.duplicated().any() or not _can_be_held_out(who, labels):
        return None
    return Group(column, f"{len(ids):,} ids end in left or right: {who.nunique():,} pairs", PAIRED)


def _is_named(column: str) -> bool:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|\W+", "_", column).lower()
    return NAMED.fullmatch(snake) is not None


def _repeats(values: pd.Series[str]) -> bool:
    known = values[values.str.strip() != ""]
    return 2 <= known.nunique() <= MOST_SHARE * len(known)


def _apart(values: pd.Series[str], column: str, test: pd.DataFrame | None) -> bool:
    """Return whether the test images have other values of the column."""
    if test is None or column not in test:
        return False
    theirs, ours = set(test[column]) - {""}, set(values) - {""}
    return len(theirs) > 1 and len(ours) >= LEAST_APART and not theirs & ours


def _can_be_held_out(groups: pd.Series[str], labels: pd.Series[str]) -> bool:
    import pandas as pd

    ids = [str(number) for number in range(len(labels))]
    columns = {"id": ids, "label": labels.to_numpy(), "group": groups.to_numpy(), "split": "train"}
    try:
        split_off(pd.DataFrame(columns, dtype=object), "valid", VALID, 0)
    except UserError:
        return False
    return True


def _why(values: pd.Series[str], column: str, apart: bool) -> str:
    n = values.nunique()
    what = f"{len(values):,} labelled images have {n:,} values of {column!r}"
    return f"{what}, none of which a test image has" if apart else f"{what}, whose name suggests groups"
