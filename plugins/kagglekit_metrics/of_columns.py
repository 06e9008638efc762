"""Compute metrics that are means over columns: over labels, or over numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from kagglekit import Score, UserError
from kagglekit_metrics.errors import HOLD_OUT_MORE, linearised, of_known

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kagglekit_metrics.errors import Numbers, Table

    Known = NDArray[np.bool_]

Found = TypeVar("Found")


def mean_of_values(values: Numbers, weights: Numbers) -> Score:
    """Return the weighted mean of the columns' means.

    Args:
        values: (N, C) float64; nan counts for nothing.
        weights: (C,).

    Raises:
        UserError: Nothing is known of any column that counts.
    """
    known = ~np.isnan(values)
    n_known = np.maximum(known.sum(axis=0), 1)
    share = _shares(weights * known.any(axis=0), "no column that counts in the metric is known of these images")
    means = np.where(known, values, 0).sum(axis=0) / n_known
    influence = np.where(known, values - means, 0) @ (share * len(values) / n_known)
    return linearised(float(share @ means), influence)


def mean_of_columns(
    name: str,
    of_column: Callable[[Any, Any], tuple[float, Numbers] | None],
    truth: Table,
    table: Table,
    weights: Numbers,
) -> Score:
    """Return the weighted mean of a metric of single columns.

    Args:
        name: The metric's.
        of_column: ``(truth (n,), predictions (n,)) -> (value, influence (n,))`` of the known images of a column; None
            for a column that does not count.
        truth: (N, C); nan counts for nothing.
        table: (N, C) predictions.
        weights: (C,).

    Raises:
        UserError: No column counts.
    """
    parts = list(_columns(of_column, truth, table, weights))
    share = _shares(np.array([weight for weight, _, _ in parts]), _without_counted(name))
    value = sum(s * part[0] for s, (_, _, part) in zip(share, parts, strict=True))
    influence = sum(s * of_known(part[1], known) for s, (_, known, part) in zip(share, parts, strict=True))
    return linearised(float(value), np.asarray(influence))


def value_of_columns(
    name: str, of_column: Callable[[Any, Any], float | None], truth: Table, table: Table, weights: Numbers
) -> float:
    """Return the value of `mean_of_columns` for a function that returns values alone."""
    parts = list(_columns(of_column, truth, table, weights))
    share = _shares(np.array([weight for weight, _, _ in parts]), _without_counted(name))
    return float(share @ np.array([value for _, _, value in parts]))


def _columns(
    of_column: Callable[[Any, Any], Found | None], truth: Table, table: Table, weights: Numbers
) -> Iterator[tuple[float, Known, Found]]:
    """Yield weight, known images and result of each column that counts."""
    for column in np.flatnonzero(weights):
        known = ~np.isnan(truth[:, column])
        found = of_column(truth[known, column], table[known, column]) if known.any() else None
        if found is not None:
            yield float(weights[column]), known, found


def _shares(weights: Numbers, missing: str) -> Numbers:
    if not weights.any():
        raise UserError(missing, HOLD_OUT_MORE)
    return np.asarray(weights / weights.sum())


def _without_counted(name: str) -> str:
    return f"{name} needs a column whose known values differ, but there is none among those that count"
