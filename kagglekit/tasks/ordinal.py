"""Ordered grades, learnt as a number that cuts turn into grades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from kagglekit.system.errors import UserError, listing
from kagglekit.tasks.reading import as_number, records_of
from kagglekit.tasks.regression import Regression
from kagglekit.types.records import write_record

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit.types.competition import Competition


@dataclass(frozen=True)
class Ordinal(Regression):
    """Grades from `bounds[0]` to `bounds[1]`, predicted as one number."""

    kind: ClassVar[str] = "ordinal"
    scores: ClassVar[tuple[str, ...]] = ("rmse", "accuracy", "quadratic_kappa")

    @classmethod
    def read(cls, table: pd.DataFrame, competition: Competition) -> list[str | None]:
        """Return records of the one column of `Competition.targets`, or of the column ``label``."""
        if len(competition.targets) > 1:
            raise UserError(
                f"an ordinal task has one target, not {listing(competition.targets)}", "use the task several"
            )
        return records_of(table, competition.targets or ("label",), _as_grade, "whole numbers from 0")

    @classmethod
    def fit(cls, labels: Sequence[str], competition: Competition) -> Self:
        """Return the task of these grades; the highest one is that of `Competition.bounds` or of the labels."""
        found = Regression.fit(labels, competition)
        highest = float(np.nanmax(found.encode(labels)))
        lowest = float(np.nanmin(found.encode(labels)))
        low, high = competition.bounds
        bounds = (low if low is not None else lowest, high if high is not None else highest)
        return cls(found.columns, found.mean, found.std, bounds)

    @classmethod
    def examples(cls, n: int, competition: Competition) -> list[str]:
        """Return grades in turn."""
        high = competition.bounds[1] or 4.0
        name = competition.targets[0] if competition.targets else "label"
        return [write_record({name: i % (int(high) + 1)}) for i in range(n)]

    @property
    def grades(self) -> NDArray[np.int64]:
        """All grades, ascending."""
        low, high = self.bounds
        return np.arange(int(low or 0), int(high or 0) + 1)

    def describe(self) -> str:
        """Return ``5 grades``."""
        return f"{len(self.grades)} grades"

    def strata(self, truth: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return (N,) the grades."""
        return np.unique(np.nan_to_num(truth[:, 0]), return_inverse=True)[1].astype(np.int64)

    def most_probable(self, values: NDArray[np.float32]) -> list[str]:
        """Return the nearest grades."""
        low, high = self.grades[[0, -1]]
        return super().most_probable(values.round().clip(low, high))

    def cells(self, predictions: pd.DataFrame, separator: str) -> list[Any] | None:
        """Return the grade."""
        low, high = self.grades[[0, -1]]
        return predictions.iloc[:, 0].round().clip(low, high).astype("int64").tolist()

    def decision(self, needs: str) -> str:
        """Return cuts, unless the metric is known to be computed from numbers."""
        return "none" if needs == "numbers" else "cuts"


def _as_grade(value: object) -> float:
    number = as_number(value)
    if number < 0 or not number.is_integer():
        raise ValueError(f"{value!r} is no grade")
    return number
