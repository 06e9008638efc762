"""Rows of a CSV, and what its metric needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import Competition, UserError

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit import Task

RENAME = "use its names for the classes, or implement kagglekit_submission in the competition's plugin"


def needs_of(competition: Competition, task: Task) -> str | None:
    """Return what the CSV holds for the metric; None for a plugin's own."""
    from kagglekit import needs

    return needs(competition.metric, task.kinds())


def two_columns(predictions: pd.DataFrame, columns: list[str], values: object) -> pd.DataFrame:
    """Return the ids of predictions and a value for each."""
    import pandas as pd

    return pd.DataFrame({columns[0]: predictions.index.to_numpy(), columns[1]: values}, columns=columns)


def in_order_of(sample: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return predictions in the order of the sample's rows.

    Raises:
        UserError: Their ids differ.
    """
    from kagglekit import difference

    ids = sample.iloc[:, 0]
    if differences := difference(predictions.index, ids):
        raise UserError(
            f"the test images' ids differ from those of the sample submission: {differences}",
            "return the ids from the labels hook as they are written there: compare suffixes and leading zeros",
        )
    return predictions.loc[list(ids)]


def numeric(values: pd.Series[str]) -> bool:
    """Return whether all values are numbers."""
    import pandas as pd

    return bool(pd.to_numeric(values, errors="coerce").notna().all())
