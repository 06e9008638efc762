"""One class an image: softmax over the classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from kagglekit.system.errors import UserError, listing
from kagglekit.tasks.cross_validation import Split
from kagglekit.tasks.discriminant import fit_discriminant
from kagglekit.tasks.pooling import pooled
from kagglekit.tasks.softmax_regression import (
    class_folds,
    describe_regression,
    fit_linear_head,
    validate_linear_head,
)
from kagglekit.tasks.task import FittedHead, Task
from kagglekit.types.predictions import check_probabilities, make_predictions

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from kagglekit.types.competition import Competition, RowRule

    Truth = NDArray[np.int64]


@dataclass(frozen=True)
class SingleLabel(Task):
    """One class an image; `columns` are the names of the classes, sorted."""

    kind = "single-label"
    loss = "cross-entropy"
    score = "log_loss"
    scores = ("log_loss", "accuracy")
    needs_each = True
    link = "log"

    @classmethod
    def read(cls, table: pd.DataFrame, competition: Competition) -> list[str | None]:
        """Return the column ``label``, whose whole numbers become text: pandas turns integers into floats."""
        if competition.targets:
            raise UserError(
                f"Competition.targets names {listing(competition.targets)}, but the classes of a single-label task are "
                "in the image table's column label",
                "leave out targets, or set Competition.task",
            )
        known = zip(table["label"], table["label"].notna(), strict=True)
        return [as_text(value) if there else None for value, there in known]  # type: ignore[misc]

    @classmethod
    def fit(cls, labels: Sequence[str], competition: Competition) -> Self:
        """Return the task of these classes."""
        classes = tuple(sorted(set(labels)))
        if len(classes) < 2:
            raise UserError(
                f"at least two classes are needed; the labelled images have {listing(classes) or 'none'}",
                "check the labels",
            )
        return cls(classes)

    @classmethod
    def examples(cls, n: int, competition: Competition) -> list[str]:
        """Return classes in turn; one of two is `Competition.positive`."""
        names = ("0", competition.positive or "1") if competition.positive else ("0", "1", "2")
        return [names[i % len(names)] for i in range(n)]

    def describe(self) -> str:
        """Return ``37 classes``."""
        return f"{len(self.columns)} classes"

    def encode(self, labels: Sequence[str]) -> Truth:
        """Return class numbers (N,)."""
        numbers = {name: number for number, name in enumerate(self.columns)}
        if strange := list(dict.fromkeys(label for label in labels if label not in numbers)):
            raise UserError(
                f"labels that are not classes of the predictions: {listing(strange)}",
                "score with labels of the classes that were trained",
            )
        return np.array([numbers[label] for label in labels], dtype=np.int64)

    @classmethod
    def faults(cls, train: Sequence[str], valid: Sequence[str]) -> list[str]:
        """Return classes that only valid images have."""
        only_valid = sorted(set(valid) - set(train))
        return [f"classes in valid but not in train: {listing(only_valid)}"] if only_valid else []

    @classmethod
    def doubts(cls, labelled: Sequence[str], known_test: Sequence[str]) -> list[str]:
        """Return classes with a single image, and those that only test images have."""
        counts = Counter(labelled)
        single = sorted(name for name, count in counts.items() if count == 1)
        only_test = sorted(set(known_test) - counts.keys())
        lines = []
        if single:
            lines.append(f"classes with a single image, too few to train and to validate: {listing(single)}")
        if only_test:
            lines.append(f"classes in test but not in train: {listing(only_test)}")
        return lines

    def unseen(self, truth: Truth) -> list[str]:
        """Return the classes without an image."""
        seen = set(truth.tolist())
        return [name for number, name in enumerate(self.columns) if number not in seen]

    def train_targets(self, truth: Tensor, smoothing: float) -> Tensor:
        """Return target probabilities: one-hot, `smoothing` of it spread evenly over all classes."""
        from torch.nn.functional import one_hot

        hot = one_hot(truth, len(self.columns)).float()
        return hot * (1 - smoothing) + smoothing / len(self.columns)

    def soft_targets(self, values: Tensor, temperature: float) -> Tensor:
        """Return p^(1/T), divided by its sum: the softmax of the outputs divided by T."""
        return softened(values, temperature)

    def most_probable(self, values: NDArray[np.float32]) -> list[str]:
        """Return the classes of the highest probability."""
        return [self.columns[number] for number in values.argmax(axis=1)]

    def activate(self, logits: Tensor) -> Tensor:
        """Return the softmax."""
        return logits.softmax(1)

    def rarity(self, truth: Truth) -> NDArray[np.float64]:
        """Return the number of images of each one's class."""
        return np.bincount(truth, minlength=len(self.columns))[truth].astype(np.float64)

    def strata(self, truth: Truth) -> NDArray[np.int64]:
        """Return the class numbers."""
        return truth

    def fit_head(
        self,
        features: NDArray[np.float32],
        truth: Truth,
        seed: int,
        groups: NDArray[np.int64] | None = None,
        strength: Any = None,
    ) -> FittedHead:
        """Fit a multinomial logistic regression."""
        found = fit_linear_head(features, truth, len(self.columns), seed, groups, strength)
        text = describe_regression(found, truth)
        return FittedHead(found.weight, found.bias, text, found.validated.strength, found.validated.held_out)

    def validate_head(
        self, features: NDArray[np.float32], truth: Truth, seed: int, groups: NDArray[np.int64] | None
    ) -> tuple[Any, NDArray[np.float32] | None]:
        """Return the strength and the held-out logits."""
        found = validate_linear_head(features, truth, len(self.columns), seed, groups)
        return found.strength, found.held_out

    def head_folds(self, truth: Truth, groups: NDArray[np.int64] | None, seed: int) -> list[Split]:
        """Return stratified folds."""
        return class_folds(truth, groups, seed)

    def fit_discriminant(
        self, features: NDArray[np.float32], truth: Truth, splits: Sequence[Split]
    ) -> FittedHead | None:
        """Fit a linear discriminant analysis with a shrunk covariance."""
        return fit_discriminant(features, truth, len(self.columns), splits)

    def placeholder(self, n: int) -> NDArray[np.float32]:
        """Return even probabilities."""
        return np.full((n, len(self.columns)), 1 / len(self.columns), dtype=np.float32)

    def check_values(self, values: NDArray[np.floating], ids: pd.Index, whose: str) -> None:
        """Check that each row has probabilities that sum to 1."""
        check_probabilities(values, ids, whose, sum_to_1=True)

    def check_cells(self, values: NDArray[np.floating], ids: pd.Index, whose: str) -> None:
        """Check that all are probabilities."""
        check_probabilities(values, ids, whose, sum_to_1=False)

    def losses(self, truth: Truth, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return -log p of each image's class, nats; a probability of 0 counts as the smallest float32 above 0."""
        right = values[np.arange(len(truth)), truth].astype(np.float64)
        nats: NDArray[np.float64] = -np.log(right.clip(float(np.finfo(np.float32).tiny)))
        return nats

    def pool(
        self, values: NDArray[np.floating], rows: NDArray[np.int64], rule: RowRule, positive: str | None
    ) -> NDArray[np.float32]:
        """Combine a row's images; other rules than the mean apply to the positive one of two classes."""
        if rule == "mean":
            return pooled(values, rows, rule)
        column = self._positive(rule, positive)
        combined = pooled(values[:, [column]], rows, rule)
        table = np.concatenate([1 - combined, combined], axis=1)
        return table if column else table[:, ::-1]

    def _positive(self, rule: str, positive: str | None) -> int:
        wanted = positive or next((name for name in self.columns if name.lower() in ("1", "1.0", "true")), None)
        if len(self.columns) != 2 or wanted not in self.columns:
            raise UserError(
                f"rows={rule} combines the probability of one of two classes, but the classes are "
                f"{listing(self.columns)}" + (f", and the positive one is {wanted!r}" if wanted else ""),
                "set Competition.positive, or rows='mean'",
            )
        return self.columns.index(wanted)

    def clip(self, table: pd.DataFrame, clip: float) -> pd.DataFrame:
        """Clip probabilities to [clip, 1 - clip], then divide each row by its sum.

        Clipping bounds the log loss of a confident mistake near -log(clip). With many classes the division lowers a
        row's smallest values to somewhat less than `clip`. 0 changes nothing.
        """
        if not clip:
            return table
        kept = table.to_numpy(dtype=np.float64).clip(clip, 1 - clip)
        return make_predictions(table.index, table.columns, kept / kept.sum(axis=1, keepdims=True))


def softened(values: Tensor, temperature: float) -> Tensor:
    """Return probabilities (B, C) of which each row sums to 1 as those of the outputs divided by a temperature."""
    if temperature == 1:
        return values
    logs = values.clamp(min=float(np.finfo(np.float32).tiny)).log()
    return (logs / temperature).softmax(1)


def as_text(value: object) -> object:
    """Return whole numbers as text; pandas turns integers into floats if some are missing."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return str(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else value
