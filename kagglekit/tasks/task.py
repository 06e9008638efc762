"""Define a task: what is predicted, and everything that depends on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from kagglekit.system.errors import NotForTask
from kagglekit.tasks.cross_validation import Split, folds_of
from kagglekit.tasks.pooling import pooled
from kagglekit.types.predictions import check_columns_and_ids, check_finite, labels_in_order, make_predictions

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from kagglekit.types.competition import Competition, RowRule

    Floats = NDArray[np.float32]
    Truth = NDArray[Any]


@dataclass(frozen=True)
class FittedHead:
    """A linear layer that was fitted to cached activations.

    Attributes:
        weight: (C, F) float32, for raw features.
        bias: (C,) float32.
        text: What was found, for people: one line.
        strength: The strength that cross-validation chose; of several regressions, a tuple of theirs.
        held_out: (N, C) float32 outputs for each image by the regression that was fitted without its fold; None if
            nothing was cross-validated. Outputs are nan where the image takes no part in a regression.
    """

    weight: Floats
    bias: Floats
    text: str
    strength: Any = None
    held_out: Floats | None = None


@dataclass(frozen=True)
class Task(ABC):
    """What is predicted for an image: made once, while planning, and handed to whoever needs it.

    Labels travel as text: the name of a class, or a record (`kagglekit.types.records`). `encode` turns them into the
    numbers that losses and metrics compute with, called ``truth``: class numbers (N,) int64 for a single label, else
    (N, C) float32 in the order of `columns`, nan where unknown.

    Attributes:
        columns: (C) names of the columns of a table of predictions, in their fixed order.
        kind: Its name in `Competition.task`.
        loss: The loss that it trains with unless the recipe names another.
        score: The metric that is logged as the valid loss.
        scores: The metrics that are always reported beside the competition's.
        called: What a prediction is called in messages.
        needs_each: Whether a run is refused if no training image is an example of a column.
        link: What turns a mean of targets into outputs whose predictions are that mean; None if nothing does.
    """

    columns: tuple[str, ...]

    kind: ClassVar[str]
    loss: ClassVar[str]
    score: ClassVar[str]
    scores: ClassVar[tuple[str, ...]]
    called: ClassVar[str] = "probabilities"
    needs_each: ClassVar[bool] = False
    link: ClassVar[Literal["log", "logit", "identity"] | None] = None

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        """Return its kind, then those of the tasks that it extends: a plugin's own may extend ours."""
        return tuple(str(vars(each)["kind"]) for each in cls.__mro__ if "kind" in vars(each))

    @classmethod
    @abstractmethod
    def read(cls, table: pd.DataFrame, competition: Competition) -> list[str | None]:
        """Return the labels of an image table's rows as text; None where a row has none.

        Raises:
            UserError: They are not of this kind; the message lists all faults with their first offenders.
        """

    @classmethod
    @abstractmethod
    def fit(cls, labels: Sequence[str], competition: Competition) -> Self:
        """Return the task of these labels: of all labelled images of a run.

        Raises:
            UserError: There is nothing to learn from them.
        """

    @classmethod
    @abstractmethod
    def examples(cls, n: int, competition: Competition) -> list[str]:
        """Return `n` labels as text, which repeat all values, to try a plugin without data."""

    @classmethod
    def load(cls, columns: Sequence[str], state: dict[str, Any]) -> Self:
        """Return the task with these columns and this state, as run.json has them."""
        return cls(tuple(columns), **state)

    def state(self) -> dict[str, Any]:
        """Return what `load` needs beside the columns, as plain data for run.json."""
        return {}

    def for_loss(self, name: str) -> Self:
        """Return the task as the loss of this name trains it: its predictions may depend on that."""
        return self

    @property
    def n_outputs(self) -> int:
        """Number of the network's outputs."""
        return len(self.columns)

    @property
    def targets(self) -> tuple[str, ...]:
        """Return what rows may be about in a CSV with a row for each target: columns, or several targets' names."""
        return self.columns

    @abstractmethod
    def describe(self) -> str:
        """Return what is predicted, for people: ``37 classes``."""

    @abstractmethod
    def encode(self, labels: Sequence[str]) -> Truth:
        """Return the truth (N,) int64 or (N, C) float32 of N labels.

        Raises:
            UserError: A label is none of this task's.
        """

    def truth(self, labels: pd.Series[str], predictions: pd.DataFrame) -> Truth:
        """Return the truth of the rows of a table of predictions.

        Args:
            labels: Labels by id; may hold further ids.
            predictions: A table of predictions, (N, C).

        Raises:
            UserError: An id has no label or several, or a label is none of this task's.
        """
        return self.encode(labels_in_order(labels, predictions).tolist())

    @classmethod
    def faults(cls, train: Sequence[str], valid: Sequence[str]) -> list[str]:
        """Return what is wrong with the labels of the train and valid images, a line each."""
        return []

    @classmethod
    def doubts(cls, labelled: Sequence[str], known_test: Sequence[str]) -> list[str]:
        """Return what is odd about labels, but does not prevent a run, a line each."""
        return []

    def unseen(self, truth: Truth) -> list[str]:
        """Return the columns that no training image is an example of."""
        return []

    # training

    @abstractmethod
    def train_targets(self, truth: Tensor, smoothing: float) -> Tensor:
        """Return the targets (B, C) float32 of a batch's truth, as the loss wants them; nan counts for nothing.

        Args:
            truth: (B,) int64 or (B, C) float32.
            smoothing: `Stage.label_smoothing`.
        """

    def soft_targets(self, values: Tensor, temperature: float) -> Tensor:
        """Return the targets (B, C) float32 that predictions (B, C) are, as the loss wants them.

        Args:
            values: As `activate` returns them.
            temperature: Probabilities are those of the outputs divided by it (Hinton et al. 2015, arXiv:1503.02531,
                eq. 1); 1 changes nothing.

        Raises:
            NotForTask: A plugin's task does not say, or this one has no temperature.
        """
        raise NotForTask(f"the task {self.kind!r} has no soft targets", "use targets=labels")

    def most_probable(self, values: Floats) -> list[str]:
        """Return the labels, as text, that predictions (N, C) are nearest to.

        Raises:
            NotForTask: A plugin's task does not say.
        """
        raise NotForTask(f"the task {self.kind!r} has no most probable label", "use targets=labels")

    @abstractmethod
    def activate(self, logits: Tensor) -> Tensor:
        """Return the predictions (B, C) float32 for a network's outputs (B, C)."""

    @abstractmethod
    def rarity(self, truth: Truth) -> NDArray[np.float64]:
        """Return (N,) how many images are like each one, at least 1: oversampling draws those of few more often."""

    @abstractmethod
    def strata(self, truth: Truth) -> NDArray[np.int64]:
        """Return what splits keep balanced: (N,) numbers of strata, or (N, L) 0 and 1, which an image may share."""

    @abstractmethod
    def fit_head(
        self,
        features: Floats,
        truth: Truth,
        seed: int,
        groups: NDArray[np.int64] | None = None,
        strength: Any = None,
    ) -> FittedHead:
        """Fit a linear layer to cached activations by regularised regression; cross-validation chooses the strength.

        Args:
            features: (N, F).
            truth: (N,) or (N, C).
            seed: Seed of the folds.
            groups: (N,) group numbers, whose images are in one fold; None if there are no groups.
            strength: `FittedHead.strength` of an earlier fit, which is then used without cross-validation.
        """

    def validate_head(
        self, features: Floats, truth: Truth, seed: int, groups: NDArray[np.int64] | None
    ) -> tuple[Any, Floats | None]:
        """Return the `FittedHead.strength` and `FittedHead.held_out` of `fit_head`, whose layer may not be needed."""
        found = self.fit_head(features, truth, seed, groups)
        return found.strength, found.held_out

    def head_folds(self, truth: Truth, groups: NDArray[np.int64] | None, seed: int) -> list[Split]:
        """Return the training and held-out rows of the folds that `fit_head` uses; empty if it uses none."""
        return folds_of(len(truth), groups, seed)

    def fit_discriminant(self, features: Floats, truth: Truth, splits: Sequence[Split]) -> FittedHead | None:
        """Fit a discriminant analysis to cached activations; None if the task has none.

        Args:
            features: (N, F).
            truth: (N,) or (N, C).
            splits: From `head_folds`; none for no held-out outputs.
        """
        return None

    # predictions

    def placeholder(self, n: int) -> Floats:
        """Return predictions (n, C) that say nothing, to try forms and metrics before there are others."""
        return np.full((n, len(self.columns)), 0.5, dtype=np.float32)

    def empty(self) -> pd.DataFrame:
        """Return a table of predictions without rows."""
        return make_predictions([], self.columns, np.zeros((0, len(self.columns)), np.float32))

    def check(self, table: pd.DataFrame, ids: Sequence[str] | None = None) -> None:
        """Check a table of predictions: columns, ids, dtype and values.

        Args:
            table: The table that a model or plugin returned.
            ids: Its ids, in any order; None for no such check.

        Raises:
            UserError: Something is wrong; names the first offenders and their number.
        """
        check_columns_and_ids(table, self.columns, ids)
        self.check_values(table.to_numpy(), table.index, "predictions")

    def check_values(self, values: NDArray[np.floating], ids: pd.Index, whose: str) -> None:
        """Check predictions (N, C).

        Raises:
            UserError: They are impossible. The message names the first ids at fault and their number.
        """
        self.check_cells(values, ids, whose)

    def check_cells(self, values: NDArray[np.floating], ids: pd.Index, whose: str) -> None:
        """Check some numbers (N, any) of predictions, such as one column of a CSV.

        Raises:
            UserError: They are impossible.
        """
        check_finite(values, ids, whose)

    @abstractmethod
    def losses(self, truth: Truth, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (N,) the loss of each row's predictions (N, C): log loss in nats, or a squared error."""

    def mean_of_passes(self, passes: Floats) -> Floats:
        """Return the predictions (N, C) for those of P views (P, N, C): their mean, computed in float64."""
        mean: NDArray[np.float64] = passes.mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)

    def clip(self, table: pd.DataFrame, clip: float) -> pd.DataFrame:
        """Return predictions within [clip, 1 - clip] where they are probabilities; 0 changes nothing."""
        return table

    def pool(
        self, values: NDArray[np.floating], rows: NDArray[np.int64], rule: RowRule, positive: str | None
    ) -> Floats:
        """Return the predictions (R, C) of the CSV's rows from those of their images (N, C): see `pooled`.

        Args:
            values: (N, C).
            rows: (N,) the row of each image, from 0.
            rule: How they are combined.
            positive: `Competition.positive`.
        """
        return pooled(values, rows, rule)

    def completed(self, decided: Floats, values: Floats) -> Floats:
        """Return decided predictions (N, C) without impossible rows, from those before the decision."""
        return decided

    def cells(self, predictions: pd.DataFrame, separator: str) -> list[Any] | None:
        """Return what one column of the CSV holds for each row of decided predictions; None where it takes several.

        Args:
            predictions: Decided ones.
            separator: Between labels in one cell.
        """
        return None

    @property
    def may_be_blank(self) -> bool:
        """Return whether a cell of the CSV may be empty."""
        return False

    def decision(self, needs: str) -> str:
        """Return the decision (see `kagglekit.types.decision`) that turns predictions into what a metric needs.

        Args:
            needs: What the CSV holds for the metric, see `kagglekit.types.metric.MetricFacts`; empty if unknown.
        """
        return "none"
