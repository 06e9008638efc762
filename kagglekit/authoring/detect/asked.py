"""Compare names of classes with what the sample submission asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.long_form import LongForm
from kagglekit.types.metric import needs

if TYPE_CHECKING:
    import pandas as pd

_NUMBER = re.compile(r"[-+]?\d*\.?\d+(e[-+]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """The sample submission, as far as it says what is to be predicted.

    Attributes:
        file: Its file.
        rows: Its rows, all as text; a row an image.
        metric: The competition's; empty if it is unknown.
        long: How its ids name images and targets, if it has a row for each target; None if it has a row an image.
    """

    file: Path
    rows: pd.DataFrame
    metric: str = ""
    long: LongForm | None = None

    @property
    def compares_numbers(self) -> bool:
        """The competition's metric compares numbers."""
        return needs(self.metric) == "numbers"

    @property
    def ids(self) -> list[str]:
        """The ids, in order."""
        return list(self.rows.iloc[:, 0])

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns after the ids."""
        return tuple(map(str, self.rows.columns[1:]))

    @property
    def values(self) -> tuple[str, ...]:
        """The distinct values of the only column that are not empty; none if there are several columns."""
        return tuple(value for value in self.rows.iloc[:, 1].unique() if value.strip()) if self.is_single else ()

    @property
    def is_single(self) -> bool:
        """There is one column after the ids."""
        return len(self.columns) == 1

    def holds_numbers(self) -> bool:
        """Return whether the only column holds numbers, or nothing."""
        return all(_NUMBER.fullmatch(value.strip()) for value in self.values)

    def holds_fractions(self) -> bool:
        """Return whether a column holds a number that is not whole."""
        cells = {value.strip() for column in self.rows.columns[1:] for value in self.rows[column].unique()}
        return any(_NUMBER.fullmatch(cell) and not float(cell).is_integer() for cell in cells)

    def is_of_fractions(self) -> bool:
        """Return whether the only column holds numbers, some of them not whole."""
        numbers = [float(value) for value in self.values if _NUMBER.fullmatch(value.strip())]
        return bool(numbers) and len(numbers) == len(self.values) and not all(n.is_integer() for n in numbers)

    def is_beyond_one(self) -> bool:
        """Return whether the only column holds numbers that are no probabilities."""
        numbers = [float(value) for value in self.values if _NUMBER.fullmatch(value.strip())]
        return any(not 0 <= number <= 1 for number in numbers)

    def is_placeholder(self) -> bool:
        """Return whether the only column holds one word that may stand for any class: ``predict``, ``?``."""
        return len(self.values) == 1 and (self.values[0].strip().isalpha() or not plain(self.values[0]))

    def names_words_of(self, classes: Iterable[str]) -> bool:
        """Return whether its values are parts of classes that hold several words: sets of labels."""
        names = list(classes)
        parts = {plain(word) for name in names for word in re.split(r"[\s,|;]+", name)}
        words = {plain(word) for value in self.values for word in value.split()}
        return bool(words) and words <= parts and not words <= {plain(name) for name in names}

    def agrees_with(self, classes: Iterable[str]) -> int:
        """Return 1 if the sample names these classes, -1 if it contradicts them, 0 if it says neither."""
        names = {plain(name) for name in classes}
        return self._of_columns(names) if not self.is_single else self._of_values(names)

    def _of_columns(self, names: set[str]) -> int:
        wanted = {plain(column) for column in self.columns}
        if names and 2 * len(wanted & names) >= len(wanted):
            return 1
        return 0 if len(wanted) == len(names) and not wanted & names else -1

    def _of_values(self, names: set[str]) -> int:
        values = [value for value in self.values if plain(value)]
        if not values:
            return 0
        numeric = all(_NUMBER.fullmatch(value.strip()) for value in values)
        if all(plain(value) in names or {plain(word) for word in value.split()} <= names for value in values):
            return 0 if numeric and len(values) == 1 else 1  # a single number may be a placeholder
        if not numeric:
            return -1
        if self.is_of_fractions():
            return 0 if len(names) == 2 and not self.is_beyond_one() else -1
        return 0 if len(names) == 2 or all(name.isdigit() for name in names) else -1


def plain(name: str) -> str:
    """Return a name without case, blanks and punctuation: classes are spelt in several ways."""
    return re.sub(r"[\W_]+", "", name).lower()
