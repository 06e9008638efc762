"""Compute the standard errors of metrics."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from kagglekit import Score, UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Truth = NDArray[np.int64]
    Table = NDArray[np.float32]
    Numbers = NDArray[np.float64]

PARTS = 50
HOLD_OUT_MORE = "hold out more images: --set valid=0.3"


def mean_score(of_images: Numbers) -> Score:
    """Return the mean (N,) and its standard error sd / sqrt(n), which for hits and misses is the binomial one."""
    return linearised(float(of_images.mean()), of_images)


def linearised(value: float, influence: Numbers) -> Score:
    """Return the value of a metric that is no mean over images, and its standard error.

    Such a metric changes by about the mean of its images' influences, which has the error sd / sqrt(n): the
    infinitesimal jackknife (Efron 1982, "The jackknife, the bootstrap and other resampling plans", chapter 6). It is
    near the error that resampling the images gives, and much faster.

    Args:
        value: The metric's.
        influence: (N,) n times the derivative of the metric by each image's weight, up to a constant.
    """
    return Score(value, float(influence.std() / np.sqrt(len(influence))))


def of_known(influence: Numbers, known: NDArray[np.bool_]) -> Numbers:
    """Return the influence (N,) of all images, given that of the known ones: the others have none."""
    everything = np.zeros(len(known))
    everything[known] = (influence - influence.mean()) * (len(known) / len(influence))
    return everything


def jackknife(value_of: Callable[[NDArray[np.int64]], float], n: int) -> float:
    """Return the standard error of a metric from its values without each of 50 random parts of the images.

    It is the delete-a-group jackknife (Kott 2001, "The delete-a-group jackknife"), for metrics whose influences are
    not simple. Parts without which the metric cannot be computed do not count.

    Args:
        value_of: Computes the metric of these rows.
        n: Number of images.
    """
    parts = np.array_split(np.random.default_rng(0).permutation(n), min(PARTS, n))
    values = []
    for part in parts:
        with contextlib.suppress(UserError):
            values.append(value_of(np.delete(np.arange(n), part)))
    return float(np.std(values) * np.sqrt(len(values) - 1)) if len(values) > 1 else 0.0


def need_two_classes(name: str, truth: Truth) -> None:
    """Check that there are images of two classes.

    Raises:
        UserError: All are of one class.
    """
    if len(truth) and (truth == truth[0]).all():
        raise UserError(f"{name} needs images of two classes, but all are of one class", HOLD_OUT_MORE)
