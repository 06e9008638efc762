"""Compute metrics of several labels an image: the truth (N, C) is 0, 1 or nan, which counts for nothing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kagglekit import Score, UserError
from kagglekit_metrics.errors import HOLD_OUT_MORE, linearised, mean_score
from kagglekit_metrics.of_columns import mean_of_columns, mean_of_values, value_of_columns
from kagglekit_metrics.of_images import SMALLEST, shared_f1
from kagglekit_metrics.of_order import area, full_area, partial_area, weighted_area
from kagglekit_metrics.scoring import Asked, Scoring

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kagglekit_metrics.errors import Numbers, Table

    OfColumn = Callable[[Numbers, NDArray[np.bool_]], tuple[float, Numbers]]

THRESHOLD = 0.5  # from this probability on, a label is predicted; decided labels are 0 and 1


def of_several_labels(asked: Asked) -> Scoring:
    """Return the function of a metric of labels; means over labels are weighted by `Competition.metric_weights`.

    Raises:
        UserError: The weights name other columns.
    """
    if asked.columns:
        asked.weights(asked.columns, len(asked.columns))  # a wrong name is found before anything is trained

    def score(truth: Table, table: Table) -> Score:
        return SCORES[asked.name](truth, table, asked.weights(asked.columns, table.shape[1]))

    def areas(truth: Table, table: Table) -> float:
        return value_of_columns("roc_auc", _value, truth, table, asked.weights(asked.columns, table.shape[1]))

    return Scoring(score, areas if asked.name == "roc_auc" else None)


def log_loss(truth: Table, probabilities: Table, weights: Numbers) -> Score:
    """Return the mean over labels of -log p of what is true, nats; p is kept within [1e-15, 1 - 1e-15] as on Kaggle."""
    p = probabilities.astype(np.float64).clip(SMALLEST, 1 - SMALLEST)
    return mean_of_values(_where_known(truth, -np.log(np.where(truth == 1, p, 1 - p))), weights)


def brier(truth: Table, probabilities: Table, weights: Numbers) -> Score:
    """Return the mean over labels of the squared difference of probabilities and truth."""
    return mean_of_values((probabilities.astype(np.float64) - truth) ** 2, weights)


def accuracy(truth: Table, table: Table, weights: Numbers) -> Score:
    """Return the share of right decisions, each label a decision of its own."""
    return mean_of_values(_where_known(truth, (table >= THRESHOLD) == (truth == 1)), weights)


def _where_known(truth: Table, values: NDArray[np.generic]) -> Numbers:
    return np.where(np.isnan(truth), np.nan, values).astype(np.float64)


def _of_scores(name: str, of_column: OfColumn, truth: Table, table: Table, weights: Numbers) -> Score:
    """Return the mean over the labels that some images have and some have not."""

    def of_label(own: Table, scores: Table) -> tuple[float, Numbers] | None:
        return of_column(scores.astype(np.float64), own == 1) if _varies(own) else None

    return mean_of_columns(name, of_label, truth, table, weights)


def _value(own: Table, scores: Table) -> float | None:
    return area(scores.astype(np.float64), own == 1) if _varies(own) else None


def _varies(own: Table) -> bool:
    return bool((own != own[0]).any())


def macro_f(beta: float, truth: Table, table: Table, weights: Numbers) -> Score:
    """Return the mean of each label's F = (1 + beta^2) hits / (predictions + beta^2 images).

    Labels that no image has and none is predicted to have do not count.
    """
    hit, predicted, there = _counted(truth, table)
    counted = predicted.sum(axis=0) + beta**2 * there.sum(axis=0)
    share = weights * (counted > 0)
    _need_labels(f"macro_f{beta:g}", share)
    share, counted = share / share.sum(), np.where(counted > 0, counted, 1)
    f = (1 + beta**2) * hit.sum(axis=0) / counted
    return linearised(float(share @ f), _influence(beta, (hit, predicted, there), f, share / counted))


def micro_f(beta: float, truth: Table, table: Table, weights: Numbers) -> Score:
    """Return F of all labels together; weights do not count."""
    sums = [each.sum(axis=1, keepdims=True, dtype=np.float64) for each in _counted(truth, table)]
    hit, predicted, there = sums
    counted = predicted.sum(axis=0) + beta**2 * there.sum(axis=0)
    _need_labels(f"micro_f{beta:g}", counted)
    f = (1 + beta**2) * hit.sum(axis=0) / counted
    return linearised(float(f[0]), _influence(beta, (hit, predicted, there), f, 1 / counted))


def weighted_f1(truth: Table, table: Table, weights: Numbers) -> Score:
    """Return the mean of each label's F1, weighted by its number of images; other weights do not count."""
    hit, predicted, there = _counted(truth, table)
    images = there.sum(axis=0, dtype=np.float64)
    _need_labels("weighted_f1", images)
    counted = np.maximum(predicted.sum(axis=0) + images, 1)
    f, share = 2 * hit.sum(axis=0) / counted, images / images.sum()
    value = float(share @ f)
    of_weights = there @ (f - value) * len(truth) / images.sum()  # an image also adds to the weight of its labels
    return linearised(value, _influence(1, (hit, predicted, there), f, share / counted) + of_weights)


