"""Pool a member's predictions at several image sizes: the weights of the sizes are found on the valid images.

A network trained on crops that show objects large often predicts best at a larger size than it was trained at, and
differently at each (Touvron et al. 2019, "Fixing the train-test resolution discrepancy", arXiv:1906.06423).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kagglekit.data.parts import assign_parts
from kagglekit.types.predictions import average, make_predictions, save_predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kagglekit.tasks.task import Task, Truth
    from kagglekit.training.context import RunContext


def fit_size_weights(task: Task, tables: Sequence[pd.DataFrame], truth: Truth) -> list[float]:
    """Return the weights, not negative and with sum 1, of the mean with the least loss (`Task.losses`).

    Args:
        task: What is predicted; any kind that can tell the losses of predictions.
        tables: Of each size, (N, C), rows and columns alike.
        truth: Of the N rows.

    Returns:
        A weight for each size; all equal if there are no rows, or nothing better is found.
    """
    from scipy.optimize import Bounds, LinearConstraint, minimize

    even = np.full(len(tables), 1 / len(tables))
    if not len(truth) or len(tables) == 1:
        return even.tolist()
    values = np.stack([table.to_numpy(np.float64) for table in tables])

    def loss(weights: NDArray[np.float64]) -> float:
        return float(np.nanmean(task.losses(truth, np.tensordot(weights, values, 1))))

    sum_is_1 = LinearConstraint(np.ones((1, len(even))), 1, 1)
    found = minimize(loss, even, method="SLSQP", bounds=Bounds(0, 1), constraints=sum_is_1).x.clip(0, 1)
    found = found / found.sum()
    return [float(weight) for weight in (found if loss(found) < loss(even) else even)]


def cross_fitted_mean(
    task: Task, tables: Sequence[pd.DataFrame], truth: Truth, seed: int, groups: pd.Series[str] | None
) -> pd.DataFrame:
    """Return the weighted mean in which every part of the rows has the weights that fit the other parts best."""
    first = tables[0]
    parts = assign_parts(list(first.index), task.strata(truth), seed, groups)
    made = np.empty(first.shape, np.float64)
    for part in np.unique(parts):
        own = parts == part
        weights = fit_size_weights(task, [table[~own] for table in tables], truth[~own])
        made[own] = average([table[own] for table in tables], weights).to_numpy()
    return make_predictions(first.index, first.columns, made)


def mean_of_sizes(tables: Mapping[int, pd.DataFrame], weights: Mapping[str, float]) -> pd.DataFrame:
    """Return the mean of predictions by size, with the weights that run.json has; equal ones if it has none."""
    known = np.array([weights.get(str(size), 0.0) for size in tables])
    return average(list(tables.values()), (known / known.sum()).tolist() if known.sum() > 0 else None)


def pooled(
    context: RunContext, name: str, valid: Mapping[int, pd.DataFrame], test: Mapping[int, pd.DataFrame]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pool a member's predictions by size; keep those of each size, record the weights, and report the gain.

    Args:
        context: The run's.
        name: The member.
        valid: By size, px, the own one first. The pooled rows are cross-fitted.
        test: By size.
    """
    for split, by_size in (("valid", valid), ("test", test)):
        for size, table in by_size.items():
            save_predictions(table, context.run.predictions(f"{name}@{size}", split))
    task, images, tables = context.task, context.images, list(valid.values())
    weights = context.record.info.size_weights.get(name, {})
    if not len(tables[0]):
        return mean_of_sizes(valid, weights), mean_of_sizes(test, weights)
    truth, groups = images.truth("valid"), images.group_names("valid")
    found = fit_size_weights(task, tables, truth)
    weights = {str(size): round(weight, 6) for size, weight in zip(valid, found, strict=True)}
    mean = cross_fitted_mean(task, tables, truth, context.recipe.seed, groups)
    context.display.report(describe_sizes(task, name, valid, mean, weights, truth))
    context.record.update(size_weights={**context.record.info.size_weights, name: weights})
    return mean, mean_of_sizes(test, weights)


def describe_sizes(
    task: Task,
    name: str,
    tables: Mapping[int, pd.DataFrame],
    mean: pd.DataFrame,
    weights: Mapping[str, float],
    truth: Truth,
) -> str:
    """Return the line that says what several sizes gain over the member's own, the first, on the valid images."""
    size, own = next(iter(tables.items()))
    text = f"{name}: sizes " + ", ".join(f"{each} px {weight:.2f}" for each, weight in weights.items())
    gains = task.losses(truth, own.to_numpy()) - task.losses(truth, mean.to_numpy())
    gains = gains[np.isfinite(gains)]
    if len(gains) < 2:
        return text
    error, change = gains.std(ddof=1) / np.sqrt(len(gains)), "lower" if gains.mean() > 0 else "raise"
    return f"{text}; together they {change} the valid loss of {size} px by {abs(gains.mean()):.4f} ± {error:.4f}"
