"""Compute metrics of numbers: the truth (N, C) is nan where unknown, which counts for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit import Score, UserError
from kagglekit_metrics.errors import HOLD_OUT_MORE, jackknife, linearised
from kagglekit_metrics.of_columns import mean_of_columns, mean_of_values, value_of_columns
from kagglekit_metrics.scoring import Asked, Scoring

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kagglekit_metrics.errors import Numbers, Table

    Values = NDArray[np.floating]


def of_numbers(asked: Asked) -> Scoring:
    """Return the function of a metric of numbers; all but `rmse` and `rmsle` weight columns by `metric_weights`.

    Raises:
        UserError: The weights name other columns, or the numbers may be below 0 where they must not be.
    """
    if asked.columns:
        asked.weights(asked.columns, len(asked.columns))  # a wrong name is found before anything is trained
    if asked.name == "rmsle" and asked.task is not None:
        _need_bound(asked)

    def score(truth: Table, table: Table) -> Score:
        return SCORES[asked.name](truth, table, asked.weights(asked.columns, table.shape[1]))

    def correlation(truth: Table, table: Table) -> float:
        return spearman_value(truth, table, asked.weights(asked.columns, table.shape[1]))

    return Scoring(score, correlation if asked.name == "spearman" else None)


def _need_bound(asked: Asked) -> None:
    low = asked.task.bounds[0]
    if low is None or low < 0:
        raise UserError("rmsle needs predictions that are not below 0", "set Competition.bounds to (0, None)")


def rmse(truth: Table, table: Table, weights: Numbers) -> Score:
    """Return the root of the mean squared error of all values together; weights do not count."""
    squares = (table.astype(np.float64) - truth) ** 2
    known = ~np.isnan(squares)
    total, n_known = np.where(known, squares, 0).sum(axis=1), known.sum(axis=1)
    value = float(np.sqrt(total.sum() / n_known.sum()))
    slope = len(truth) / (2 * value * n_known.sum()) if value else 0.0
    return linearised(value, (total - value**2 * n_known) * slope)


def rmsle(truth: Table, table: Table, weights: Numbers) -> Score:
    """Return `rmse` of log(1 + number).

    Raises:
        UserError: A number is not above -1.
    """
    if (np.nan_to_num(truth) <= -1).any() or (table <= -1).any():
        raise UserError("rmsle needs numbers above -1", "choose another metric")
    return rmse(np.log1p(truth.astype(np.float64)), np.log1p(table.astype(np.float64)), weights)


def mae(truth: Table, table: Table, weights: Numbers) -> Score:
    """Return the mean over columns of the mean absolute error."""
    return mean_of_values(np.abs(table.astype(np.float64) - truth), weights)


def mcrmse(truth: Table, table: Table, weights: Numbers) -> Score:
    """Return the mean over columns of the root of the mean squared error."""
    return mean_of_columns("mcrmse", _rmse, truth, table, weights)


def _rmse(truth: Values, predicted: Values) -> tuple[float, Numbers]:
    squares = (predicted.astype(np.float64) - truth) ** 2
    value = float(np.sqrt(squares.mean()))
    return value, (squares - value**2) / (2 * value) if value else np.zeros(len(squares))


def weighted_r2(truth: Table, table: Table, weights: Numbers) -> Score:
    """Return 1 - sum w (t - p)^2 / sum w (t - mean)^2 over all values, the mean being the weighted one of all values.

    Raises:
        UserError: All true numbers are equal.
    """
    t, p = truth.astype(np.float64), table.astype(np.float64)
    w = np.where(np.isnan(t), 0, weights)
    t = np.nan_to_num(t)
    if not w.any():
        raise UserError("weighted_r2 needs images whose numbers are known", HOLD_OUT_MORE)
    return _explained(
        "weighted_r2", (w * (t - p) ** 2).sum(axis=1), (w * (t - (w * t).sum() / w.sum()) ** 2).sum(axis=1)
    )


def _explained(name: str, errors: Numbers, spread: Numbers) -> Score:
    if not spread.any():
        raise UserError(f"{name} needs images with different numbers, but all are equal", HOLD_OUT_MORE)
    ratio = float(errors.sum() / spread.sum())
    return linearised(1 - ratio, (ratio * spread - errors) / spread.mean())


def r2(truth: Table, table: Table, weights: Numbers) -> Score:
    """Return the mean over columns of R2; columns whose true numbers are all equal do not count."""
    return mean_of_columns("r2", _r2, truth, table, weights)


def _r2(truth: Values, predicted: Values) -> tuple[float, Numbers] | None:
    if not _varies(truth):
        return None
    t, p = truth.astype(np.float64), predicted.astype(np.float64)
    errors, spread = (t - p) ** 2, (t - t.mean()) ** 2
    ratio = float(errors.sum() / spread.sum())
    return 1 - ratio, (ratio * spread - errors) / spread.mean()


def pearson(truth: Table, table: Table, weights: Numbers) -> Score:
    """Return the mean over columns of Pearson's correlation, 0 for constant predictions."""
    return mean_of_columns("pearson", _pearson, truth, table, weights)


def _pearson(truth: Values, predicted: Values) -> tuple[float, Numbers] | None:
    if not _varies(truth):
        return None
    if not _varies(predicted):
        return 0.0, np.zeros(len(truth))
    t, p = _standard(truth), _standard(predicted)
    value = float((t * p).mean())
    return value, t * p - value * (t**2 + p**2) / 2


def spearman(truth: Table, table: Table, weights: Numbers) -> Score:
    """Return the mean over columns of Spearman's rank correlation; its error is a jackknife's."""
    error = jackknife(lambda rows: spearman_value(truth[rows], table[rows], weights), len(truth))
    return Score(spearman_value(truth, table, weights), error)


def spearman_value(truth: Table, table: Table, weights: Numbers) -> float:
    """Return the value of `spearman`: Pearson's correlation of ranks."""
    return value_of_columns("spearman", _spearman, truth, table, weights)


def _spearman(truth: Values, predicted: Values) -> float | None:
    found = _pearson(_ranks(truth), _ranks(predicted))
    return None if found is None else found[0]


def _ranks(values: Values) -> Numbers:
    """Return the rank of each value; equal ones share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _standard(values: Values) -> Numbers:
    middle = values.astype(np.float64) - values.mean(dtype=np.float64)
    return np.asarray(middle / np.sqrt((middle**2).mean()))


def _varies(values: Values) -> bool:
    return bool((values != values[0]).any())


SCORES: dict[str, Callable[[Table, Table, Numbers], Score]] = {
    "rmse": rmse,
    "rmsle": rmsle,
    "mae": mae,
    "mcrmse": mcrmse,
    "weighted_r2": weighted_r2,
    "r2": r2,
    "pearson": pearson,
    "spearman": spearman,
}
