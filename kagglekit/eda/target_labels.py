"""`kagglekit look` for several labels an image."""

from __future__ import annotations

from collections import Counter
from functools import cached_property, partial
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from kagglekit.eda.canvas import COLUMNS
from kagglekit.eda.plots import draw_counts, draw_together
from kagglekit.eda.target import Target, shortened_list, spread_over
from kagglekit.system.display.printable import printable
from kagglekit.tasks.multi_label import MultiLabel
from kagglekit.types.records import read_record

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit.eda.target import Draw, Sample
    from kagglekit.system.display.console import Display

MOST_LABELS = 50  # in a grid of samples, and in the plot of pairs
PAIRS = 8


class Labels(Target[MultiLabel]):
    """The labels of images."""

    heads: ClassVar[tuple[str, ...]] = ("labels", "rarest label", "most frequent label", "labels an image")

    def of_split(self, part: pd.DataFrame) -> tuple[object, ...]:
        """Return the number of labels, of images with the rarest and the most frequent one, and their mean number."""
        labels = part["label"].dropna()
        counts = Counter(name for label in labels for name, value in read_record(label).items() if value == 1)
        if not counts:
            return (0, "", "", "")
        return (len(counts), min(counts.values()), max(counts.values()), f"{counts.total() / len(labels):.2f}")

    @cached_property
    def together(self) -> NDArray[np.int64]:
        """(C, C) number of images that have both labels; on the diagonal, that have the label."""
        has = (self.truth == 1).astype(np.int64)
        return np.asarray(has.T @ has, dtype=np.int64)

    def show(self, display: Display) -> None:
        """Print the number of images with each label, of labels an image, and the most frequent pairs."""
        names, counts, n = self.task.columns, self.together.diagonal(), len(self.truth)
        order = sorted(range(len(names)), key=lambda number: (counts[number], names[number]))
        parts = [f"{printable(names[number])} {counts[number]:,}" for number in order]
        display.report(f"{self.prefix}labelled images with each label, rarest first: {shortened_list(parts)}")
        if len(names) > 1:
            sizes = np.bincount((self.truth == 1).sum(axis=1).astype(np.int64))
            shown = ", ".join(f"{size}: {count:,}" for size, count in enumerate(sizes) if count)
            display.report(f"{self.prefix}images by their number of labels: {shown}")
        if unknown := int(np.isnan(self.truth).sum()):
            display.report(f"{self.prefix}unknown labels: {unknown:,} of {self.truth.size:,}")
        if pairs := self._pairs():
            display.report(f"{self.prefix}labels that occur together most often, of {n:,} images: {', '.join(pairs)}")

    def _pairs(self) -> list[str]:
        names, both = self.task.columns, self.together
        found = [(-int(both[i, j]), i, j) for i, j in combinations(range(len(names)), 2) if both[i, j]]
        return [f"{printable(names[i])} + {printable(names[j])} {-count:,}" for count, i, j in sorted(found)[:PAIRS]]

    def samples(self) -> list[Sample]:
        """Return a row of images with each label, spread over the table; of many labels, those of some."""
        chosen: list[Sample] = []
        shown = spread_over(len(self.task.columns), MOST_LABELS)
        each = COLUMNS if len(shown) <= 12 else COLUMNS // 2
        for number in shown:
            rows = self.labelled[self.truth[:, number] == 1]
            picked = rows.iloc[spread_over(len(rows), each)]
            own = [(self.text(row.label), str(row.path)) for row in picked.itertuples()]
            chosen += own + [("", "")] * (each - len(own))
        return chosen

    def text(self, label: object) -> str:
        """Return the names of an image's labels."""
        return ", ".join(name for name, value in read_record(str(label)).items() if value == 1) or "no label"

    def drawings(self) -> dict[str, Draw]:
        """Return the plots of the number of images with each label, and with each two of the most frequent ones."""
        counts = self.together.diagonal()
        by_name = {name: int(count) for name, count in zip(self.task.columns, counts, strict=True)}
        most = np.sort(np.argsort(-counts, kind="stable")[:MOST_LABELS])
        names = [self.task.columns[number] for number in most]
        together = {"labels-together.png": partial(draw_together, self.together[np.ix_(most, most)], names)}
        return {"labels.png": partial(draw_counts, by_name, what="label"), **(together if len(names) > 1 else {})}
