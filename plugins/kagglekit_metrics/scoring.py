"""Hold the function of a metric, and choose the weights of columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit import Competition, Score, UserError, listing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kagglekit_metrics.errors import Numbers, Table


@dataclass(frozen=True)
class Scoring:
    """How a metric is computed.

    Attributes:
        score: ``(truth, predictions (N, C)) -> Score``; of a single label the truth is (N,), else (N, C).
        value: Computes the value alone, if that is much faster.
    """

    score: Callable[[Any, Table], Score]
    value: Callable[[Any, Table], float] | None = None


@dataclass(frozen=True)
class Asked:
    """What a metric is requested for.

    Attributes:
        name: The metric's.
        competition: The competition's facts.
        columns: Names of the columns of predictions; empty if they are not known yet.
        task: What is predicted, a `kagglekit.Task`; None if it is not known yet.
    """

    name: str
    competition: Competition
    columns: tuple[str, ...]
    task: Any

    def weights(self, names: Sequence[str], n: int) -> Numbers:
        """Return how much each of `n` columns or blocks counts, from `Competition.metric_weights`.

        Raises:
            UserError: The weights name others, or none of them is above 0.
        """
        given = self.competition.metric_weights
        if not given:
            return np.ones(n)
        if strange := [name for name in given if name not in names]:
            raise UserError(
                f"Competition.metric_weights names what is not predicted: {listing(strange)}",
                f"choose from {listing(names, 50) or 'no columns'}",
            )
        weights = np.array([given.get(name, 1.0) for name in names])
        if (weights < 0).any() or not weights.any():
            raise UserError("Competition.metric_weights has numbers below 0, or only zeros", "correct them")
        return weights


def is_known(truth: NDArray[Any]) -> bool:
    """Return whether anything is known of any image."""
    return bool(len(truth)) and not (truth.dtype.kind == "f" and bool(np.isnan(truth).all()))
