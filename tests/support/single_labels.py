"""The classes of an image table with one label an image."""

from __future__ import annotations

import pandas as pd

from kagglekit import Competition, SingleLabel
from kagglekit.types.image_table import labelled_rows


def task_of(table: pd.DataFrame) -> SingleLabel:
    """Return what is predicted for an image table."""
    return SingleLabel.fit(labelled_rows(table)["label"].tolist(), Competition(title=""))


def classes_of(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the sorted names of the classes of the labelled images."""
    return task_of(table).columns
