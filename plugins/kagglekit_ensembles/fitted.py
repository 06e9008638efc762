"""Ensembles with fitted parameters: on all valid predictions for the test images, cross-fitted for the valid score.

Each is a pair of functions: ``fit(tables, truth, seed)`` returns parameters, ``apply(found, tables)`` combines tables
with them. The valid table is computed in five parts, each with parameters fitted on the other four.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit import Ensemble, Member, UserError
from kagglekit_ensembles.stacking import Stack, apply_stack, fit_stack

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Tables = Sequence[pd.DataFrame]
    Truth = NDArray[np.int64]

SMALLEST = 1e-15  # log loss clips there, too
FOLDS = 5
STEPS = 100  # of hill climbing
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Method:
    """The functions of a fitted ensemble.

    Attributes:
        fit: ``(tables, truth (N,), seed) -> found``.
        apply: ``(found, tables) -> table``.
        describe: ``(found, member names) -> dict`` for run.json.
    """

    fit: Callable[[Tables, Truth, int], Any]
    apply: Callable[[Any, Tables], pd.DataFrame]
    describe: Callable[[Any, list[str]], dict[str, Any]]


def fitted_ensemble(
    method: Method, members: Sequence[Member], labels: pd.Series[str], seed: int, groups: pd.Series[str] | None = None
) -> Ensemble:
    """Combine the members with the parameters of a method.

    Raises:
        UserError: There are no valid predictions.
    """
    from kagglekit import truth_numbers

    valid, test = [member.valid for member in members], [member.test for member in members]
    if not len(valid[0]):
        raise UserError("this ensemble needs valid predictions, but there are none", "use the ensemble 'mean'")
    ids = valid[0].index.sort_values()  # the result must not depend on the order of rows
    ordered = [table.loc[ids] for table in valid]
    truth = truth_numbers(labels, ordered[0])
    honest = cross_fitted(method, ordered, truth, assign_parts(labels.loc[ids], seed, groups), seed)
    found = method.fit(ordered, truth, seed)
    names = [member.name for member in members]
    return Ensemble(honest.loc[valid[0].index], method.apply(found, test), method.describe(found, names))


def cross_fitted(method: Method, tables: Tables, truth: Truth, parts: NDArray[np.int64], seed: int) -> pd.DataFrame:
    """Return the table in which every part is computed with parameters fitted on the other parts."""
    import pandas as pd

    made = []
    for part in np.unique(parts):
        own, others = parts == part, parts != part
        found = method.fit([table[others] for table in tables], truth[others], seed)
        made.append(method.apply(found, [table[own] for table in tables]))
    return pd.concat(made)


def assign_parts(labels: pd.Series[str], seed: int, groups: pd.Series[str] | None = None) -> NDArray[np.int64]:
    """Assign images to parts, stratified: sorted by class, within a class by a hash of the id.

    Args:
        labels: Class names by id, (N,).
        seed: Seed of the hash.
        groups: Names of groups by id: a group is assigned like its first image.

    Returns:
        (N,): the part of each image.
    """
    from kagglekit import group_numbers, image_keys

    everyone = np.arange(len(labels))
    numbers = None if groups is None else group_numbers(groups.reindex(labels.index).to_frame("group"), everyone)
    _, first, own = np.unique(everyone if numbers is None else numbers, return_index=True, return_inverse=True)
    names = labels.index.to_numpy()[first]
    order = np.lexsort((image_keys(list(names), "ensemble", seed), labels.to_numpy(dtype="U")[first]))
    parts = np.empty(len(first), dtype=np.int64)
    parts[order] = np.arange(len(first)) % FOLDS
    return np.asarray(parts[own])


def mixture_weights(right: NDArray[np.float64], gap: float = 1e-7, most: int = 20_000) -> NDArray[np.float64]:
    """Return the weights of the mixture with the least log loss.

    The loss ``-mean_i log sum_k w_k p_ik`` is convex in w. Each step multiplies each weight by its gradient
    ``g_k = mean_i p_ik / sum_j w_j p_ij``, which keeps them non-negative with sum 1 and never raises the
    loss; it is within ``max_k log g_k`` of the least (Cover 1984, "An algorithm for maximizing expected log
    investment return", IEEE Transactions on Information Theory 30(2); it is EM for mixture proportions).

    Args:
        right: (N, K): probability that each of K members gives to an image's true class, above 0.
        gap: Stop when the loss is this close to the least one, nats.
        most: Stop after this many steps.

    Returns:
        (K,): the weights; all equal if there is no image.
    """
    weights = np.full(right.shape[1], 1 / right.shape[1])
    for _ in range(most if len(right) else 0):
        gradient = (right / (right @ weights)[:, None]).mean(axis=0)
        if np.log(gradient.max()) <= gap:
            break
        weights *= gradient
    return np.asarray(weights / weights.sum())


def climbed_weights(right: NDArray[np.float64], steps: int = STEPS) -> NDArray[np.float64]:
    """Add members one by one with replacement, each time the one that lowers the log loss of the mean most.

    Caruana et al. 2004, "Ensemble selection from libraries of models", ICML, section 2: forward selection with
    replacement. The best ensemble of all steps is returned; of equal ones, the first.

    Args:
        right: (N, K): probability that each of K members gives to an image's true class, above 0.
        steps: Number of members to add.

    Returns:
        (K,): the share of each member; all equal if there is no image.
    """
    if not len(right):
        return np.full(right.shape[1], 1 / right.shape[1])
    total, counts = np.zeros(len(right)), np.zeros(right.shape[1])
    best = (np.inf, counts)
    for step in range(1, steps + 1):
        losses = -np.log((total[:, None] + right) / step).mean(axis=0)
        chosen = int(losses.argmin())
        total, counts = total + right[:, chosen], counts + np.eye(len(counts))[chosen]
        if losses[chosen] < best[0] - 1e-12:
            best = (float(losses[chosen]), counts)
    return np.asarray(best[1] / best[1].sum())


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


def _average(weights: NDArray[np.float64], tables: Tables) -> pd.DataFrame:
    from kagglekit import average

    return average(tables, weights.tolist())


def _weights(weights: NDArray[np.float64], names: list[str]) -> dict[str, Any]:
    return {"weights": dict(zip(names, weights.tolist(), strict=True))}


def _exponents(found: Stack | None, names: list[str]) -> dict[str, Any]:
    """Describe the members' exponents that all classes share; the weights of the mean if none were fitted."""
    if found is None:
        return _weights(np.full(len(names), 1 / len(names)), names)
    return {"exponents": dict(zip(names, found.shared.tolist(), strict=True))}


def _fit_temperature(tables: Tables, truth: Truth, seed: int) -> float:
    from kagglekit import average

    return best_temperature(average(tables).to_numpy(np.float64), truth)


def _apply_temperature(temperature: float, tables: Tables) -> pd.DataFrame:
    from kagglekit import average, make_predictions

    mean = average(tables)
    scaled = _softmax(np.log(mean.to_numpy(np.float64).clip(SMALLEST)) / temperature)
    return make_predictions(mean.index, mean.columns, scaled)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True)) if len(logits) else logits
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


METHODS = {
    "weighted": Method(lambda tables, truth, _: mixture_weights(_right(tables, truth)), _average, _weights),
    "hill-climbing": Method(lambda tables, truth, _: climbed_weights(_right(tables, truth)), _average, _weights),
    "stacking": Method(lambda tables, truth, _: fit_stack(tables, truth), apply_stack, _exponents),
    "temperature": Method(
        _fit_temperature, _apply_temperature, lambda found, names: {"temperature": round(found, 4), "of": names}
    ),
}
