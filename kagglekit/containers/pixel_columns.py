"""Find the columns of a table that are pixels."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

LEAST = 16  # columns or numbers of an image
_DIGITS = re.compile(r"\d+")


def pixel_columns(names: Sequence[str], row: Sequence[str]) -> list[int]:
    """Return the positions of the columns that hold an image's pixels; empty if there are none.

    They are the most columns whose names differ in numbers alone, such as ``pixel0``, ``pixel1`` or ``1x1``, ``1x2``.
    Else it is the one column that holds many numbers, separated by blanks.

    Args:
        names: The columns' names.
        row: The fields of one row, as text.
    """
    alike: defaultdict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        if _DIGITS.search(name):
            alike[_DIGITS.sub("0", name)].append(i)
    most = max(alike.values(), key=len, default=[])
    if len(most) >= LEAST and _are_numbers([row[i] for i in most if i < len(row)]):
        return most
    lists = [i for i, field in enumerate(row) if len(field.split()) >= LEAST and _are_numbers(field.split())]
    return lists if len(lists) == 1 else []


def _are_numbers(fields: Sequence[str]) -> bool:
    try:
        list(map(float, fields))
    except ValueError:
        return False
    return True
