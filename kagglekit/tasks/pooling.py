"""Combine the predictions of the images that share a row of the CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kagglekit.types.competition import RowRule


def pooled(values: NDArray[np.floating], rows: NDArray[np.int64], rule: RowRule) -> NDArray[np.float32]:
    """Return the predictions (R, C) of R rows from those of their images (N, C).

    Args:
        values: (N, C).
        rows: (N,) the row of each image, from 0; each row has at least one.
        rule: ``mean``, ``max``, or ``noisy-or``: 1 - prod(1 - p), the probability that at least one of independent
            images shows it (Pearl 1988, "Probabilistic reasoning in intelligent systems", section 4.3.2).
    """
    n, values = int(rows.max()) + 1 if len(rows) else 0, values.astype(np.float64)
    if rule == "max":
        most = np.full((n, values.shape[1]), -np.inf)
        np.maximum.at(most, rows, values)
        return most.astype(np.float32)
    if rule == "noisy-or":
        none = np.ones((n, values.shape[1]))
        np.multiply.at(none, rows, 1 - values)
        return (1 - none).astype(np.float32)
    total = np.zeros((n, values.shape[1]))
    np.add.at(total, rows, values)
    return (total / np.bincount(rows, minlength=n)[:, None]).astype(np.float32)
