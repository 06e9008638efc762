"""Recognise what the cells of a column hold: flags, numbers, few values, sets of labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FLAGS = {"0", "1", "0.0", "1.0"}
MARKS = ("|", ";", ",", " ")  # between the labels in a cell, the surest first
LEAST_ALONE = 0.5  # of the words of sets that are also whole cells
MOST_WORDS = 0.5  # distinct words for each distinct set, where words are no whole cells
LEAST_MOVING = 1 / 3  # of such words that stand in several places of their cells: a name's words stay in theirs
BOXES = re.compile(
    r"b(ound(ing)?)?_?box(es)?|encoded_?pixels|rle|segmentation|x_?(min|max)|[xy][12]|polygon|mask|area|iscrowd"
)


def distinct(values: pd.Series[str]) -> list[str]:
    """Return the values of a column that are not empty."""
    return [value for value in values.unique() if value.strip()]


def few_values(values: pd.Series[str]) -> bool:
    """Return whether a column has at least two values, each twice on average."""
    return 2 <= values[values != ""].nunique() <= max(2, len(values) // 2)


def are_flags(values: pd.Series[str]) -> bool:
    """Return whether a column holds 0 and 1."""
    return set(values) <= FLAGS


def are_flags_or_empty(values: pd.Series[str]) -> bool:
    """Return whether a column holds 0 and 1, and maybe cells without a value."""
    known = {value.strip() for value in values.unique()} - {""}
    return bool(known) and known <= FLAGS


def are_numbers(values: pd.Series[str]) -> bool:
    """Return whether a column holds numbers."""
    import pandas as pd

    return bool(pd.to_numeric(values, errors="coerce").notna().all())


def are_numbers_or_empty(values: pd.Series[str]) -> bool:
    """Return whether a column holds numbers, and maybe cells without a value, fewer than half."""
    known = values[values.str.strip() != ""]
    return 2 * len(known) > len(values) and are_numbers(known)


def are_grades(values: pd.Series[str]) -> bool:
    """Return whether a column holds the whole numbers from 0 on, without a gap."""
    known = distinct(values)
    return all(value.strip().isdigit() for value in known) and {int(value) for value in known} == set(range(len(known)))


def holds_boxes(columns: Iterable[str]) -> bool:
    """Return whether columns describe regions of images."""
    return any(BOXES.fullmatch(re.sub(r"\W+", "_", column).lower()) for column in columns)


def words_of(value: str, separator: str) -> list[str]:
    """Return the labels in a cell."""
    return [word.strip() for word in value.split(separator.strip() or None) if word.strip()]


def separator_of(values: Sequence[str]) -> str:
    """Return what separates the labels in cells that hold sets of them; empty if cells hold names.

    Sets consist of words that most often are whole cells, too; or that are few and stand now at the front of a cell,
    now behind another one.

    Args:
        values: The distinct cells.
    """
    return next((mark for mark in MARKS if _are_sets([words_of(value, mark) for value in values])), "")


def _are_sets(cells: Sequence[Sequence[str]]) -> bool:
    longer = [cell for cell in cells if len(cell) > 1]
    words = {word for cell in cells for word in cell}
    if not longer or len(words) >= len(cells) or any(len(set(cell)) < len(cell) for cell in longer):
        return False
    parts = {word for cell in longer for word in cell}
    alone = {cell[0] for cell in cells if len(cell) == 1}
    if len(parts & alone) >= LEAST_ALONE * len(parts):
        return True
    return len(words) <= MOST_WORDS * len(cells) and _moving(longer) >= LEAST_MOVING


def _moving(cells: Iterable[Sequence[str]]) -> float:
    """Return the share of the words in several cells that stand at the front of one, and further back in another."""
    cells = list(cells)
    often = {word for word, n in Counter(word for cell in cells for word in cell).items() if n > 1}
    front, back = {cell[0] for cell in cells}, {word for cell in cells for word in cell[1:]}
    return len(often & front & back) / len(often) if often else 0.0
