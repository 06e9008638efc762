"""`kagglekit look` for numbers and for ordered grades."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from kagglekit.eda.canvas import COLUMNS
from kagglekit.eda.plots import draw_counts, draw_numbers
from kagglekit.eda.target import Target, spread_over
from kagglekit.system.display.printable import printable
from kagglekit.tasks.ordinal import Ordinal
from kagglekit.tasks.regression import Regression
from kagglekit.types.records import read_record

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.eda.target import Draw, Sample
    from kagglekit.system.display.console import Display

ROWS = 2  # of samples for each target
MOST_TARGETS = 6  # in a grid of samples


class Numbers(Target[Regression]):
    """The numbers of images."""

    word: ClassVar[str] = "numbers"

    def show(self, display: Display) -> None:
        """Print how the numbers are distributed."""
        heads = ("target", "known", "min", "10 %", "median", "90 %", "max", "mean", "deviation")
        rows = []
        for name, values in self._by_target().items():
            quantiles = (f"{value:.4g}" for value in np.quantile(values, (0, 0.1, 0.5, 0.9, 1)))
            rows.append(
                (printable(name), f"{len(values):,}", *quantiles, f"{values.mean():.4g}", f"{values.std():.4g}")
            )
        display.table(heads, rows)
        if len(self.task.columns) > 1 and (pairs := self._correlated()):
            display.report(f"{self.prefix}correlation of targets, strongest first: {', '.join(pairs)}")

    def _by_target(self) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
        columns = self.truth.astype(np.float64).T
        return {name: of[~np.isnan(of)] for name, of in zip(self.task.columns, columns, strict=True)}

    def _correlated(self, most: int = 5) -> list[str]:
        found = []
        for i, first in enumerate(self.task.columns):
            for j in range(i):
                known = ~np.isnan(self.truth[:, [i, j]]).any(axis=1)
                a, b = self.truth[known, i], self.truth[known, j]
                if known.sum() > 2 and a.std() and b.std():
                    found.append((float(np.corrcoef(a, b)[0, 1]), f"{self.task.columns[j]} and {first}"))
        return [f"{printable(names)} {r:.2f}" for r, names in sorted(found, key=lambda pair: -abs(pair[0]))[:most]]

    def samples(self) -> list[Sample]:
        """Return images over the range of each target, from its lowest to its highest number."""
        chosen: list[Sample] = []
        for number, name in list(enumerate(self.task.columns))[:MOST_TARGETS]:
            values = self.truth[:, number]
            order = np.argsort(values, kind="stable")[: int((~np.isnan(values)).sum())]
            rows = order[spread_over(len(order), ROWS * COLUMNS)]
            start = f"{name} " if len(self.task.columns) > 1 else ""
            own = [(f"{start}{values[row]:.4g}", str(self.labelled["path"].iloc[row])) for row in rows]
            chosen += own + [("", "")] * (-len(own) % COLUMNS)
        return chosen

    def text(self, label: object) -> str:
        """Return an image's numbers."""
        record = read_record(str(label))
        values = [record.get(name, 0) for name in self.task.columns]
        return ", ".join("?" if value is None else f"{float(value):.4g}" for value in values)

    def drawings(self) -> dict[str, Draw]:
        """Return the histograms."""
        return {"numbers.png": partial(draw_numbers, self._by_target())}


class Grades(Target[Ordinal]):
    """The grades of images."""

    word: ClassVar[str] = "grades"
    heads: ClassVar[tuple[str, ...]] = ("grades", "rarest grade", "most frequent grade")

    def of_split(self, part: pd.DataFrame) -> tuple[object, ...]:
        """Return the number of grades, and of images of the rarest and most frequent one."""
        counts = part["label"].dropna().value_counts()
        return (len(counts), counts.min(), counts.max()) if len(counts) else (0, "", "")

    def show(self, display: Display) -> None:
        """Print the number of images of each grade, in their order."""
        parts = [f"{name}: {count:,}" for name, count in self._counts().items()]
        display.report(f"{self.prefix}labelled images of each grade: {', '.join(parts)}")

    def _counts(self) -> dict[str, int]:
        return {str(grade): int((self.truth[:, 0] == grade).sum()) for grade in self.task.grades}

    def samples(self) -> list[Sample]:
        """Return a row of images of each grade."""
        chosen: list[Sample] = []
        for grade in self.task.grades:
            rows = self.labelled[self.truth[:, 0] == grade]
            own = [(f"grade {grade}", str(path)) for path in rows["path"].iloc[spread_over(len(rows), COLUMNS)]]
            chosen += own + [("", "")] * (COLUMNS - len(own))
        return chosen

    def text(self, label: object) -> str:
        """Return an image's grade."""
        value = read_record(str(label)).get(self.task.columns[0], 0)
        return "?" if value is None else f"{float(value):g}"

    def drawings(self) -> dict[str, Draw]:
        """Return the plot of the number of images of each grade."""
        return {"grades.png": partial(draw_counts, self._counts(), what="grade", by_size=False)}
