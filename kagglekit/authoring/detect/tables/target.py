"""What a table predicts, and why a table is of no use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Task = Literal["single-label", "multi-label", "regression", "ordinal", "several"]


@dataclass(frozen=True)
class Target:
    """The labels of a table.

    Attributes:
        columns: The column of labels; or those of 0 and 1, of which each row has one 1; or those of the targets.
        rivals: Other columns that could be meant.
        sure: The sample submission names the column or its values.
        task: What is predicted.
        separator: Between the labels in a cell; empty if a cell holds one.
        several: An image may have several rows.
        kinds: With the task ``several``: the task of each column.
        why: Why it is this task, as a sentence for people; empty if nothing is doubtful.
    """

    columns: tuple[str, ...]
    rivals: tuple[str, ...] = ()
    sure: bool = False
    task: Task = "single-label"
    separator: str = ""
    several: bool = False
    kinds: Mapping[str, Task] = field(default_factory=dict)
    why: str = ""

    @property
    def is_hot(self) -> bool:
        """Each row has a single 1 in one of several columns."""
        return self.task == "single-label" and len(self.columns) > 1

    @property
    def is_sets(self) -> bool:
        """The labels of an image are a set of names, in a cell or in several rows."""
        return bool(self.separator) or self.several

    @property
    def has_columns(self) -> bool:
        """Each target has a column of its own, which stays one: the image table has no column ``label``."""
        return self.task == "several" or (self.task == "multi-label" and not self.is_sets) or len(self.numbers) > 1

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns of numbers to predict."""
        return self.columns if self.task == "regression" else ()


ONE_CLASS = Target(("label",))
"""One of several classes, where no table says otherwise."""


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
