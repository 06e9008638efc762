"""The rows of label-errors.csv."""

from __future__ import annotations

import numpy as np

from kagglekit.report.panels_of import label_errors_of
from kagglekit.report.predicted import Predicted
from kagglekit.tasks.multi_label import MultiLabel
from kagglekit.tasks.regression import Regression
from kagglekit.tasks.single_label import SingleLabel

IDS = tuple("abcdef")


def test_a_confidently_contradicted_class_is_listed_with_its_rival_most_suspect_first():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.1, 0.9], [0.95, 0.05]])
    rows = label_errors_of(Predicted(IDS, SingleLabel(("x", "y")), np.array([0, 0, 0, 1, 1, 1]), p))
    assert rows == [
        {"id": "f", "label": "y", "predicted": "x", "p_label": 0.05, "p_predicted": 0.95},
        {"id": "c", "label": "x", "predicted": "y", "p_label": 0.2, "p_predicted": 0.8},
    ]


def test_of_several_labels_each_doubtful_one_is_listed():
    truth = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 1], [0, np.nan]], np.float32)
    p = np.array([[0.9, 0.1], [0.1, 0.1], [0.9, 0.9], [0.1, 0.9], [0.1, 0.1], [0.1, 0.9]])
    rows = label_errors_of(Predicted(IDS, MultiLabel(("x", "y")), truth, p))
    assert {(row["id"], row["label"], row["has"]) for row in rows} == {("b", "x", 1), ("e", "y", 1)}


def test_numbers_have_none():
    seen = Predicted(IDS, Regression(("n",), (0.0,), (1.0,)), np.ones((6, 1), np.float32), np.zeros((6, 1)))
    assert label_errors_of(seen) == []
