"""The test images that a run is most and least sure of, for its report."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit.planning.plan import Plan
    from kagglekit.tasks.task import Task

SHOWN = 12  # images of each


def sureness(task: Task, values: NDArray[np.floating]) -> NDArray[np.floating] | None:
    """Return how sure each prediction (N, C) is: the highest probability, or of labels the mean of the surer sides.

    None for predictions that are no probabilities.
    """
    if task.link == "log":
        highest: NDArray[np.floating] = values.max(axis=1)
        return highest
    if task.link == "logit":
        sides: NDArray[np.floating] = np.maximum(values, 1 - values).mean(axis=1)
        return sides
    return None


def test_image_rows(plan: Plan, predictions: pd.DataFrame) -> list[dict[str, str]]:
    """Return the rows of test-images.csv: the surest images first, then the least sure one first."""
    sure = sureness(plan.task, predictions.to_numpy())
    if sure is None or not len(sure):
        return []
    test = plan.table[plan.table["split"] == "test"]
    paths = dict(zip(test["id"].astype("str"), test["path"].astype("str"), strict=True))
    base = f"{plan.data}{os.sep}"
    order = np.argsort(-sure, kind="stable")
    most = order[: min(SHOWN, len(order) // 2)]
    least = order[::-1][: min(SHOWN, len(order) // 2)]
    names = [str(image) for image in predictions.index]
    return [
        {"id": names[row], "file": paths[names[row]].removeprefix(base), "sure": which}
        for which, rows in (("most", most), ("least", least))
        for row in rows
        if names[row] in paths
    ]
