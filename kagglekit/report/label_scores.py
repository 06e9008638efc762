"""Figures of several labels an image, as pure functions of what is true and of probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.report.panels import Bin, Judged, label_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]

SMALLEST = float(np.finfo(np.float32).tiny)
NAN = float("nan")


@dataclass(frozen=True)
class LabelScore:
    """One label's scores over the images for which it is known.

    Attributes:
        number: The label's number.
        n: Number of these images.
        positives: Number of those that have it.
        auc: Area under the ROC curve; nan if all images have it, or none.
        loss: Mean log loss, nats; nan without images.
        best_f1: The highest F1 over all thresholds; nan if no image has it.
        best_threshold: Where it is: images with this probability and above are counted as having the label.
        f1: F1 of the predicted labels; nan if no image has it.
    """

    number: int
    n: int
    positives: int
    auc: float
    loss: float
    best_f1: float
    best_threshold: float
    f1: float


def label_scores(truth: Floats, p: Floats, said: NDArray[np.bool_]) -> list[LabelScore]:
    """Score each label.

    Args:
        truth: (N, C) 0, 1, or nan where unknown.
        p: (N, C) probabilities.
        said: (N, C) whether an image is predicted to have a label.
    """
    columns = zip(truth.T, p.T, said.T, strict=True)
    return [_label_score(number, *column) for number, column in enumerate(columns)]


def _label_score(number: int, truth: Floats, p: Floats, said: NDArray[np.bool_]) -> LabelScore:
    known = ~np.isnan(truth)
    has, own = truth[known] == 1, p[known].astype(np.float64)
    right = np.where(has, own, 1 - own).clip(SMALLEST)
    best, at = best_f1(has, own)
    loss = float(-np.log(right).mean()) if len(has) else NAN
    return LabelScore(
        number, len(has), int(has.sum()), auc(has, own), loss, best, at, f1(has, said[known]) if has.any() else NAN
    )


def auc(has: NDArray[np.bool_], p: Floats) -> float:
    """Return the area under the ROC curve: how often one that has the label is above one without; nan without both."""
    from scipy.stats import rankdata

    positives, negatives = int(has.sum()), int((~has).sum())
    if not positives or not negatives:
        return NAN
    above = rankdata(p)[has].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def f1(has: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    """Return 2 hits / (labels + predictions); 0 if there are neither."""
    both = int(has.sum()) + int(said.sum())
    return 2 * int((has & said).sum()) / both if both else 0.0


def best_f1(has: NDArray[np.bool_], p: Floats) -> tuple[float, float]:
    """Return the highest F1 over all thresholds, and the lowest probability that is then counted as the label."""
    if not has.any():
        return NAN, NAN
    order = np.argsort(-p, kind="stable")
    ranked, hits = p[order], np.cumsum(has[order])
    scores = 2 * hits / (np.arange(1, len(p) + 1) + has.sum())
    scores[:-1][ranked[:-1] == ranked[1:]] = -1  # equal probabilities are on one side of a threshold
    place = int(scores.argmax())
    return float(scores[place]), float(ranked[place])


def f1_curve(truth: Floats, p: Floats, points: int = 101) -> list[tuple[float, float]]:
    """Return thresholds from 0 to 1, and the F1 of a label if probabilities of at least as much count."""
    known = ~np.isnan(truth)
    has, own = truth[known] == 1, np.sort(p[known])
    of_label = np.sort(p[known][has])
    at = np.linspace(0, 1, points)
    said = len(own) - np.searchsorted(own, at)
    hits = len(of_label) - np.searchsorted(of_label, at)
    scores = 2 * hits / np.maximum(said + len(of_label), 1)
    return list(zip(at.tolist(), scores.tolist(), strict=True))


def co_occurrence(truth: Floats) -> NDArray[np.int64]:
    """Count the images (C, C) that have both labels; on the diagonal, those that have the label."""
    has = (truth == 1).astype(np.int64)
    return np.asarray(has.T @ has, dtype=np.int64)


def confusion(truth: Floats, said: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count images (C, C): on the diagonal those whose label was found; else those with the column's instead of it.

    An image counts at (i, j) if it has label i, which was not predicted, and label j was predicted, which it lacks.
    """
    has, lacks = truth == 1, truth == 0
    missed, wrong = (has & ~said).astype(np.int64), (lacks & said).astype(np.int64)
    counts = missed.T @ wrong
    counts[np.diag_indices_from(counts)] = (has & said).sum(axis=0)
    return np.asarray(counts, dtype=np.int64)


def suspects(truth: Floats, p: Floats, most: int) -> list[tuple[int, int]]:
    """Return (image, label) where the label is probably wrong, most suspect first.

    Confident learning, as in `kagglekit.report.panels.label_errors`, for each label as two classes: with and without.
    """
    found: list[tuple[float, int, int]] = []
    for number in range(truth.shape[1]):
        known = np.flatnonzero(~np.isnan(truth[:, number]))
        own = p[known, number].astype(np.float64)
        has = (truth[known, number] == 1).astype(np.int64)
        judged = Judged(tuple(map(str, known)), ("without", "with"), has, np.stack([1 - own, own], axis=1))
        found += [(float(judged.actual[row]), int(known[row]), number) for row in label_errors(judged, most)]
    return [(image, number) for _, image, number in sorted(found)[:most]]


def calibration(truth: Floats, p: Floats, bins: int = 10) -> list[Bin]:
    """Compare the probabilities of all labels with the share of images that have them, in tenths; no empty parts."""
    known = ~np.isnan(truth)
    has, own = truth[known] == 1, p[known].astype(np.float64)
    where = np.minimum((own * bins).astype(np.int64), bins - 1)
    parts = [np.flatnonzero(where == number) for number in range(bins)]
    return [Bin(len(part), float(own[part].mean()), float(has[part].mean())) for part in parts if len(part)]
