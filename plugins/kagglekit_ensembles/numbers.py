"""Ensembles for numbers: fitted to the squared error of standardised ones, over all that are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit_ensembles.means import MEAN
from kagglekit_ensembles.method import Method, even_weights, like, of_weights, stacked, weighted_mean
from kagglekit_ensembles.weights import climbed_least_squares, least_squares_weights

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit import Regression
    from kagglekit_ensembles.method import Floats, Tables

    Truth = NDArray[np.float32]

# Both are prior standard deviations, in deviations of the target; half of its variance is taken to be noise.
WEIGHT = 0.3  # of a member's weight in stacking, around that of the mean
BIAS = 0.1  # of a target's bias
NOISE = 0.5
FREE = (-np.inf, np.inf)


@dataclass(frozen=True)
class Stack:
    """A ridge regression on the members' standardised numbers.

    Attributes:
        weights: (K,) of each member, shared by all targets.
        bias: (C,) of each target, in standard deviations.
    """

    weights: Floats
    bias: Floats


def methods(task: Regression) -> dict[str, Method]:
    """Return the methods for the numbers of a task."""
    mean, std = np.array(task.mean), np.array(task.std)
    low, high = (free if limit is None else limit for limit, free in zip(task.bounds, FREE, strict=True))

    def products(tables: Tables, truth: Truth) -> Floats:
        return error_products((stacked(tables) - truth[:, :, None]) / std[:, None])

    def fit(tables: Tables, truth: Truth) -> Stack | None:
        return fit_stack((stacked(tables) - mean[:, None]) / std[:, None], (truth - mean) / std)

    def apply(found: Stack | None, tables: Tables) -> pd.DataFrame:
        if found is None:
            return MEAN.apply(None, tables)
        standard = (stacked(tables) - mean[:, None]) / std[:, None]
        return like(tables[0], ((standard @ found.weights + found.bias) * std + mean).clip(low, high))

    return {
        "mean": MEAN,
        "weighted": Method(weighted_mean, lambda t, y: least_squares_weights(products(t, y)), of_weights),
        "hill-climbing": Method(weighted_mean, lambda t, y: climbed_least_squares(products(t, y)), of_weights),
        "stacking": Method(apply, fit, _describe),
    }


def error_products(errors: Floats) -> Floats:
    """Return the mean products (K, K) of the members' errors (N, C, K) over all known numbers; zeros if none is."""
    known = errors[~np.isnan(errors).any(axis=2)]
    return np.asarray(known.T @ known / max(1, len(known)))


def fit_stack(members: Floats, truth: Floats) -> Stack | None:
    """Fit a ridge regression; return None if no number is known.

    The weights are drawn to those of the mean, 1 / K, and the biases to 0: members are so alike that least squares
    alone would not determine their weights.

    Args:
        members: (N, C, K) standardised numbers.
        truth: (N, C) standardised numbers, nan where unknown.
    """
    rows, columns = np.nonzero(~np.isnan(truth))
    if not len(rows):
        return None
    inputs, n_members = members[rows, columns], members.shape[2]
    design = np.concatenate([inputs, np.eye(truth.shape[1])[columns]], axis=1)
    penalty = NOISE / np.repeat([WEIGHT, BIAS], [n_members, truth.shape[1]]) ** 2
    rest = truth[rows, columns] - inputs.mean(axis=1)
    found = np.linalg.solve(design.T @ design + np.diag(penalty), design.T @ rest)
    return Stack(found[:n_members] + 1 / n_members, found[n_members:])


def _describe(found: Stack | None, names: list[str]) -> dict[str, Any]:
    return even_weights(None, names) if found is None else of_weights(found.weights, names)
