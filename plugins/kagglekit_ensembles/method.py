"""Define a method: what an ensemble fits to the members' valid predictions, and how it combines tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Tables = Sequence[pd.DataFrame]
    Truth = NDArray[Any]
    Floats = NDArray[np.float64]

SMALLEST = 1e-15  # log loss clips there, too


def even_weights(found: None, names: list[str]) -> dict[str, Any]:
    """Describe a mean: the same weight for each member."""
    return {"weights": {name: 1 / len(names) for name in names}}


@dataclass(frozen=True)
class Method:
    """The functions of an ensemble for one kind of task.

    Attributes:
        apply: ``(found, tables) -> table``.
        fit: ``(tables, truth) -> found``, the truth as the task has it; None if there is nothing to fit.
        describe: ``(found, member names) -> dict`` for run.json.
    """

    apply: Callable[[Any, Tables], pd.DataFrame]
    fit: Callable[[Tables, Truth], Any] | None = None
    describe: Callable[[Any, list[str]], dict[str, Any]] = even_weights


def stacked(tables: Tables) -> Floats:
    """Return the members' predictions, (N, C, K), in the order of the first one's rows."""
    from kagglekit import aligned

    return np.stack([aligned(table, tables[0]) for table in tables], axis=2)


def like(table: pd.DataFrame, values: Floats) -> pd.DataFrame:
    """Return predictions (N, C) for the rows and columns of a table."""
    from kagglekit import make_predictions

    return make_predictions(table.index, table.columns, values)


def weighted_mean(weights: Floats, tables: Tables) -> pd.DataFrame:
    """Return the mean with these weights (K,)."""
    from kagglekit import average

    return average(tables, weights.tolist())


def of_weights(weights: Floats, names: list[str]) -> dict[str, Any]:
    """Describe weights (K,)."""
    return {"weights": dict(zip(names, weights.tolist(), strict=True))}
