"""Compute the standard errors of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit import Score, UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Truth = NDArray[np.int64]
    Table = NDArray[np.float32]
    Numbers = NDArray[np.float64]

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


def need_two_classes(name: str, truth: Truth) -> None:
    """Check that there are images of two classes.

    Raises:
        UserError: All are of one class.
    """
    if len(truth) and (truth == truth[0]).all():
        raise UserError(f"{name} needs images of two classes, but all are of one class", HOLD_OUT_MORE)
