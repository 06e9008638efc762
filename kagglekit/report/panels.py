"""What the valid predictions say, panel by panel: pure functions of classes and probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]  # (n,) row numbers of a Judged, in the order in which they are shown
LARGEST_BLOCK = 8  # classes


@dataclass(frozen=True)
class Judged:
    """Predictions for images whose classes are known.

    Attributes:
        ids: (N) of the images.
        classes: (C) names.
        truth: (N,) class numbers.
        probabilities: (N, C) float64.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) class numbers of highest probability."""
        return np.asarray(self.probabilities.argmax(1), dtype=np.int64)

    @cached_property
    def actual(self) -> NDArray[np.float64]:
        """(N,) probability of each image's own class."""
        picked: NDArray[np.float64] = self.probabilities[np.arange(len(self.truth)), self.truth]
        return picked

    @cached_property
    def loss(self) -> NDArray[np.float64]:
        """(N,) nats; a probability of 0 counts as the smallest float32 above 0."""
        nats: NDArray[np.float64] = -np.log(self.actual.clip(float(np.finfo(np.float32).tiny)))
        return nats

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether the predicted class is the image's own."""
        right: NDArray[np.bool_] = self.predicted == self.truth
        return right


@dataclass(frozen=True)
class Pair:
    """How many images of one class were taken for another one, of how many."""

    actual: int
    predicted: int
    count: int
    of: int


@dataclass(frozen=True)
class Bin:
    """Images whose highest probability lies in one tenth of [0, 1].

    Attributes:
        n: Their number, at least 1.
        confidence: Their mean highest probability.
        accuracy: The share predicted correctly.
    """

    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class ClassScore:
    """One class's scores.

    Attributes:
        number: Of the class.
        n: Its images.
        recall: Share of them that were predicted as it; nan without images.
        precision: Share of the images predicted as it that are; nan where none was.
        loss: Mean over its images, nats; nan without images.
        mistaken_for: The class its images were most often taken for wrongly; None for none.
    """

    number: int
    n: int
    recall: float
    precision: float
    loss: float
    mistaken_for: int | None


def confusion(judged: Judged) -> NDArray[np.int64]:
    """Count images: (C, C), a row an actual class, a column a predicted one."""
    n = len(judged.classes)
    counts = np.bincount(judged.truth * n + judged.predicted, minlength=n * n)
    return np.asarray(counts.reshape(n, n), dtype=np.int64)


def confused_pairs(counts: NDArray[np.int64], most: int) -> list[Pair]:
    """List the pairs of classes that were confused most often; among equals, those of the smaller class first."""
    rows, columns = np.nonzero(counts * (1 - np.eye(len(counts), dtype=np.int64)))
    sums = counts.sum(1)
    pairs = [Pair(int(i), int(j), int(counts[i, j]), int(sums[i])) for i, j in zip(rows, columns, strict=True)]
    return sorted(pairs, key=lambda pair: (-pair.count, pair.of, pair.actual, pair.predicted))[:most]


def blocks(counts: NDArray[np.int64], most: int, largest: int = LARGEST_BLOCK) -> list[list[int]]:
    """Group the classes that are confused with one another, most mistakes first.

    Pairs of classes are joined from the most confused one on, both directions added; two groups are joined as long as
    the whole has at most `largest` classes.

    Args:
        counts: (C, C) from `confusion`.
        most: Groups to return.
        largest: Classes of a group.
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
    return sorted(found, key=lambda members: (-_mistakes(counts, members), members))[:most]


def _mistakes(counts: NDArray[np.int64], members: list[int]) -> int:
    block = counts[np.ix_(members, members)]
    return int(block.sum() - np.trace(block))


def top_losses(judged: Judged, most: int) -> Rows:
    """Find the images of highest loss."""
    return _first(-judged.loss, most)


def random_rows(judged: Judged, correct: bool, most: int, seed: int) -> Rows:
    """Draw images among those predicted correctly, or among the others, in the order in which they lie."""
    rows = np.flatnonzero(judged.correct == correct)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])


def most_correct(judged: Judged, number: int, most: int) -> Rows:
    """Find the images of a class, predicted correctly, whose class has the highest probability."""
    rows = np.flatnonzero(judged.correct & (judged.truth == number))
    return np.asarray(rows[_first(-judged.actual[rows], most)], dtype=np.int64)


def most_incorrect(judged: Judged, number: int, most: int) -> Rows:
    """Find the images of a class, predicted wrongly, whose class has the lowest probability."""
    rows = np.flatnonzero(~judged.correct & (judged.truth == number))
    return np.asarray(rows[_first(judged.actual[rows], most)], dtype=np.int64)


def most_uncertain(judged: Judged, most: int) -> Rows:
    """Find the images with the least difference between the two highest probabilities."""
    highest = np.sort(judged.probabilities, axis=1)
    return _first(highest[:, -1] - highest[:, -2], most)


def label_errors(judged: Judged, most: int) -> Rows:
    """Find the images whose label is likely wrong, the likeliest first.

    Confident learning (Northcutt et al. 2021, arXiv:1911.00068, eq. 1 and 2): a class is confidently said of an image
    where its probability is at least its mean over the images labelled so; where the likeliest of these classes is
    another one than the label, the label is suspected. They are ranked by the label's probability less the highest
    other one.
    """
    p, rows = judged.probabilities, np.arange(len(judged.truth))
    labelled = np.bincount(judged.truth, minlength=p.shape[1])
    sums = np.bincount(judged.truth, weights=judged.actual, minlength=p.shape[1])
    threshold = np.where(labelled > 0, sums / np.maximum(labelled, 1), np.inf)
    confident = np.where(p >= threshold, p, -1.0)
    suspected = np.flatnonzero((confident.max(1) >= 0) & (confident.argmax(1) != judged.truth))
    others = p.copy()
    others[rows, judged.truth] = -1.0
    margin = judged.actual - others.max(1)
    return np.asarray(suspected[_first(margin[suspected], most)], dtype=np.int64)


def calibration(judged: Judged, bins: int = 10) -> list[Bin]:
    """Compare confidence and accuracy in equal parts of [0, 1], empty ones left out."""
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
    """Score each class, the one of lowest recall first; those without an image last."""
    counts = confusion(judged)
    scores = [_class_score(judged, counts, number) for number in range(len(judged.classes))]
    return sorted(scores, key=lambda score: (score.n == 0, score.recall if score.n else 0.0, -score.n, score.number))


def _class_score(judged: Judged, counts: NDArray[np.int64], number: int) -> ClassScore:
    n, said, right = int(counts[number].sum()), int(counts[:, number].sum()), int(counts[number, number])
    wrong = counts[number].copy()
    wrong[number] = 0
    return ClassScore(
        number,
        n,
        right / n if n else float("nan"),
        right / said if said else float("nan"),
        float(judged.loss[judged.truth == number].mean()) if n else float("nan"),
        int(wrong.argmax()) if wrong.any() else None,
    )


def _first(keys: NDArray[np.float64], most: int) -> Rows:
    """Return the positions of the smallest keys, in order."""
    return np.asarray(np.argsort(keys, kind="stable")[:most], dtype=np.int64)
