"""Stacking: a logistic regression on the members' log-probabilities (Wolpert 1992, "Stacked generalization").

The logit of class c of an image is ``s_c = sum_k (w_k + v_ck) log p_kc + b_c``, and the prediction is the softmax over
classes. Each member k has one weight w_k, with a small correction v_ck for each class; b_c is the bias of a class. A
regression of every class on every log-probability would have as many coefficients as members times classes squared,
and overfits some thousand images.

For two classes c and d alone, such a model predicts c with probability ``sigmoid(s_c - s_d)``. So it is fitted as a
binary regression: one row for each image and each class other than its own, with the differences between the two.
Classes far less likely than an image's own have no influence, and are omitted.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

LEAST = 1e-6  # smallest probability: differences below are noise
FAR = np.log(1e-4)  # least mean log-probability of a relevant class, relative to the image's own class
CORRECTION = 0.03  # prior standard deviation of the v; that of the w is 1
BIAS = 0.1  # prior standard deviation of the b


@dataclass(frozen=True)
class Stack:
    """Fitted parameters.

    Attributes:
        shared: (K,) w, of each member.
        weights: (C, K) w + v.
        bias: (C,) b.
    """

    shared: Floats
    weights: Floats
    bias: Floats


def fit_stack(tables: Sequence[pd.DataFrame], truth: Numbers) -> Stack | None:
    """Fit the regression to K tables (N, C); return None if the images do not determine it.

    Args:
        tables: Tables of the members.
        truth: (N,) class numbers.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    logs = _logs(tables)
    images, others = _rivals(logs.mean(axis=2), truth)
    if len(np.unique(truth)) < 2 or len(images) < 2:
        return None
    side = np.where(np.arange(len(images)) % 2, 1.0, -1.0)  # a negated row is equivalent, and both classes are needed
    rows = _differences(logs, images, truth[images], others).multiply(side[:, None]).tocsr()
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression = LogisticRegression(fit_intercept=False, max_iter=200).fit(rows, side > 0)
    return _stack(regression.coef_[0], logs.shape[1], logs.shape[2])


def apply_stack(found: Stack | None, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Predict with fitted parameters; with the mean if there are none."""
    from scipy.special import softmax

    from kagglekit import average, make_predictions

    if found is None:
        return average(tables)
    logits = (_logs(tables) * found.weights).sum(axis=2) + found.bias
    return make_predictions(tables[0].index, tables[0].columns, softmax(logits, axis=1))


def _logs(tables: Sequence[pd.DataFrame]) -> Floats:
    """Return the members' log-probabilities, (N, C, K)."""
    from kagglekit import aligned

    logs: Floats = np.log(np.stack([aligned(table, tables[0]) for table in tables], axis=2).clip(LEAST))
    return logs


def _rivals(mean: Floats, truth: Numbers) -> tuple[Numbers, Numbers]:
    """Return the relevant pairs of an image and a class other than its own."""
    own = mean[np.arange(len(truth)), truth]
    images, classes = np.nonzero(mean >= own[:, None] + FAR)
    apart = classes != truth[images]
    return images[apart], classes[apart]


def _differences(logs: Floats, images: Numbers, own: Numbers, others: Numbers) -> Any:
    """Return the sparse rows (R, K + C K + C) of the own class's features less the other one's."""
    from scipy.sparse import csr_array, hstack

    n, (_, classes, members) = len(images), logs.shape
    mine, theirs = logs[images, own], logs[images, others]
    row, both = np.tile(np.arange(n), 2), np.concatenate([own, others])
    columns = both[:, None] * members + np.arange(members)
    corrections = CORRECTION * np.concatenate([mine, -theirs])
    corrected = csr_array(
        (corrections.ravel(), (np.repeat(row, members), columns.ravel())), shape=(n, classes * members)
    )
    biases = csr_array((np.repeat([BIAS, -BIAS], n), (row, both)), shape=(n, classes))
    return hstack([csr_array(mine - theirs), corrected, biases])


def _stack(found: Floats, classes: int, members: int) -> Stack:
    shared, corrections, biases = np.split(found, [members, members + classes * members])
    weights = shared + CORRECTION * corrections.reshape(classes, members)
    return Stack(shared, weights, BIAS * biases)
