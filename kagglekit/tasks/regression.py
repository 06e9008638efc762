"""One or several numbers an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from kagglekit.system.errors import NotForTask, UserError, listing
from kagglekit.tasks.reading import as_number, records_of
from kagglekit.tasks.ridge_regression import fit_ridge_head
from kagglekit.tasks.task import FittedHead, Task
from kagglekit.types.predictions import refuse_rows
from kagglekit.types.records import numbers_of, write_record

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from kagglekit.types.competition import Competition, RowRule

    Truth = NDArray[np.float32]
    Bounds = tuple[float | None, float | None]

MOST_STRATA = 10
LEAST_OF_STRATUM = 5  # images: with fewer, a split can't balance it


@dataclass(frozen=True)
class Regression(Task):
    """Numbers; the network's outputs are standardised ones.

    Attributes:
        mean: (C) of the labelled images.
        std: (C) of the labelled images, above 0.
        bounds: The lowest and the highest possible number; None where there is none.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    bounds: Bounds = (None, None)

    kind: ClassVar[str] = "regression"
    loss: ClassVar[str] = "squared-error"
    score: ClassVar[str] = "rmse"
    scores: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2")
    called: ClassVar[str] = "numbers"
    link = "identity"

    @classmethod
    def read(cls, table: pd.DataFrame, competition: Competition) -> list[str | None]:
        """Return records of the columns `Competition.targets`, or of the column ``label``."""
        return records_of(table, competition.targets or ("label",), as_number, "numbers")

    @classmethod
    def fit(cls, labels: Sequence[str], competition: Competition) -> Self:
        """Return the task of these numbers, with their mean and deviation."""
        columns = competition.targets or ("label",)
        numbers = numbers_of(labels, columns).astype(np.float64)
        constant = [name for name, of in zip(columns, numbers.T, strict=True) if len(set(of[~np.isnan(of)])) < 2]
        if constant:
            raise UserError(f"targets that do not vary, or are unknown: {listing(constant)}", "leave them out")
        _refuse_outside(numbers, competition.bounds)
        mean, std = np.nanmean(numbers, axis=0), np.nanstd(numbers, axis=0)
        return cls(tuple(columns), tuple(mean.tolist()), tuple(std.tolist()), competition.bounds)

    @classmethod
    def examples(cls, n: int, competition: Competition) -> list[str]:
        """Return numbers within the bounds."""
        low, high = competition.bounds
        low = low if low is not None else (0.0 if high is None else high - 1.0)
        step = ((high if high is not None else low + 1.0) - low) / 8
        names = competition.targets or ("label",)
        return [write_record({name: low + step * ((i + k) % 9) for k, name in enumerate(names)}) for i in range(n)]

    @classmethod
    def load(cls, columns: Sequence[str], state: dict[str, Any]) -> Self:
        """Return the task of run.json, where tuples are lists."""
        low, high = state["bounds"]
        return cls(tuple(columns), tuple(state["mean"]), tuple(state["std"]), (low, high))

    def state(self) -> dict[str, Any]:
        """Return mean, deviation and bounds."""
        return {"mean": list(self.mean), "std": list(self.std), "bounds": list(self.bounds)}

    def describe(self) -> str:
        """Return ``5 numbers``."""
        return f"{len(self.columns)} numbers" if len(self.columns) != 1 else "1 number"

    def encode(self, labels: Sequence[str]) -> Truth:
        """Return the numbers (N, C), nan where unknown."""
        try:
            return numbers_of(labels, self.columns)
        except ValueError as error:
            raise UserError(
                f"labels that are not those of the predictions: {error}", "score with targets that were trained"
            ) from error

    def train_targets(self, truth: Tensor, smoothing: float) -> Tensor:
        """Return standardised numbers."""
        return (truth - truth.new_tensor(self.mean)) / truth.new_tensor(self.std)

    def soft_targets(self, values: Tensor, temperature: float) -> Tensor:
        """Return standardised numbers.

        Raises:
            NotForTask: There is a temperature, which is for probabilities.
        """
        if temperature != 1:
            raise NotForTask(
                f"a temperature of {temperature:g} softens probabilities, not numbers",
                "set options.distil_temperature=1",
            )
        return self.train_targets(values, 0.0)

    def most_probable(self, values: NDArray[np.float32]) -> list[str]:
        """Return the numbers."""
        return [write_record(dict(zip(self.columns, row, strict=True))) for row in values.tolist()]

    def activate(self, logits: Tensor) -> Tensor:
        """Return the numbers that standardised outputs stand for, within the bounds."""
        numbers = logits * logits.new_tensor(self.std) + logits.new_tensor(self.mean)
        return numbers if self.bounds == (None, None) else numbers.clamp(*self.bounds)

    def rarity(self, truth: Truth) -> NDArray[np.float64]:
        """Return the number of images in each one's stratum."""
        strata = self.strata(truth)
        return np.bincount(strata)[strata].astype(np.float64)

    def strata(self, truth: Truth) -> NDArray[np.int64]:
        """Return (N,) tenths of the images by the mean of their standardised numbers; fewer parts of few images."""
        standard = (truth - np.array(self.mean)) / np.array(self.std)
        known = np.maximum((~np.isnan(standard)).sum(axis=1), 1)
        means = np.nansum(standard, axis=1) / known
        parts = max(1, min(MOST_STRATA, len(means) // LEAST_OF_STRATUM))
        edges = np.quantile(means, np.linspace(0, 1, parts + 1)[1:-1]) if len(means) else []
        return np.unique(np.searchsorted(edges, means, side="right"), return_inverse=True)[1].astype(np.int64)

    def fit_head(
        self,
        features: NDArray[np.float32],
        truth: Truth,
        seed: int,
        groups: NDArray[np.int64] | None = None,
        strength: Any = None,
    ) -> FittedHead:
        """Fit a ridge regression to standardised numbers."""
        standard = (truth - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return fit_ridge_head(features, standard.astype(np.float32), seed, groups, strength)

    def pool(
        self, values: NDArray[np.floating], rows: NDArray[np.int64], rule: RowRule, positive: str | None
    ) -> NDArray[np.float32]:
        """Combine a row's images.

        Raises:
            UserError: The rule is for probabilities.
        """
        if rule == "noisy-or":
            raise UserError("rows=noisy-or combines probabilities, not numbers", "set Competition.rows to mean or max")
        return super().pool(values, rows, rule, positive)

    def placeholder(self, n: int) -> NDArray[np.float32]:
        """Return the mean of each number."""
        return np.tile(np.array(self.mean, dtype=np.float32), (n, 1))

    def check_cells(self, values: NDArray[np.floating], ids: pd.Index, whose: str) -> None:
        """Check that the numbers are finite and within the bounds."""
        super().check_cells(values, ids, whose)
        low, high = (limit if limit is not None else default for limit, default in zip(self.bounds, FREE, strict=True))
        slack = 1e-5 * max(1.0, *(abs(limit) for limit in (low, high) if math.isfinite(limit)), 0.0)
        outside: NDArray[np.bool_] = np.any((values < low - slack) | (values > high + slack), axis=1)
        refuse_rows(ids, outside, f"{whose} are not within [{low:g}, {high:g}]", "keep Competition.bounds")

    def cells(self, predictions: pd.DataFrame, separator: str) -> list[Any] | None:
        """Return the number, if there is only one."""
        return predictions.iloc[:, 0].tolist() if len(self.columns) == 1 else None

    def losses(self, truth: Truth, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the mean over an image's known targets of the squared error of standardised numbers."""
        squares = ((values.astype(np.float64) - truth) / np.array(self.std)) ** 2
        known = np.maximum((~np.isnan(truth)).sum(axis=1), 1)
        return np.asarray(np.nansum(squares, axis=1) / known)


FREE = (-math.inf, math.inf)


def _refuse_outside(numbers: NDArray[np.float64], bounds: Bounds) -> None:
    low, high = (limit if limit is not None else default for limit, default in zip(bounds, FREE, strict=True))
    n = int(((numbers < low) | (numbers > high)).any(axis=1).sum())
    if n:
        raise UserError(
            f"{n} labelled images have numbers outside of Competition.bounds, [{low:g}, {high:g}]", "correct the bounds"
        )
