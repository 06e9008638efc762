"""The scatter of a score over seeds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """One score over seeds.

    Attributes:
        name: ``log_loss``, ``accuracy`` or the competition's metric.
        mean: Over the runs.
        deviation: Standard deviation over the runs, of one run: s.
        paired_error: Standard error over images of the difference of two runs, averaged over all pairs: p.
        smallest: Smallest significant difference between two recipes, each run once.
    """

    name: str
    mean: float
    deviation: float
    paired_error: float
    smallest: float
