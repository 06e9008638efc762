"""Try candidates one by one, and choose the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SMALLEST_GAIN = 1e-9  # less is rounding


def best_of(candidates: Sequence[float] | Floats, scores: Sequence[float] | Floats, usual: float) -> float:
    """Return the candidate with the highest score; of equal ones, the one nearest to what is usual.

    Args:
        candidates: (M,).
        scores: (M,).
        usual: For example a threshold of 0.5.
    """
    tried, found = np.asarray(candidates, np.float64), np.asarray(scores, np.float64)
    best = tried[found >= found.max() - SMALLEST_GAIN] if np.isfinite(found.max()) else np.array([usual])
    return float(best[np.abs(best - usual).argmin()])


def ascend(
    start: Floats, curve: Callable[[int, Floats], tuple[Floats, Floats]], usual: Floats, passes: int = 5
) -> Floats:
    """Maximise a score of several numbers by coordinate ascent: each in turn, until a pass changes none.

    Args:
        start: (K,).
        curve: ``(k, numbers (K,)) -> candidates (M,), scores (M,)`` of the k-th number, all others as they are; the
            first candidate is the number itself.
        usual: (K,) of equally good candidates, the one nearest to this is chosen.
        passes: At most.

    Returns:
        (K,).
    """
    numbers = start.astype(np.float64)
    for _ in range(passes):
        before = numbers.copy()
        for k in range(len(numbers)):
            candidates, scores = curve(k, numbers)
            if scores.max() > scores[0] + SMALLEST_GAIN:
                numbers[k] = best_of(candidates, scores, float(usual[k]))
        if (numbers == before).all():
            break
    return numbers


def spread(values: Floats, n: int) -> Floats:
    """Return at most `n` of sorted values (M,): half of them evenly spread, half ever denser to the first."""
    if len(values) <= n:
        return values
    even = np.linspace(0, len(values) - 1, n // 2)
    dense = np.geomspace(1, len(values), n - n // 2) - 1
    return values[np.unique(np.concatenate([even, dense]).round().astype(np.int64))]
