"""Labels of several targets as text: a JSON object a row, so that they travel like the names of classes.

A target that is 0 is left out, an unknown one is null: ``{"rust": 1}``, ``{"weight": 12.5, "height": null}``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Value = float | str | None


def write_record(values: Mapping[str, Value]) -> str:
    """Return the text of one row's targets; nan is unknown."""
    kept = {name: _plain(value) for name, value in values.items() if value != 0}
    return json.dumps(kept, ensure_ascii=False, sort_keys=True)


def read_record(text: str) -> dict[str, Value]:
    """Return the targets in the text of a row, without those that are 0.

    Raises:
        ValueError: The text is no JSON object.
    """
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError(f"{text!r} is no JSON object")
    return record


def numbers_of(texts: Iterable[str], columns: Sequence[str]) -> NDArray[np.float32]:
    """Return the targets (N, C) float32 of N rows in the order of `columns`; nan where unknown.

    Raises:
        ValueError: A row has another target, or one that is no number.
    """
    rows = list(texts)
    places = {name: place for place, name in enumerate(columns)}
    table = np.zeros((len(rows), len(columns)), dtype=np.float32)
    for row, text in enumerate(rows):
        for name, value in read_record(text).items():
            if name not in places or isinstance(value, str):
                raise ValueError(f"{text!r} has {name!r}, which is none of the numbers {', '.join(columns)}")
            table[row, places[name]] = math.nan if value is None else value
    return table


def _plain(value: Value) -> Value:
    if isinstance(value, str) or value is None:
        return value
    number = float(value)
    if math.isnan(number):
        return None
    return int(number) if number.is_integer() else number
