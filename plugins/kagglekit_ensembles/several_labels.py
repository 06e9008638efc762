"""Ensembles for several labels an image: each known pair of an image and a label is an example of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit_ensembles.log_pools import OF_LABELS
from kagglekit_ensembles.means import LOG_ODDS, MEAN, RANKS, logits
from kagglekit_ensembles.method import SMALLEST, Method, even_weights, like, of_weights, stacked, weighted_mean
from kagglekit_ensembles.one_label import TEMPERATURES, of_temperature
from kagglekit_ensembles.weights import climbed_weights, quick_mixture_weights

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit_ensembles.method import Floats, Tables

    Truth = NDArray[np.float32]

MOST_PAIRS = 300_000  # some weights need no more; the images are then taken evenly
LEAST = 1e-6  # smallest probability in stacking: differences below are noise
BIAS = 0.5  # prior standard deviation of a label's bias in stacking; that of a member's weight is 1


@dataclass(frozen=True)
class Stack:
    """A logistic regression on the members' log-odds.

    Attributes:
        weights: (K,) of each member, shared by all labels.
        bias: (C,) of each label.
    """

    weights: Floats
    bias: Floats


def _pairs(truth: Truth) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns of known labels, at most `MOST_PAIRS` of them."""
    known = ~np.isnan(truth)
    step = max(1, -(-int(known.sum()) // MOST_PAIRS))
    rows, columns = np.nonzero(known[::step])
    return rows * step, columns


def _right(tables: Tables, truth: Truth) -> Floats:
    """Return the probability (M, K) that each member gives to the truth of M pairs."""
    rows, columns = _pairs(truth)
    values = stacked(tables)[rows, columns]
    return np.where(truth[rows, columns, None] == 1, values, 1 - values).clip(SMALLEST)


def best_temperature(probabilities: Floats, truth: Truth) -> float:
    """Return the temperature T at which ``sigmoid(log-odds / T)`` has the least log loss over known labels.

    Args:
        probabilities: (N, C).
        truth: (N, C) 0, 1 or nan.

    Returns:
        T within [0.05, 20]; 1 if no label is known.
    """
    from scipy.optimize import minimize_scalar

    rows, columns = _pairs(truth)
    if not len(rows):
        return 1.0
    signs = np.where(truth[rows, columns] == 1, 1.0, -1.0)
    margins = signs * logits(probabilities[rows, columns])

    def loss(log_t: float) -> float:
        return float(np.logaddexp(0, -margins / np.exp(log_t)).mean())

    found = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def _fit_temperature(tables: Tables, truth: Truth) -> float:
    from kagglekit import average

    return best_temperature(average(tables).to_numpy(np.float64), truth)


def _apply_temperature(temperature: float, tables: Tables) -> pd.DataFrame:
    from scipy.special import expit

    from kagglekit import average

    mean = average(tables)
    return like(mean, expit(logits(mean.to_numpy(np.float64)) / temperature))


def fit_stack(tables: Tables, truth: Truth) -> Stack | None:
    """Fit the regression to K tables (N, C); return None if the labels do not determine it."""
    from scipy.sparse import csr_array, hstack
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    rows, columns = _pairs(truth)
    target = truth[rows, columns] == 1
    if len(np.unique(target)) < 2:
        return None
    odds, n_labels = logits(stacked(tables)[rows, columns], LEAST), truth.shape[1]
    biases = csr_array((np.full(len(rows), BIAS), (np.arange(len(rows)), columns)), shape=(len(rows), n_labels))
    with threadpool_limits(1, "blas"):
        regression = LogisticRegression(fit_intercept=False, max_iter=500)
        found = regression.fit(hstack([csr_array(odds), biases]).tocsr(), target).coef_[0]
    return Stack(found[: odds.shape[1]], BIAS * found[odds.shape[1] :])


def apply_stack(found: Stack | None, tables: Tables) -> pd.DataFrame:
    """Predict with fitted parameters; with the mean if there are none."""
    from scipy.special import expit

    if found is None:
        return MEAN.apply(None, tables)
    return like(tables[0], expit(logits(stacked(tables), LEAST) @ found.weights + found.bias))


def _describe(found: Stack | None, names: list[str]) -> dict[str, Any]:
    if found is None:
        return even_weights(None, names)
    return {"weights of log-odds": dict(zip(names, found.weights.tolist(), strict=True))}


METHODS = {
    "mean": MEAN,
    "geometric": LOG_ODDS,
    "log-odds": LOG_ODDS,
    "rank": RANKS,
    "weighted": Method(weighted_mean, lambda tables, truth: quick_mixture_weights(_right(tables, truth)), of_weights),
    "log-weighted": OF_LABELS,
    "hill-climbing": Method(weighted_mean, lambda tables, truth: climbed_weights(_right(tables, truth)), of_weights),
    "stacking": Method(apply_stack, fit_stack, _describe),
    "temperature": Method(_apply_temperature, _fit_temperature, of_temperature),
}
