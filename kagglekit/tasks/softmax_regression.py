"""Fit the head by regularised logistic regression on cached activations; cross-validation chooses the strength."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kagglekit.tasks.cross_validation import scaled

FEW = 2  # images of a class: too few to cross-validate on
STRENGTHS = tuple(float(c) for c in np.logspace(-4.5, 1.5, 13))  # scikit-learn's C, strongest regularisation first


@dataclass(frozen=True)
class Validated:
    """The strength of a regression, found by cross-validation.

    Attributes:
        strength: C of scikit-learn's LogisticRegression.
        log_loss: Its cross-validated log loss, nats; nan without cross-validation.
        held_out: (N, C) float32 logits of the regressions that were fitted without each image's fold, nan where no fold
            holds it out; None without cross-validation.
    """

    strength: float
    log_loss: float = float("nan")
    held_out: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class LinearHead:
    """A fitted linear layer.

    Attributes:
        weight: (C, F) float32, for raw features (the standardisation is folded in).
        bias: (C,) float32.
        validated: Its strength.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    validated: Validated


def fit_linear_head(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    n_classes: int,
    seed: int,
    groups: NDArray[np.int64] | None = None,
    strength: float | None = None,
) -> LinearHead:
    """Fit multinomial logistic regression with an L2 penalty to standardised features.

    Args:
        features: (N, F).
        labels: (N,) class numbers, each class at least once.
        n_classes: C.
        seed: Seed of the folds.
        groups: (N,) group numbers; a group's images are in one fold. None if there are no groups.
        strength: The strength, if it is known; else that of `validate_linear_head`.
    """
    with solving():
        standard, mean, std, turn = _standard(features)
        validated = Validated(strength) if strength else _validated(standard, labels, n_classes, seed, groups)
        weight, bias = _coefficients(_fitted(standard, labels, validated.strength), n_classes)
    weight = weight if turn is None else weight @ turn
    folded = weight / std
    return LinearHead(folded.astype(np.float32), (bias - folded @ mean).astype(np.float32), validated)


def validate_linear_head(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    n_classes: int,
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> Validated:
    """Return the strength with the lowest cross-validated log loss.

    The search goes from strong to weak regularisation, starts each fit from the one before it, and ends once the loss
    gets worse. Arguments as for `fit_linear_head`, which costs a half more.
    """
    with solving():
        return _validated(_standard(features)[0], labels, n_classes, seed, groups)


@contextmanager
def solving() -> Iterator[None]:
    """Give each of several regressions that are fitted in threads one core, and keep scikit-learn from warning.

    More threads in each would only wait. The warnings are of few images in a class, and of fits that end early, which
    also regularises. The settings are the whole process's: who fits in threads holds this block around them.
    """
    from sklearn.exceptions import ConvergenceWarning

    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes")
        warnings.filterwarnings("ignore", "The least populated class")
        yield


def _standard(
    features: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
    """Return standardised features, their mean and deviation (F,), and the axes of features that were turned."""
    mean, std = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64) + 1e-6
    standard = scaled(features, mean, std)
    if 2 * len(standard) < standard.shape[1]:
        turned, axes = _turned(standard)
        return turned, mean, std, axes
    return standard, mean, std, None


def describe_regression(found: LinearHead, labels: NDArray[np.int64]) -> str:
    """Return the line that reports a regression; it explains a loss that is worse than chance, or unknown.

    Args:
        found: The fitted layer.
        labels: (N,) class numbers of the images that it was fitted to.
    """
    n_classes = len(found.bias)
    few = int((np.bincount(labels, minlength=n_classes) <= FEW).sum())
    why = f"{few} of {n_classes} classes have {FEW} training images or fewer"
    text = f"logistic regression, C {found.validated.strength:.2g}"
    log_loss = found.validated.log_loss
    if not np.isfinite(log_loss):
        return f"{text}, not validated: {why}"
    text += f", log loss {log_loss:.4f} in cross-validation on the training images"
    chance = float(np.log(n_classes))
    if log_loss <= chance:
        return text
    return f"{text}: worse than chance ({chance:.4f}); {why if few else 'these features do not separate the classes'}"


def class_folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64] | None, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return the training and held-out rows of at most three stratified folds of whole groups; empty if none fit."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    units = labels if groups is None else np.unique(np.stack([labels, groups]), axis=1)[0]  # a group in each class once
    most = int(np.bincount(units).max())
    if most < 2:  # one image a class: nothing to validate on
        return []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        warnings.filterwarnings("ignore", "The number of unique classes")
        splits = kind(min(3, most), shuffle=True, random_state=seed).split(labels, labels, groups)
        return [(train, held) for train, held in splits if len(held) and len(set(labels[train])) > 1]


