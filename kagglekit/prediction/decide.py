"""Find a decision on valid predictions, and decide each of them by what was found without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.types.image_table import group_numbers
from kagglekit.types.randomness import image_keys

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit.data.scoring import Scorer
    from kagglekit.types.decision import ScoreOf

    Values = NDArray[np.float32]

PARTS = 5


def score_of(scorer: Scorer, table: pd.DataFrame) -> ScoreOf:
    """Return ``(truth, decided) -> score`` for some rows of an image table: more is better."""
    sign = 1 if scorer.metric.greater_is_better else -1
    return lambda truth, decided: sign * scorer.metric.value(truth, decided, table)


def find(scorer: Scorer, truth: NDArray[Any], values: Values, table: pd.DataFrame) -> Any:
    """Return what a decision finds on predictions (N, C): the parameters with the best score."""
    decision = scorer.decision
    if decision is None or decision.fit is None:
        return decision.plain if decision else {}
    return decision.fit(truth, values, score_of(scorer, table))


def cross_fitted(scorer: Scorer, truth: NDArray[Any], values: Values, table: pd.DataFrame, seed: int) -> Values:
    """Return decided predictions (N, C), each of five parts by what was found on the other four.

    Args:
        scorer: The competition's, with a decision.
        truth: (N,) or (N, C).
        values: (N, C).
        table: The image table's rows; a group's rows are in one part.
        seed: Of the parts.
    """
    decided, parts = np.empty_like(values), parts_of(table, seed)
    for part in np.unique(parts):
        own, others = parts == part, parts != part
        found = find(scorer, truth[others], values[others], table[others])
        decided[own] = scorer.decided(values[own], found)
    return decided


def parts_of(table: pd.DataFrame, seed: int) -> NDArray[np.int64]:
    """Return the part (N,) of each row: groups whole, by a hash of the first id."""
    everyone = np.arange(len(table))
    numbers = group_numbers(table, everyone)
    _, first, own = np.unique(everyone if numbers is None else numbers, return_index=True, return_inverse=True)
    names = [str(image) for image in table["id"].to_numpy()[first]]
    ranks = np.argsort(np.argsort(image_keys(names, "decision", seed), kind="stable"), kind="stable")
    return np.asarray((ranks % PARTS)[own.ravel()], dtype=np.int64)
