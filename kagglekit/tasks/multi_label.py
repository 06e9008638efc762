"""Any number of labels an image: a sigmoid for each, and a softmax where labels exclude each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from kagglekit.system.errors import UserError, listing
from kagglekit.tasks.exclusive import exclusive_groups
from kagglekit.tasks.reading import as_zero_or_one, label_sets, names_in, records_of
from kagglekit.tasks.sigmoid_regression import fit_sigmoid_head
from kagglekit.tasks.single_label import softened
from kagglekit.tasks.softmax_regression import describe_regression, fit_linear_head
from kagglekit.tasks.task import FittedHead, Task
from kagglekit.types.predictions import check_probabilities, make_predictions
from kagglekit.types.records import numbers_of, write_record

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from kagglekit.types.competition import Competition

    Truth = NDArray[np.float32]

SMALLEST = float(np.finfo(np.float32).tiny)
EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class MultiLabel(Task):
    """Several labels an image; `columns` are their names. A label of an image may be unknown.

    Attributes:
        some: Whether every labelled image has at least one label.
        groups: Columns of labels of which every labelled image has exactly one: a softmax each, in place of sigmoids.
    """

    some: bool = False
    groups: tuple[tuple[int, ...], ...] = ()

    kind: ClassVar[str] = "multi-label"
    loss: ClassVar[str] = "labels"
    score: ClassVar[str] = "log_loss"
    scores: ClassVar[tuple[str, ...]] = ("log_loss", "roc_auc")
    link = "logit"

    @classmethod
    def read(cls, table: pd.DataFrame, competition: Competition) -> list[str | None]:
        """Return records of the columns `Competition.targets`, or of lists of names in the column ``label``."""
        if competition.targets:
            return records_of(table, competition.targets, as_zero_or_one, "0 and 1")
        sets = label_sets(table)
        return [None if names is None else write_record(dict.fromkeys(names, 1)) for names in sets]

    @classmethod
    def fit(cls, labels: Sequence[str], competition: Competition) -> Self:
        """Return the task of these labels, in the order of `Competition.targets` or sorted."""
        names = competition.targets or tuple(sorted(names_in(labels)))
        if not names:
            raise UserError("the labelled images have no labels at all", "check the labels hook's table")
        truth = cls(names).encode(labels)
        return cls(names, bool((truth == 1).any(axis=1).all()), exclusive_groups(truth))

    @classmethod
    def examples(cls, n: int, competition: Competition) -> list[str]:
        """Return sets of labels in turn."""
        names = competition.targets or ("a", "b", "c")
        return [write_record({name: (i >> (k % 3)) & 1 for k, name in enumerate(names)}) for i in range(n)]

    @classmethod
    def load(cls, columns: Sequence[str], state: dict[str, Any]) -> Self:
        """Return the task of run.json, where tuples are lists."""
        return cls(tuple(columns), state.get("some", False), tuple(map(tuple, state.get("groups", ()))))

    def state(self) -> dict[str, Any]:
        """Return whether every image has a label, and which exclude each other."""
        return {"some": self.some, "groups": [list(group) for group in self.groups]}

    def for_loss(self, name: str) -> Self:
        """Return the task without groups, for another loss than its own: that one trains each output for itself."""
        return self if name in ("auto", self.loss) else replace(self, groups=())

    @property
    def free(self) -> list[int]:
        """The columns of labels that any image may have."""
        taken = {column for group in self.groups for column in group}
        return [column for column in range(len(self.columns)) if column not in taken]

    def describe(self) -> str:
        """Return ``28 labels``, and how many exclude each other."""
        if len(self.columns) == 1:
            return "1 label"
        sizes = " and ".join(str(len(group)) for group in self.groups)
        return f"{len(self.columns)} labels" + (f" ({sizes} of them exclude each other)" if self.groups else "")

    def encode(self, labels: Sequence[str]) -> Truth:
        """Return 0, 1 or nan, (N, C)."""
        return _numbers(labels, self.columns)

    @classmethod
    def faults(cls, train: Sequence[str], valid: Sequence[str]) -> list[str]:
        """Return labels that only valid images have."""
        only_valid = sorted(names_in(valid) - names_in(train))
        return [f"labels in valid but not in train: {listing(only_valid)}"] if only_valid else []

    def unseen(self, truth: Truth) -> list[str]:
        """Return the labels that no image has."""
        return [name for name, ones in zip(self.columns, np.nansum(truth, axis=0), strict=True) if not ones]

    def train_targets(self, truth: Tensor, smoothing: float) -> Tensor:
        """Return 0 and 1, drawn by `smoothing` towards 1/2, or towards even odds in a group."""
        targets = truth * (1 - smoothing) + smoothing / 2
        for group in self.groups:
            targets[:, group] += smoothing * (1 / len(group) - 1 / 2)
        return targets

    def soft_targets(self, values: Tensor, temperature: float) -> Tensor:
        """Return the sigmoid of each output divided by the temperature, or the softmax of each group's."""
        if temperature == 1:
            return values
        found = (values.clamp(SMALLEST, 1 - EPSILON).logit() / temperature).sigmoid()
        for group in self.groups:
            found[:, group] = softened(values[:, group], temperature)
        return found

    def most_probable(self, values: NDArray[np.float32]) -> list[str]:
        """Return the labels with a probability above 1/2, and of each group the most probable one."""
        has = values > 0.5
        for group in self.groups:
            has[:, group] = np.eye(len(group), dtype=bool)[values[:, group].argmax(axis=1)]
        sure = self.completed(has.astype(np.float32), values) > 0.5
        return [write_record({name: int(one) for name, one in zip(self.columns, row, strict=True)}) for row in sure]

    def activate(self, logits: Tensor) -> Tensor:
        """Return the sigmoid of each output, or the softmax of each group's."""
        found = logits.sigmoid()
        for group in self.groups:
            found[:, group] = logits[:, group].softmax(1)
        return found

    def rarity(self, truth: Truth) -> NDArray[np.float64]:
        """Return the number of images of each one's rarest label; all images for one without labels."""
        counts = np.nansum(truth, axis=0)
        of_each = np.where(truth == 1, np.maximum(counts, 1), len(truth))
        return np.asarray(of_each.min(axis=1), dtype=np.float64)

    def strata(self, truth: Truth) -> NDArray[np.int64]:
        """Return (N, C) whether each image has each label."""
        return np.asarray(truth == 1, dtype=np.int64)

    def fit_head(
        self,
        features: NDArray[np.float32],
        truth: Truth,
        seed: int,
        groups: NDArray[np.int64] | None = None,
        strength: Any = None,
    ) -> FittedHead:
        """Fit one logistic regression a label, all with the same strength, and a multinomial one for each group."""
        weight = np.zeros((len(self.columns), features.shape[1]), np.float32)
        bias = np.zeros(len(self.columns), np.float32)
        held_out = np.full(truth.shape, np.nan, np.float32)
        parts = [(list(group), _fit_group) for group in self.groups] + [(self.free, fit_sigmoid_head)] * bool(self.free)
        heads = []
        for (columns, fit), own_strength in zip(parts, strength or [None] * len(parts), strict=True):
            found = fit(features, truth[:, columns], seed, groups, own_strength)
            weight[columns], bias[columns] = found.weight, found.bias
            if found.held_out is not None:
                held_out[:, columns] = found.held_out
            heads.append(found)
        cross_validated = all(head.held_out is not None for head in heads)
        return FittedHead(
            weight,
            bias,
            "; ".join(head.text for head in heads),
            tuple(head.strength for head in heads),
            held_out if cross_validated else None,
        )

    def check_cells(self, values: NDArray[np.floating], ids: pd.Index, whose: str) -> None:
        """Check that all are probabilities."""
        check_probabilities(values, ids, whose, sum_to_1=False)

    def losses(self, truth: Truth, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the mean over an image's known labels of -log p of what is true, nats."""
        right = np.where(truth == 1, values, 1 - values.astype(np.float64))
        nats = np.where(np.isnan(truth), np.nan, -np.log(right.clip(SMALLEST)))
        known = np.maximum((~np.isnan(truth)).sum(axis=1), 1)
        return np.asarray(np.nansum(nats, axis=1) / known)

    def clip(self, table: pd.DataFrame, clip: float) -> pd.DataFrame:
        """Clip probabilities to [clip, 1 - clip]; 0 changes nothing."""
        return make_predictions(table.index, table.columns, table.to_numpy().clip(clip, 1 - clip)) if clip else table

    def completed(self, decided: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give images without a label their likeliest one, if every labelled image has one."""
        bare = np.flatnonzero(~(decided > 0.5).any(axis=1))
        if not self.some or not len(bare):
            return decided
        table = decided.copy()
        table[bare, values[bare].argmax(axis=1)] = 1
        return table

    def cells(self, predictions: pd.DataFrame, separator: str) -> list[Any] | None:
        """Return the names of each row's labels."""
        if has := [name for name in self.columns if separator in name]:
            raise UserError(
                f"labels in a cell are separated by {separator!r}, but {has[0]!r} has one itself",
                "rename the labels in the labels hook, or set Competition.separator",
            )
        names, values = predictions.columns.to_numpy(), predictions.to_numpy()
        has_each = self.completed((values > 0.5).astype(np.float32), values)  # there may be no decision
        return [separator.join(names[row]) for row in has_each > 0.5]

    @property
    def may_be_blank(self) -> bool:
        """Return whether an image may have no label at all."""
        return not self.some

    def decision(self, needs: str) -> str:
        """Return thresholds for metrics of sets of labels."""
        return "thresholds" if needs == "labels" else "none"


def _fit_group(
    features: NDArray[np.float32], truth: Truth, seed: int, groups: NDArray[np.int64] | None, strength: float | None
) -> FittedHead:
    """Fit a multinomial logistic regression to the images whose label of a group (N, C) is known."""
    known = np.flatnonzero((truth == 1).any(axis=1))
    chosen = truth[known].argmax(axis=1).astype(np.int64)
    if len(set(chosen.tolist())) < 2:
        return fit_sigmoid_head(features, truth, seed, groups, strength)
    own_groups = None if groups is None else groups[known]
    found = fit_linear_head(features[known], chosen, truth.shape[1], seed, own_groups, strength)
    held_out = None
    validated = found.validated
    if validated.held_out is not None:
        held_out = np.full(truth.shape, np.nan, np.float32)
        held_out[known] = validated.held_out
    return FittedHead(found.weight, found.bias, describe_regression(found, chosen), validated.strength, held_out)


def _numbers(labels: Sequence[str], columns: Sequence[str]) -> Truth:
    try:
        return numbers_of(labels, columns)
    except ValueError as error:
        raise UserError(
            f"labels that are not those of the predictions: {error}", "score with labels that were trained"
        ) from error
