"""Find a decision on valid predictions, and decide each of them by what was found without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.data.parts import assign_parts
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit.data.scoring import Scorer
    from kagglekit.types.decision import ScoreOf

    Values = NDArray[np.float32]


def score_of(scorer: Scorer, table: pd.DataFrame) -> ScoreOf:
    """Return ``(truth, decided) -> score`` for some rows of an image table: more is better.

    Rows that the metric cannot be computed for have the score -inf: nothing is found on them.
    """
    sign = 1 if scorer.metric.greater_is_better else -1

    def score(truth: NDArray[Any], decided: Values) -> float:
        try:
            return sign * scorer.metric.value(truth, decided, table)
        except UserError:
            return -np.inf

    return score


def find(scorer: Scorer, truth: NDArray[Any], values: Values, table: pd.DataFrame) -> Any:
    """Return what a decision finds on predictions (N, C): the parameters with the best score; without any, plain ones.

    Args:
        scorer: The competition's.
        truth: (N,) or (N, C).
        values: (N, C).
        table: The image table's rows.
    """
    decision = scorer.decision
    if decision is None or decision.fit is None or not len(values):
        return decision.plain if decision else {}
    return decision.fit(truth, values, score_of(scorer, table))


def cross_fitted(scorer: Scorer, truth: NDArray[Any], values: Values, table: pd.DataFrame, seed: int) -> Values:
    """Return decided predictions (N, C), each of five parts by what was found on the other four.

    Args:
        scorer: The competition's, with a decision.
        truth: (N,) or (N, C).
        values: (N, C).
        table: The image table's rows; a group's rows are in one part, see `assign_parts`.
        seed: Of the parts.
    """
    ids = table["id"].astype(str)
    groups = table["group"].set_axis(ids) if "group" in table else None
    parts = assign_parts(ids.tolist(), scorer.task.strata(truth), seed, groups)
    decided = np.empty_like(values)
    for part in np.unique(parts):
        own, others = parts == part, parts != part
        found = find(scorer, truth[others], values[others], table[others])
        decided[own] = scorer.decided(values[own], found)
    return decided
