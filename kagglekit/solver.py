"""The head as a regularised logistic regression on cached activations, its strength by cross-validation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from kagglekit.errors import UserError

STRENGTHS = tuple(float(c) for c in np.logspace(-4.5, 1.5, 13))  # scikit-learn's C, weakest weights first


@dataclass(frozen=True)
class LinearHead:
    """A fitted linear layer.

    Attributes:
        weight: (C, F) float32, for features as they are (the standardisation is folded in).
        bias: (C,) float32.
        strength: The chosen C of scikit-learn's LogisticRegression.
        log_loss: Its cross-validated log loss, nats.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float
    log_loss: float


def fit_linear_head(features: NDArray[np.float32], labels: NDArray[np.int64], n_classes: int, seed: int) -> LinearHead:
    """Fit multinomial logistic regression with an L2 penalty to standardised features.

    The strength is the one of least cross-validated log loss; the search walks from strong to weak
    regularisation and stops once it gets worse. Classes are then in each fold as far as their counts allow.

    Args:
        features: (N, F).
        labels: (N,) class numbers, each class at least once.
        n_classes: C.
        seed: Of the folds.
    """
    mean, std = features.mean(0), features.std(0) + 1e-6
    standard = ((features - mean) / std).astype(np.float32)
    losses: list[float] = []
    for strength in STRENGTHS:
        losses.append(_validated(standard, labels, n_classes, strength, seed))
        if len(losses) > 1 and losses[-1] > losses[-2]:
            break
    best = int(np.argmin(losses))
    weight, bias = _fitted(standard, labels, n_classes, STRENGTHS[best])
    folded = weight / std
    return LinearHead(
        folded.astype(np.float32), (bias - folded @ mean).astype(np.float32), STRENGTHS[best], losses[best]
    )


def linear_layer(head: nn.Module) -> nn.Linear:
    """Return the only layer with parameters of a linear head.

    Raises:
        UserError: The head is more than a linear layer.
    """
    layers = [module for module in head.modules() if list(module.parameters(recurse=False))]
    if len(layers) != 1 or not isinstance(layers[0], nn.Linear):
        raise UserError(
            "solver=regression finds the weights of a single linear layer; this head has more",
            "use solver=gradient for it: --set stage.1.solver=gradient",
        )
    return layers[0]


def _validated(
    features: NDArray[np.float32], labels: NDArray[np.int64], n_classes: int, strength: float, seed: int
) -> float:
    from sklearn.model_selection import StratifiedKFold

    losses = np.zeros(len(labels))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        folds = list(StratifiedKFold(3, shuffle=True, random_state=seed).split(features, labels))
    for train, held in folds:
        weight, bias = _fitted(features[train], labels[train], n_classes, strength)
        logits = features[held] @ weight.T + bias
        peak = logits.max(1)
        total = np.log(np.exp(logits - peak[:, None]).sum(1)) + peak
        losses[held] = total - logits[np.arange(len(held)), labels[held]]
    return float(losses.mean())


def _fitted(
    features: NDArray[np.float32], labels: NDArray[np.int64], n_classes: int, strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit the classes that are there; a class that is missing from a fold gets weight zero and a low bias."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough: the network trains on from here
        fitted = LogisticRegression(C=strength, max_iter=200, tol=1e-4).fit(features, labels)
    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:  # one row stands for both
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weight = np.zeros((n_classes, features.shape[1]))
    bias = np.full(n_classes, intercepts.min() - np.log(len(labels)))
    weight[fitted.classes_], bias[fitted.classes_] = coefficients, intercepts
    return weight, bias
