"""F-scores at every threshold of a label at once, from cumulative counts of images sorted by probability.

They have the values of the metrics of the same names, up to a term that no threshold of that label changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Curve = Callable[["Labels", int, Mask], Floats]

ABOVE_ALL = 1.001  # a probability that no image has


@dataclass(frozen=True)
class Column:
    """One label's candidates.

    Attributes:
        order: (n,) rows whose label is known, the likeliest first.
        places: (M,) ascending numbers of images that a threshold can predict.
        thresholds: (M,) descending: midway between the probabilities of two images.
    """

    order: NDArray[np.int64]
    places: NDArray[np.int64]
    thresholds: Floats


@dataclass(frozen=True)
class Labels:
    """Labelled images.

    Attributes:
        there: (N, C) whether an image is known to have a label.
        known: (N, C) whether that is known at all.
        columns: (C) of each label.
        fallback: (N,) the label that an image has if none is decided; None if it has none then.
    """

    there: Mask
    known: Mask
    columns: list[Column]
    fallback: NDArray[np.int64] | None = None


def labels_of(truth: NDArray[np.float32], values: NDArray[np.float32], never_none: bool) -> Labels:
    """Return the labels of a truth (N, C), and the candidates from predictions (N, C).

    Args:
        truth: (N, C).
        values: (N, C).
        never_none: Whether images without a label are given their likeliest one.
    """
    known = ~np.isnan(truth)
    columns = [_column(own, there) for own, there in zip(values.T, known.T, strict=True)]
    return Labels(truth == 1, known, columns, values.argmax(axis=1) if never_none else None)


def _column(values: NDArray[np.float32], known: Mask) -> Column:
    rows = np.flatnonzero(known)
    order = rows[np.argsort(-values[rows], kind="stable")]
    above = np.concatenate([[np.float32(ABOVE_ALL)], values[order]]).astype(np.float32)
    below = np.concatenate([values[order], [np.float32(0)]]).astype(np.float32)
    places = np.flatnonzero((above > below) | (np.arange(len(above)) == len(order)))
    middle = ((above.astype(np.float64) + below) / 2).astype(np.float32)
    middle = np.where(middle > below, middle, above)  # neighbours in float32 have nothing between them
    return Column(order, places, middle[places].astype(np.float64))


def _hits(labels: Labels, label: int) -> Floats:
    """Return how many of the images predicted at each place (M,) have the label."""
    own = labels.columns[label]
    counted: Floats = np.concatenate([[0.0], np.cumsum(labels.there[own.order, label])])[own.places]
    return counted


def macro(beta: float, labels: Labels, label: int, chosen: Mask) -> Floats:
    """Return the label's own F-beta; of a label that no image has, the same for all thresholds."""
    there = labels.there[:, label].sum()
    if not there:
        return np.zeros(len(labels.columns[label].places))
    return np.asarray((1 + beta**2) * _hits(labels, label) / (labels.columns[label].places + beta**2 * there))


def micro(beta: float, labels: Labels, label: int, chosen: Mask) -> Floats:
    """Return F-beta of all labels together."""
    others = chosen & labels.known
    others[:, label] = False
    counted = others.sum() + labels.columns[label].places + beta**2 * labels.there.sum()
    hits = (others & labels.there).sum() + _hits(labels, label)
    return np.asarray((1 + beta**2) * hits / np.maximum(counted, 1))


def sets(beta: float, labels: Labels, label: int, chosen: Mask) -> Floats:
    """Return the mean over images of F-beta of the sets of labels, 1 if both are empty."""
    others = chosen & labels.known
    others[:, label] = False
    hits, predicted = (others & labels.there).sum(axis=1), others.sum(axis=1)
    there = labels.there.sum(axis=1)
    without = _f(beta, hits, predicted, there)
    if labels.fallback is not None:
        rows = np.arange(len(there))
        filled = _f(beta, labels.there[rows, labels.fallback], labels.known[rows, labels.fallback], there)
        without = np.where(others.any(axis=1), without, filled)
    gain = _f(beta, hits + labels.there[:, label], predicted + 1, there) - without
    own = labels.columns[label]
    summed = without.sum() + np.concatenate([[0.0], np.cumsum(gain[own.order])])[own.places]
    return np.asarray(summed / max(1, len(without)))


def _f(beta: float, hits: NDArray[Any], predicted: NDArray[Any], there: NDArray[np.int64]) -> Floats:
    counted = predicted + beta**2 * there
    return np.where(counted > 0, (1 + beta**2) * hits / np.where(counted > 0, counted, 1), 1.0)


CURVES: dict[str, tuple[Callable[[float, Labels, int, Mask], Floats], float]] = {
    "macro_f1": (macro, 1),
    "macro_f2": (macro, 2),
    "weighted_f1": (macro, 1),
    "micro_f1": (micro, 1),
    "micro_f2": (micro, 2),
    "sets_f1": (sets, 1),
    "sets_f2": (sets, 2),
}
OF_EACH_LABEL = tuple(name for name, (curve, _) in CURVES.items() if curve is macro)  # thresholds do not interact
