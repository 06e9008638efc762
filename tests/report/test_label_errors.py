"""The rows of label-errors.csv."""

from __future__ import annotations

import numpy as np
import pytest

from kagglekit.report.label_errors import doubt
from kagglekit.report.panels_of import label_errors_of
from kagglekit.report.predicted import Predicted
from kagglekit.tasks.multi_label import MultiLabel
from kagglekit.tasks.regression import Regression
from kagglekit.tasks.single_label import SingleLabel

IDS = tuple("abcdefghijklmnopqrst")
SURE = [[0.85, 0.15]] * 7 + [[0.15, 0.85]] * 7  # of more images, which the predictions know


def test_a_confidently_contradicted_class_is_listed_with_its_rival_most_suspect_first():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.1, 0.9], [0.95, 0.05], *SURE])
    truth = np.array([0, 0, 0, 1, 1, 1, *[0] * 7, *[1] * 7])
    rows = label_errors_of(Predicted(IDS, SingleLabel(("x", "y")), truth, p))
    assert rows == [
        {"id": "f", "label": "y", "predicted": "x", "p_label": 0.05, "p_predicted": 0.95},
        {"id": "c", "label": "x", "predicted": "y", "p_label": 0.2, "p_predicted": 0.8},
    ]


def test_of_several_labels_each_doubtful_one_is_listed():
    truth = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 1], [0, np.nan], *np.round(SURE)], np.float32)
    p = np.array([[0.9, 0.1], [0.1, 0.1], [0.9, 0.9], [0.1, 0.9], [0.1, 0.1], [0.1, 0.9], *SURE])
    rows = label_errors_of(Predicted(IDS, MultiLabel(("x", "y")), truth, p))
    assert {(row["id"], row["label"], row["has"]) for row in rows} == {("b", "x", 1), ("e", "y", 1)}


def test_numbers_have_none():
    seen = Predicted(IDS[:6], Regression(("n",), (0.0,), (1.0,)), np.ones((6, 1), np.float32), np.zeros((6, 1)))
    assert label_errors_of(seen) == []


@pytest.mark.parametrize(("right", "why"), [(0.1, "contradict"), (0.3, "contradict"), (0.8, "")])
def test_predictions_that_contradict_over_a_third_of_the_labels_list_none(right, why):
    truth = np.arange(300) % 10
    predicted = np.where(np.arange(300) < 300 * right, truth, (truth + np.arange(300) // 10) % 10)
    p = np.full((300, 10), 0.01)
    p[np.arange(300), predicted] = 0.91
    seen = Predicted(tuple(map(str, range(300))), SingleLabel(tuple("abcdefghij")), truth, p)
    assert doubt(seen).partition("predictions ")[2].partition(" ")[0] == why
    assert (len(label_errors_of(seen)) > 0) == (not why)


def test_predictions_no_better_than_the_most_frequent_class_contradict_no_label():
    truth, p = np.arange(100) % 5 // 4, np.tile([0.8, 0.2], (100, 1))  # a fifth is y
    p[np.random.default_rng(0).permutation(100)[:15]] = [0.55, 0.45]
    seen = Predicted(tuple(map(str, range(100))), SingleLabel(("x", "y")), truth, p)
    assert "not clearly better" in doubt(seen)
    assert label_errors_of(seen) == []


def test_labels_of_several_that_are_predicted_at_random_are_not_contradicted():
    rng = np.random.default_rng(0)
    truth, p = rng.integers(0, 2, (60, 3)).astype(np.float32), rng.uniform(0.3, 0.7, (60, 3))
    ids = tuple(map(str, range(60)))
    assert doubt(Predicted(ids, MultiLabel(("x", "y", "z")), truth, p))
    wrong = truth.copy()
    wrong[7, 1] = 1 - wrong[7, 1]
    knowing = Predicted(ids, MultiLabel(("x", "y", "z")), wrong, 0.1 + 0.8 * truth.astype(float))
    assert not doubt(knowing)
    assert [row["id"] for row in label_errors_of(knowing)] == ["7"]
