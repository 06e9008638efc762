from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kagglekit.types.metric import BUILT_IN_METRICS, Metric, Score, needs

KINDS = {"single-label", "multi-label", "regression", "ordinal", "several"}


def test_a_metric_that_asks_for_the_table_gets_its_rows() -> None:
    def by_site(truth: np.ndarray, predictions: np.ndarray, table: pd.DataFrame) -> Score:
        errors = np.abs(truth[:, 0] - predictions[:, 0])
        return Score(float(errors[table["site"] == "north"].mean()), 0)

    metric = Metric("north_mae", by_site, greater_is_better=False, with_table=True)
    table = pd.DataFrame({"id": ["a", "b"], "site": ["north", "south"]})
    truth, predictions = np.float32([[1], [5]]), np.float32([[3], [5]])
    assert metric.measure(truth, predictions, table).value == 2
    assert metric.value(truth, predictions, table) == 2


def test_every_metric_is_for_known_tasks_and_its_bounds_are_in_order() -> None:
    for name, facts in BUILT_IN_METRICS.items():
        assert facts.tasks, name
        assert set(facts.tasks) <= KINDS, name
        assert facts.lowest < facts.highest, name


@pytest.mark.parametrize("kind", sorted(KINDS - {"multi-label"}))
def test_only_several_labels_change_what_the_csv_holds(kind: str) -> None:
    for name, facts in BUILT_IN_METRICS.items():
        assert needs(name, (kind,)) == facts.needs
        assert needs(name, ("multi-label",)) == ("labels" if facts.needs == "a class" else facts.needs)
