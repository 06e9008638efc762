"""Ensembles for one label an image that are fitted: to the probability of each image's class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit_ensembles.log_pools import OF_CLASSES
from kagglekit_ensembles.means import GEOMETRIC, MEAN, RANK_SHARES
from kagglekit_ensembles.method import SMALLEST, Method, even_weights, like, of_weights, weighted_mean
from kagglekit_ensembles.stacking import Stack, apply_stack, fit_stack
from kagglekit_ensembles.weights import climbed_weights, mixture_weights

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit_ensembles.method import Tables

    Truth = NDArray[np.int64]

TEMPERATURES = (0.05, 20.0)


def best_temperature(probabilities: NDArray[np.float64], truth: Truth) -> float:
    """Return the temperature T at which ``softmax(log p / T)`` has the least log loss.

    Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599, section 4.2.

    Returns:
        T within [0.05, 20]: above 1, predictions become less confident; 1 if there is no image.
    """
    from scipy.optimize import minimize_scalar

    if not len(truth):
        return 1.0
    logs = np.log(probabilities.clip(SMALLEST))
    rows = np.arange(len(truth))

    def loss(log_t: float) -> float:
        return float(-np.log(_softmax(logs / np.exp(log_t))[rows, truth].clip(SMALLEST)).mean())

    found = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def _right(tables: Tables, truth: Truth) -> NDArray[np.float64]:
    """Return the probability (N, K) of each image's true class in each table."""
    columns = [table.to_numpy(dtype=np.float64)[np.arange(len(truth)), truth] for table in tables]
    return np.stack(columns, axis=1).clip(SMALLEST)


def _exponents(found: Stack | None, names: list[str]) -> dict[str, Any]:
    """Describe the members' exponents that all classes share; the weights of the mean if none were fitted."""
    if found is None:
        return even_weights(None, names)
    return {"exponents": dict(zip(names, found.shared.tolist(), strict=True))}


def _fit_temperature(tables: Tables, truth: Truth) -> float:
    from kagglekit import average

    return best_temperature(average(tables).to_numpy(np.float64), truth)


def _apply_temperature(temperature: float, tables: Tables) -> pd.DataFrame:
    from kagglekit import average

    mean = average(tables)
    return like(mean, _softmax(np.log(mean.to_numpy(np.float64).clip(SMALLEST)) / temperature))


def of_temperature(found: float, names: list[str]) -> dict[str, Any]:
    """Describe a temperature."""
    return {"temperature": round(found, 4), "of": names}


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True)) if len(logits) else logits
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


METHODS = {
    "mean": MEAN,
    "geometric": GEOMETRIC,
    "rank": RANK_SHARES,
    "weighted": Method(weighted_mean, lambda tables, truth: mixture_weights(_right(tables, truth)), of_weights),
    "log-weighted": OF_CLASSES,
    "hill-climbing": Method(weighted_mean, lambda tables, truth: climbed_weights(_right(tables, truth)), of_weights),
    "stacking": Method(apply_stack, fit_stack, _exponents),
    "temperature": Method(_apply_temperature, _fit_temperature, of_temperature),
}