def _validated(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    n_classes: int,
    seed: int,
    groups: NDArray[np.int64] | None,
) -> Validated:
    """Return the strength with the lowest cross-validated log loss; without folds, the middle one.

    Args:
        features: (N, F), standardised.
        labels: (N,).
        n_classes: C.
        seed: Seed of the folds.
        groups: (N,) or None.
    """
    folds = [(features[train], labels[train], held) for train, held in class_folds(labels, groups, seed)]
    if not folds:
        return Validated(STRENGTHS[len(STRENGTHS) // 2])
    regressions = [_regression() for _ in folds]

    def fit(regression: Any, fold: tuple[Any, Any, Any], strength: float) -> NDArray[np.float64]:
        part, of, held = fold
        weight, bias = _coefficients(regression.set_params(C=strength).fit(part, of), n_classes)
        logits: NDArray[np.float64] = features[held] @ weight.T + bias
        return logits

    best, best_logits = (STRENGTHS[0], np.inf), []
    of_all = np.concatenate([labels[held] for _, _, held in folds])
    with ThreadPoolExecutor(len(folds)) as threads:
        for strength in STRENGTHS:
            logits = list(threads.map(partial(fit, strength=strength), regressions, folds))
            loss = float(_losses(np.concatenate(logits), of_all).mean())
            if loss >= best[1]:
                break
            best, best_logits = (strength, loss), logits
    held_out = np.full((len(labels), n_classes), np.nan, np.float32)
    for (_, _, held), part in zip(folds, best_logits, strict=True):
        held_out[held] = part
    return Validated(*best, held_out)


def _losses(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    from scipy.special import log_softmax

    table: NDArray[np.float64] = log_softmax(logits, axis=1)
    return -table[np.arange(len(labels)), labels]


def _turned(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return features (N, F) in coordinates (N, N) of the space that they span, and its axes (N, F).

    An L2 penalty does not depend on the axes, and weights outside of that space only cost: with fewer images than
    features, the regression is the same, and its cost that of N features. The symmetric root of the images' products
    spreads the features over all axes, so that a fit ends as early as on the features themselves.
    """
    exact = features.astype(np.float64)  # in float32, rounding would decide which small squares count
    squares, axes = np.linalg.eigh(exact @ exact.T)
    there = squares > squares[-1] * 1e-10
    lengths, axes = np.sqrt(squares[there]), axes[:, there]
    return ((axes * lengths) @ axes.T).astype(np.float32), (axes / lengths) @ axes.T @ exact


def _fitted(features: NDArray[np.float32], labels: NDArray[np.int64], strength: float) -> Any:
    """Return the regression of a strength, fitted on the way that cross-validation went: from strong to weak.

    Each fit ends early, which regularises as well: one that began at the last strength would not be what was validated.
    """
    regression = _regression()
    for each in STRENGTHS:
        if each <= strength:
            regression.set_params(C=each).fit(features, labels)
    return regression


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=200, tol=2e-3, warm_start=True)


def _coefficients(regression: Any, n_classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weight (C, F) and bias (C,); a class that a fold does not have gets weight zero and a low bias."""
    coefficients, intercepts = regression.coef_, regression.intercept_
    if len(regression.classes_) == 2:  # one row stands for both
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weight = np.zeros((n_classes, coefficients.shape[1]))
    bias = np.full(n_classes, intercepts.min() - 10.0)
    weight[regression.classes_], bias[regression.classes_] = coefficients, intercepts
    return weight, bias
