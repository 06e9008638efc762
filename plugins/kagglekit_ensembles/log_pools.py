"""The weighted logarithmic pool: the members' log-probabilities or log-odds are added with fitted weights.

Genest and Zidek 1986, "Combining probability distributions: a critique and an annotated bibliography", Statistical
Science 1(1). Where `weighted` mixes what members say, the pool multiplies it, and the sum of its weights is an inverse
temperature: members that agree independently make it surer than any of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit_ensembles.means import logits
from kagglekit_ensembles.method import Method, like, stacked

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit_ensembles.method import Floats, Tables

LEAST = 1e-6  # smallest probability: a member's certainty beyond that would be a veto
MOST = 10_000_000  # numbers of a member that weights are fitted to; the images are then taken evenly


def fit_pool_of_classes(tables: Tables, truth: NDArray[np.int64]) -> Floats:
    """Return the weights (K,) of K tables (N, C) with the least log loss on the classes (N,)."""
    import torch

    from kagglekit import fit_log_pool

    step = _step(tables[0].size)
    known = torch.from_numpy(truth[::step])

    def loss(pool: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(pool, known)

    return fit_log_pool(_logs([table.iloc[::step] for table in tables]), loss)


def apply_pool_of_classes(weights: Floats, tables: Tables) -> pd.DataFrame:
    """Return the normalised product of the members' probabilities to the power of their weights."""
    from scipy.special import softmax

    return like(tables[0], softmax(np.tensordot(weights, _logs(tables), 1), axis=1))


def fit_pool_of_labels(tables: Tables, truth: NDArray[np.float32]) -> Floats:
    """Return the weights (K,) of the log-odds in K tables (N, C) with the least log loss over known labels."""
    import torch

    from kagglekit import fit_log_pool

    step = _step(tables[0].size)
    known = ~np.isnan(truth[::step])
    odds = np.stack([_odds(table.iloc[::step], tables[0].iloc[::step])[known] for table in tables])
    there = torch.from_numpy(truth[::step][known].astype(np.float64))

    def loss(pool: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(pool[:, 0], there)

    return fit_log_pool(odds[:, :, None], loss)


def apply_pool_of_labels(weights: Floats, tables: Tables) -> pd.DataFrame:
    """Return the probabilities whose log-odds are the weighted sums of the members' ones."""
    from scipy.special import expit

    total = np.zeros(tables[0].shape)
    for weight, table in zip(weights, tables, strict=True):
        total += weight * _odds(table, tables[0])
    return like(tables[0], expit(total))


def _step(size: int) -> int:
    return max(1, -(-size // MOST))


def _logs(tables: Tables) -> Floats:
    """Return the members' log-probabilities, (K, N, C)."""
    return np.asarray(np.log(np.moveaxis(stacked(tables), 2, 0).clip(LEAST)))


def _odds(table: pd.DataFrame, first: pd.DataFrame) -> Floats:
    from kagglekit import aligned

    return logits(aligned(table, first), LEAST)


def _described(key: str) -> Callable[[Floats, list[str]], dict[str, Any]]:
    return lambda weights, names: {key: dict(zip(names, weights.tolist(), strict=True))}


OF_CLASSES = Method(apply_pool_of_classes, fit_pool_of_classes, _described("exponents"))
OF_LABELS = Method(apply_pool_of_labels, fit_pool_of_labels, _described("weights of log-odds"))
