"""Gradient-boosted trees for one label, several labels and numbers, with outputs that can be added.

Outputs (N, C) are log-probabilities of classes, log-odds of labels, or standardised numbers, as in `log_pools`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kagglekit_ensembles.log_pools import LEAST
from kagglekit_ensembles.means import logits

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from kagglekit import Regression, Task
    from kagglekit_ensembles.method import Floats, Truth

    Mask = NDArray[np.bool_]
    Loss = Callable[[Tensor], Tensor]

SETTINGS: dict[str, Any] = {
    "max_iter": 60, "learning_rate": 0.1, "max_leaf_nodes": 8, "min_samples_leaf": 20, "l2_regularization": 1.0,
    "early_stopping": False,
}  # fmt: skip
"""Few and small trees: there are some hundred to some thousand valid images, and the pool drops what they overfit."""


@dataclass(frozen=True)
class Trees:
    """The functions of trees for one kind of task.

    Attributes:
        base: Predictions (N, C) to outputs (N, C).
        fit: ``(features (N, F), categories (F,), base outputs, truth) -> fitted``.
        outputs: ``(fitted, features, base outputs) -> outputs``; the base's own where nothing could be fitted.
        loss: The truth to the mean loss of outputs (N, C).
        predictions: Outputs (N, C) to predictions.
    """

    base: Callable[[Floats], Floats]
    fit: Callable[[Floats, Mask, Floats, Truth], Any]
    outputs: Callable[[Any, Floats, Floats], Floats]
    loss: Callable[[Truth], Loss]
    predictions: Callable[[Floats], Floats]


def trees_for(task: Task, seed: int) -> Trees | None:
    """Return the trees for a task, by its kind or that of a task that it extends; None if there are none."""
    for kind in task.kinds():
        if kind == "single-label":
            return _of_classes(seed)
        if kind == "multi-label":
            return _of_labels(seed)
        if kind == "regression":
            return _of_numbers(cast("Regression", task), seed)
    return None


def _of_classes(seed: int) -> Trees:
    from scipy.special import softmax

    def fit(features: Floats, categories: Mask, base: Floats, truth: Truth) -> Any:
        return _classified(features, categories, truth, seed) if len(np.unique(truth)) > 1 else None

    def outputs(fitted: Any, features: Floats, base: Floats) -> Floats:
        if fitted is None or not len(features):
            return base
        made = base.copy()  # a class of which there was no image keeps what the images say
        made[:, fitted.model.classes_] = np.log(fitted.model.predict_proba(features[:, fitted.used]).clip(LEAST))
        return made

    def loss(truth: Truth) -> Loss:
        import torch

        known = torch.from_numpy(truth)
        return lambda pool: torch.nn.functional.cross_entropy(pool, known)

    def predictions(pool: Floats) -> Floats:
        return np.asarray(softmax(pool, axis=1))

    return Trees(lambda values: np.asarray(np.log(values.clip(LEAST))), fit, outputs, loss, predictions)


def _of_labels(seed: int) -> Trees:
    from scipy.special import expit

    def fit(features: Floats, categories: Mask, base: Floats, truth: Truth) -> list[Any]:
        made = []
        for column in truth.T:
            known = ~np.isnan(column)
            different = len(np.unique(column[known])) > 1
            made.append(_classified(features[known], categories, column[known], seed) if different else None)
        return made

    def outputs(fitted: list[Any], features: Floats, base: Floats) -> Floats:
        made = base.copy()
        for column, each in enumerate(fitted):
            if each is not None and len(features):
                made[:, column] = logits(each.model.predict_proba(features[:, each.used])[:, 1], LEAST)
        return made

    def loss(truth: Truth) -> Loss:
        import torch

        known = torch.from_numpy(~np.isnan(truth))
        there = torch.from_numpy(truth.astype(np.float64))[known]
        return lambda pool: torch.nn.functional.binary_cross_entropy_with_logits(pool[known], there)

    return Trees(lambda values: logits(values, LEAST), fit, outputs, loss, lambda pool: np.asarray(expit(pool)))


def _of_numbers(task: Regression, seed: int) -> Trees:
    """Return trees that predict what the mean prediction lacks of a number."""
    center, scale = np.array(task.mean), np.array(task.std)
    low, high = (free if limit is None else limit for limit, free in zip(task.bounds, (-np.inf, np.inf), strict=True))

    def fit(features: Floats, categories: Mask, base: Floats, truth: Truth) -> list[Any]:
        from sklearn.ensemble import HistGradientBoostingRegressor

        made = []
        for rest in ((truth - center) / scale - base).T:
            known = ~np.isnan(rest)
            of = HistGradientBoostingRegressor
            made.append(_fitted(of, features[known], categories, rest[known], seed) if known.sum() > 1 else None)
        return made

    def outputs(fitted: list[Any], features: Floats, base: Floats) -> Floats:
        made = base.copy()
        for column, each in enumerate(fitted):
            if each is not None and len(features):
                made[:, column] += each.model.predict(features[:, each.used])
        return made

    def loss(truth: Truth) -> Loss:
        import torch

        known = torch.from_numpy(~np.isnan(truth))
        there = torch.from_numpy((truth - center) / scale)[known]
        return lambda pool: ((pool[known] - there) ** 2).mean()

    def predictions(pool: Floats) -> Floats:
        return np.asarray((pool * scale + center).clip(low, high))

    return Trees(lambda values: (values - center) / scale, fit, outputs, loss, predictions)


@dataclass(frozen=True)
class _Fitted:
    """A model, and the features (F,) that it uses: scikit-learn refuses those without any known value."""

    model: Any
    used: Mask


def _classified(features: Floats, categories: Mask, truth: Truth, seed: int) -> _Fitted:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return _fitted(HistGradientBoostingClassifier, features, categories, truth, seed)


def _fitted(kind: Any, features: Floats, categories: Mask, target: Truth, seed: int) -> _Fitted:
    used = np.asarray(~np.isnan(features).all(axis=0))
    model = kind(**SETTINGS, categorical_features=categories[used], random_state=seed)
    return _Fitted(model.fit(features[:, used], target), used)
