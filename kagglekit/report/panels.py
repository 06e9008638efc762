"""The report's panels on the valid predictions, as pure functions of classes and probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kagglekit.tasks import confident_learning

Rows = NDArray[np.int64]  # (n,) row numbers of a Judged, in display order
LARGEST_BLOCK = 8  # classes


@dataclass(frozen=True)
class Judged:
    """Predictions for images of known classes.

    Attributes:
        ids: (N) image ids.
        classes: (C) class names.
        truth: (N,) class numbers.
        probabilities: (N, C) float64.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) number of the predicted class."""
        return np.asarray(self.probabilities.argmax(1), dtype=np.int64)

    @cached_property
    def actual(self) -> NDArray[np.float64]:
        """(N,) probability of each image's actual class."""
        picked: NDArray[np.float64] = self.probabilities[np.arange(len(self.truth)), self.truth]
        return picked

    @cached_property
    def loss(self) -> NDArray[np.float64]:
        """(N,) log loss, nats; a probability of 0 is replaced by the smallest float32 above 0."""
        nats: NDArray[np.float64] = -np.log(self.actual.clip(float(np.finfo(np.float32).tiny)))
        return nats

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether the predicted class is the actual one."""
        right: NDArray[np.bool_] = self.predicted == self.truth
        return right


@dataclass(frozen=True)
class Pair:
    """The number of images of one class predicted as another, and the number of images of the class."""

    actual: int
    predicted: int
    count: int
    of: int


@dataclass(frozen=True)
class Bin:
    """Images whose highest probability lies in one tenth of [0, 1].

    Attributes:
        n: Number of images, at least 1.
        confidence: Mean of their highest probabilities.
        accuracy: The share predicted correctly.
    """

    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class ClassScore:
    """One class's scores.

    Attributes:
        number: The class's number.
        n: Number of its images.
        recall: Share of its images predicted correctly; nan without images.
        precision: Share of the images predicted as this class that belong to it; nan if there are none.
        loss: Mean over its images, nats; nan without images.
        mistaken_for: The class that its images were most often wrongly predicted as; None if all are correct.
    """

    number: int
    n: int
    recall: float
    precision: float
    loss: float
    mistaken_for: int | None


def confusion(judged: Judged) -> NDArray[np.int64]:
    """Count images: (C, C), rows for actual classes, columns for predicted ones."""
    n = len(judged.classes)
    counts = np.bincount(judged.truth * n + judged.predicted, minlength=n * n)
    return np.asarray(counts.reshape(n, n), dtype=np.int64)


def confused_pairs(counts: NDArray[np.int64], most: int) -> list[Pair]:
    """List the most confused pairs of classes; of equal counts, the pair with the smaller actual class comes first."""
    rows, columns = np.nonzero(counts * (1 - np.eye(len(counts), dtype=np.int64)))
    sums = counts.sum(1)
    pairs = [Pair(int(i), int(j), int(counts[i, j]), int(sums[i])) for i, j in zip(rows, columns, strict=True)]
    return sorted(pairs, key=lambda pair: (-pair.count, pair.of, pair.actual, pair.predicted))[:most]


def blocks(counts: NDArray[np.int64], most: int, largest: int = LARGEST_BLOCK) -> list[list[int]]:
    """Group the classes that are confused with each other, most errors first.

    Join pairs of classes, starting with the most confused (both directions added); join two groups if the result has
    at most `largest` classes.

    Args:
        counts: (C, C) from `confusion`.
        most: Maximum number of groups.
        largest: Maximum number of classes in a group.
    """
    both = np.triu(counts + counts.T, 1)
    group = {number: [number] for number in range(len(counts))}
    for flat in np.argsort(-both, axis=None, kind="stable"):
        i, j = divmod(int(flat), len(counts))
        if not both[i, j]:
            break
        one, other = group[i], group[j]
        if one is not other and len(one) + len(other) <= largest:
            one += other
            group.update(dict.fromkeys(other, one))
    found = {id(members): sorted(members) for members in group.values() if len(members) > 1}.values()
    return sorted(found, key=lambda members: (-_errors(counts, members), members))[:most]


def _errors(counts: NDArray[np.int64], members: list[int]) -> int:
    block = counts[np.ix_(members, members)]
    return int(block.sum() - np.trace(block))


def top_losses(judged: Judged, most: int) -> Rows:
    """Return the images with the highest loss."""
    return _first(-judged.loss, most)


def random_rows(judged: Judged, correct: bool, most: int, seed: int) -> Rows:
    """Draw random images from those predicted correctly, or from the others; keep their order."""
    rows = np.flatnonzero(judged.correct == correct)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])


def most_correct(judged: Judged, number: int, most: int) -> Rows:
    """Return the correctly predicted images of a class, with the highest probability of it first."""
    rows = np.flatnonzero(judged.correct & (judged.truth == number))
    return np.asarray(rows[_first(-judged.actual[rows], most)], dtype=np.int64)


def most_incorrect(judged: Judged, number: int, most: int) -> Rows:
    """Return the wrongly predicted images of a class, with the lowest probability of it first."""
    rows = np.flatnonzero(~judged.correct & (judged.truth == number))
    return np.asarray(rows[_first(judged.actual[rows], most)], dtype=np.int64)


def most_uncertain(judged: Judged, most: int) -> Rows:
    """Return the images with the smallest difference between the two highest probabilities."""
    highest = np.sort(judged.probabilities, axis=1)
    return _first(highest[:, -1] - highest[:, -2], most)


def label_errors(judged: Judged, most: int) -> Rows:
    """Return the images whose label is probably wrong, most suspect first: see `confident_learning`."""
    return confident_learning.label_errors(judged.truth, judged.probabilities)[:most]


def calibration(judged: Judged, bins: int = 10) -> list[Bin]:
    """Compare confidence and accuracy in equal parts of [0, 1]; leave out empty parts."""
    confidence = judged.probabilities.max(1)
    where = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    parts = [np.flatnonzero(where == number) for number in range(bins)]
    return [
        Bin(len(part), float(confidence[part].mean()), float(judged.correct[part].mean()))
        for part in parts
        if len(part)
    ]


def calibration_error(parts: list[Bin]) -> float:
    """Return the expected calibration error (Guo et al. 2017, arXiv:1706.04599, eq. 3), a share."""
    return sum(part.n * abs(part.accuracy - part.confidence) for part in parts) / sum(part.n for part in parts)


def class_scores(judged: Judged) -> list[ClassScore]:
    """Score each class, lowest recall first; classes without images last."""
    counts = confusion(judged)
    scores = [_class_score(judged, counts, number) for number in range(len(judged.classes))]
    return sorted(scores, key=lambda score: (score.n == 0, score.recall if score.n else 0.0, -score.n, score.number))


def _class_score(judged: Judged, counts: NDArray[np.int64], number: int) -> ClassScore:
    n, predicted, right = int(counts[number].sum()), int(counts[:, number].sum()), int(counts[number, number])
    wrong = counts[number].copy()
    wrong[number] = 0
    return ClassScore(
        number,
        n,
        right / n if n else float("nan"),
        right / predicted if predicted else float("nan"),
        float(judged.loss[judged.truth == number].mean()) if n else float("nan"),
        int(wrong.argmax()) if wrong.any() else None,
    )


def _first(keys: NDArray[np.float64], most: int) -> Rows:
    """Return the positions of the smallest keys, in order."""
    return np.asarray(np.argsort(keys, kind="stable")[:most], dtype=np.int64)
