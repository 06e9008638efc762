"""`kagglekit look` for one class an image."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from kagglekit.eda.plots import draw_counts
from kagglekit.eda.target import Target, shortened_list
from kagglekit.system.display.printable import printable
from kagglekit.tasks.single_label import SingleLabel

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.eda.target import Draw, Sample
    from kagglekit.system.display.console import Display

MOST_CLASSES = 200  # in a grid of samples


class Classes(Target[SingleLabel]):
    """The classes of images."""

    word: ClassVar[str] = "classes"
    heads: ClassVar[tuple[str, ...]] = ("classes", "smallest class", "largest class")

    def of_split(self, part: pd.DataFrame) -> tuple[object, ...]:
        """Return the number of classes, and of images in the smallest and largest one."""
        counts = part["label"].value_counts()
        return (len(counts), *((counts.min(), counts.max()) if len(counts) else ("", "")))

    def show(self, display: Display) -> None:
        """Print the number of labelled images of each class, rarest first; leave out the middle if there are many."""
        counts = self.labelled["label"].value_counts().sort_index().sort_values(kind="stable")
        parts = [f"{printable(str(label))} {count:,}" for label, count in counts.items()]
        display.report(f"{self.prefix}labelled images of each class, rarest first: {shortened_list(parts)}")

    def samples(self) -> list[Sample]:
        """Choose images of each class, spread over its rows; fewer of many classes, and of some of very many."""
        classes = sorted(self.labelled["label"].unique())
        each = 8 if len(classes) <= 12 else 4 if len(classes) <= 50 else 2
        shown = {classes[i] for i in np.linspace(0, len(classes) - 1, min(len(classes), MOST_CLASSES)).astype(int)}
        chosen: list[Sample] = []
        for label, rows in self.labelled[self.labelled["label"].isin(shown)].groupby("label"):
            paths = rows["path"].iloc[np.linspace(0, len(rows) - 1, each).astype(int)]
            chosen += [(str(label), str(path)) for path in paths]
        return chosen

    def drawings(self) -> dict[str, Draw]:
        """Return the plot of the number of images of each class."""
        counts = {str(name): int(n) for name, n in self.labelled["label"].value_counts().items()}
        return {"classes.png": partial(draw_counts, counts)}
