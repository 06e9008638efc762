"""The targets of an image table as `kagglekit look` shows them; this is the part that all kinds have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from kagglekit.eda.canvas import COLUMNS
from kagglekit.tasks.task import Task

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit.system.display.console import Display

    Sample = tuple[str, str]  # text and path
    Draw = Callable[[Path], None]

T = TypeVar("T", bound=Task)


@dataclass(frozen=True)
class Target(Generic[T]):
    """What is predicted, in an image table.

    Attributes:
        task: What is predicted.
        table: The image table.
        name: Of the target, if there are several.
        word: For what two images differ in.
        heads: Headings of `of_split`.
    """

    task: T
    table: pd.DataFrame
    name: str = ""

    word: ClassVar[str] = "labels"
    heads: ClassVar[tuple[str, ...]] = ()

    @cached_property
    def labelled(self) -> pd.DataFrame:
        """The rows of the train and valid images that have a label."""
        return self.table[(self.table["split"] != "test") & self.table["label"].notna()]

    @cached_property
    def truth(self) -> NDArray[Any]:
        """(N,) or (N, C) the truth of the labelled images, see `Task`."""
        return self.task.encode(self.labelled["label"].tolist())

    def of_split(self, part: pd.DataFrame) -> tuple[object, ...]:
        """Return further cells of the table of splits, for the images of one."""
        return ()

    def show(self, display: Display) -> None:
        """Print what the labelled images have."""

    def samples(self) -> list[Sample]:
        """Return images that show what there is, each with its text."""
        rows = self.labelled.iloc[spread_over(len(self.labelled), 4 * COLUMNS)]
        return [(self.text(row.label), str(row.path)) for row in rows.itertuples()]

    def text(self, label: object) -> str:
        """Return the label of an image, for people."""
        return str(label)

    def drawings(self) -> dict[str, Draw]:
        """Return what draws a file, by its name."""
        return {}

    @property
    def prefix(self) -> str:
        """Of the names of files and of lines: the target's name, if there are several."""
        return f"{self.name}: " if self.name else ""


def spread_over(n: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` of the numbers below `n`, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)) if n else np.zeros(0, np.int64)


def shortened_list(parts: Sequence[str]) -> str:
    """Join texts; of many, the first and the last five."""
    return ", ".join(parts if len(parts) <= 10 else [*parts[:5], "...", *parts[-5:]])
