"""Change the probabilities of classes: insert a class of the unknown, or another prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit import Competition, Decision, Recipe, UserError, listing
from kagglekit_decisions.candidates import best_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kagglekit import Task

    Values = NDArray[np.float32]
    Floats = NDArray[np.float64]
    Score = Callable[[Any, Values], float]

NEW_CLASS, TARGET_PRIOR = "new_class", "target_prior"  # options
TRIED = 100  # probabilities of the new class
STEPS, CLOSE = 1000, 1e-7  # of EM
SMALLEST = 1e-9


def new_class(recipe: Recipe, competition: Competition, task: Task) -> Decision:
    """Return the decision that gives the class `options.new_class` a constant probability.

    It is ranked first where the likeliest other class is below that, and second or later elsewhere.

    Raises:
        UserError: There is no such class.
    """
    name = recipe.options.get(NEW_CLASS, "new_whale")
    if name not in task.columns:
        raise UserError(
            f"decision=new-class needs the class {name!r}, but the classes are {listing(task.columns)}",
            f"name the class of unknown ones: --set options.{NEW_CLASS}=NAME",
        )
    column = task.columns.index(name)

    def scores(tried: Floats, truth: Any, values: Values, score: Score) -> list[float]:
        return [score(truth, _inserted(values, column, float(at))) for at in tried]

    def fit(truth: Any, values: Values, score: Score) -> dict[str, float]:
        tried = _candidates(values, column)
        return {"probability": best_of(tried, scores(tried, truth, values, score), float(np.median(tried)))}

    def curves(found: Any, truth: Any, values: Values, score: Score) -> dict[str, list[tuple[float, float]]]:
        tried = np.unique(np.append(_candidates(values, column), found["probability"]))
        pairs = zip(tried.tolist(), scores(tried, truth, values, score), strict=True)
        return {f"probability of {name}": [each for each in pairs if np.isfinite(each[1])]}

    def apply(found: Any, values: Values) -> Values:
        return _inserted(values, column, found["probability"]) if found else values

    return Decision("new-class", apply, {}, fit, curves)


def _inserted(values: Values, column: int, probability: float) -> Values:
    """Return probabilities (N, C) with another one of a class, each row divided by its sum, which keeps the ranks."""
    changed = values.astype(np.float64)
    changed[:, column] = probability
    ranked: Values = (changed / changed.sum(axis=1, keepdims=True)).astype(np.float32)
    return ranked


def _candidates(values: Values, column: int) -> Floats:
    """Return probabilities between those that images give to their likeliest other class."""
    best = np.unique(np.delete(values, column, axis=1).max(axis=1).astype(np.float64))
    middle = np.concatenate([[best[0] / 2], (best[1:] + best[:-1]) / 2, [(best[-1] + 1) / 2]]).clip(SMALLEST)
    return middle if len(middle) <= TRIED else np.quantile(middle, np.linspace(0, 1, TRIED))


def prior_shift(recipe: Recipe, competition: Competition, task: Task) -> Decision:
    """Return the decision that changes probabilities from the prior of the labelled images to another one.

    Each p_c is multiplied by target_c / source_c and each row divided by its sum (Saerens, Latinne and Decaestecker
    2002, "Adjusting the outputs of a classifier to new a priori probabilities", Neural Computation 14(1), equation
    2.4). The source is the mean prediction for labelled images. The target is `options.target_prior`, or else estimated
    from the predictions it is applied to, without their labels.

    Raises:
        UserError: The target prior has other classes, or negative numbers.
    """
    target = _target(recipe.options.get(TARGET_PRIOR) or {}, task)

    def fit(truth: Any, values: Values, score: Score) -> dict[str, Any]:
        return {"prior": dict(zip(task.columns, values.mean(axis=0, dtype=np.float64).tolist(), strict=True))}

    def apply(found: Any, values: Values) -> Values:
        if not found or not len(values):
            return values
        source = np.array([found["prior"][name] for name in task.columns]).clip(SMALLEST)
        other = estimated_prior(values.astype(np.float64), source) if target is None else target
        return _reweighted(values.astype(np.float64), other / source).astype(np.float32)

    return Decision("prior-shift", apply, {}, fit)


def _target(given: dict[str, float], task: Task) -> Floats | None:
    if not given:
        return None
    strange = [name for name in given if name not in task.columns]
    numbers = np.array([float(given.get(name, 0.0)) for name in task.columns])
    if strange or (numbers < 0).any() or not numbers.any():
        what = f"names other classes: {listing(strange)}" if strange else "needs numbers above 0"
        raise UserError(f"options.{TARGET_PRIOR} {what}", f"use some of the classes {listing(task.columns)}")
    return np.asarray(numbers / numbers.sum())


def estimated_prior(values: Floats, source: Floats) -> Floats:
    """Estimate the prior of unlabelled images by expectation maximisation (Saerens et al. 2002, equation 2.9).

    One image a class with the source prior is added, so that a few images shift it little.

    Args:
        values: Probabilities (N, C).
        source: (C,) the prior that they were learnt with.

    Returns:
        (C,) sum 1.
    """
    prior: Floats = source / source.sum()
    n_classes = len(source)
    for _ in range(STEPS):
        summed = _reweighted(values, prior / source).sum(axis=0) + n_classes * source
        before, prior = prior, summed / summed.sum()
        if np.abs(prior - before).max() < CLOSE:
            break
    return prior


def _reweighted(values: Floats, weights: Floats) -> Floats:
    changed = values * weights + SMALLEST**2
    return np.asarray(changed / changed.sum(axis=1, keepdims=True))
