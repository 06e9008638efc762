"""Smoothing of noisy curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def smoothed(values: Sequence[float], beta: float = 0.95) -> list[float]:
    """Return the exponential moving average, each point divided by the sum of its weights.

    Kingma and Ba 2014, arXiv:1412.6980, section 3: Adam's bias correction. The average looks back only, so it lags.
    """
    mean, result = 0.0, []
    for n, value in enumerate(values, 1):
        mean = beta * mean + (1 - beta) * value
        result.append(mean / (1 - beta**n))
    return result


def centred(values: NDArray[np.float64], width: float = 3.0) -> NDArray[np.float64]:
    """Return the average under a Gaussian of standard deviation `width` around each point (N,), without a lag."""
    import numpy as np

    places = np.arange(len(values))
    weights = np.exp(-0.5 * ((places[:, None] - places[None]) / width) ** 2)
    result: NDArray[np.float64] = weights @ values / weights.sum(1)
    return result
