"""What `kagglekit predict` says about an image of each kind of target."""

from __future__ import annotations

import numpy as np

from kagglekit import MultiLabel, Ordinal, Regression, SingleLabel
from kagglekit.prediction.answers import answer
from kagglekit.tasks.several import Block, Several


def said(task, values, decided=None, top=5) -> dict[str, str]:
    row = np.array(values, np.float32)
    return answer(task, row, row if decided is None else np.array(decided, np.float32), top).cells


def test_one_class_is_named_with_the_next_best():
    task = SingleLabel(("ant", "bee", "cat", "dog"))
    p = [0.1, 0.6, 0.05, 0.25]
    assert said(task, p) == {
        "class": "bee", "probability": "0.6000", "next": "dog 0.2500, ant 0.1000, cat 0.0500",
    }  # fmt: skip
    assert said(task, p, top=2)["next"] == "dog 0.2500"
    assert said(task, p, top=1) == {"class": "bee", "probability": "0.6000"}
    record = answer(task, np.array(p), np.array(p)).record
    assert record == {"class": "bee", "probability": 0.6, "probabilities": dict(zip(task.columns, p, strict=True))}


def test_classes_are_ranked_as_decided_but_keep_their_probability():
    assert said(SingleLabel(("ant", "bee")), [0.6, 0.4], [0.3, 0.7])["class"] == "bee"
    assert said(SingleLabel(("ant", "bee")), [0.6, 0.4], [0.3, 0.7])["probability"] == "0.4000"


def test_all_labels_above_their_thresholds_are_named_the_most_probable_first():
    task = MultiLabel(("rust", "scab", "rot"))
    assert said(task, [0.3, 0.9, 0.4], [1, 1, 0]) == {"labels": "scab 0.9000, rust 0.3000"}
    assert said(task, [0.3, 0.9, 0.4]) == {"labels": "scab 0.9000"}  # without a decision, those above 1/2
    assert said(task, [0.3, 0.2, 0.1]) == {"labels": "none (highest: rust 0.3000)"}
    assert said(MultiLabel(("rust",)), [0.3], [1]) == {"rust": "yes 0.3000"}
    assert said(MultiLabel(("rust",)), [0.3]) == {"rust": "no 0.3000"}
    record = answer(task, np.array([0.25, 0.5, 0.75]), np.array([1, 0, 1])).record
    assert record == {"labels": ["rot", "rust"], "probabilities": {"rust": 0.25, "scab": 0.5, "rot": 0.75}}


def test_numbers_are_shown_by_target():
    task = Regression(("size", "weight"), (0.0, 0.0), (1.0, 1.0))
    assert said(task, [1.25, 3000.4]) == {"size": "1.25", "weight": "3000.4"}
    assert answer(task, np.array([1.25, 3.0]), np.array([1.25, 3.0])).record == {
        "predictions": {"size": 1.25, "weight": 3.0}
    }


def test_a_grade_is_decided_by_its_cuts_or_the_nearest_one():
    task = Ordinal(("label",), (2.0,), (1.0,), (0.0, 4.0))
    assert said(task, [2.4], [3]) == {"grade": "3", "number": "2.4000"}
    assert said(task, [2.4]) == {"grade": "2", "number": "2.4000"}
    assert said(task, [4.9])["grade"] == "4"


def test_several_targets_are_shown_side_by_side():
    blocks = (
        Block("shape", SingleLabel(("circle", "star")), 0),
        Block("size", Regression(("size",), (0.0,), (1.0,)), 2),
    )
    task = Several(("shape=circle", "shape=star", "size"), blocks)
    assert said(task, [0.25, 0.75, 8.5]) == {"shape": "star 0.7500", "size": "8.5"}
    record = answer(task, np.array([0.25, 0.75, 8.5]), np.array([0.25, 0.75, 8.5])).record
    assert record["targets"]["size"] == {"predictions": {"size": 8.5}}
    assert record["targets"]["shape"]["class"] == "star"