def sets_f(beta: float, truth: Table, table: Table, weights: Numbers) -> Score:
    """Return the mean over images of F of the sets of labels, 1 if both are empty; weights do not count."""
    hit, predicted, there = (each.sum(axis=1) for each in _counted(truth, table))
    counted = predicted + beta**2 * there
    f = np.where(counted > 0, (1 + beta**2) * hit / np.where(counted > 0, counted, 1), 1.0)
    return mean_score(f[~np.isnan(truth).all(axis=1)])


def _counted(truth: Table, table: Table) -> tuple[Numbers, Numbers, Numbers]:
    """Return whether each label (N, C) is hit, predicted and there; unknown ones are none of these."""
    there, predicted = truth == 1, (table >= THRESHOLD) & ~np.isnan(truth)
    return (there & predicted).astype(np.float64), predicted.astype(np.float64), there.astype(np.float64)


def _influence(beta: float, counted: tuple[Numbers, Numbers, Numbers], f: Numbers, slope: Numbers) -> Numbers:
    """Return the influence (N,) of images on the weighted mean of `f`.

    Args:
        beta: Of F.
        counted: Hits, predictions and labels, (N, C) each.
        f: (C,).
        slope: (C,) weights in the mean, divided by the denominators of F.
    """
    hit, predicted, there = counted
    by_image: Numbers = (1 + beta**2) * hit @ slope - predicted @ (f * slope) - beta**2 * there @ (f * slope)
    return by_image * len(hit)


def _need_labels(name: str, counted: Numbers) -> None:
    if not counted.any():
        raise UserError(f"{name} needs images with labels, but there are none", HOLD_OUT_MORE)


SCORES: dict[str, Callable[[Table, Table, Numbers], Score]] = {
    "log_loss": log_loss,
    "brier": brier,
    "accuracy": accuracy,
    "roc_auc": partial(_of_scores, "roc_auc", full_area),
    "partial_auc_80": partial(_of_scores, "partial_auc_80", partial_area),
    "weighted_auc": partial(_of_scores, "weighted_auc", weighted_area),
    "probabilistic_f1": partial(_of_scores, "probabilistic_f1", shared_f1),
    "macro_f1": partial(macro_f, 1),
    "macro_f2": partial(macro_f, 2),
    "micro_f1": partial(micro_f, 1),
    "micro_f2": partial(micro_f, 2),
    "weighted_f1": weighted_f1,
    "sets_f1": partial(sets_f, 1),
    "sets_f2": partial(sets_f, 2),
}
