from __future__ import annotations

import math

import numpy as np
import pytest
from judged import CLASSES, judged

from kagglekit.report import panels
from kagglekit.report.panels import Bin, Pair


def test_confusion_has_actual_classes_in_rows():
    assert panels.confusion(judged()).tolist() == [[2, 1, 0], [1, 1, 1], [1, 0, 1]]


def test_confused_pairs_are_in_the_order_of_their_number_then_of_the_smaller_class():
    counts = np.array([[9, 3, 0], [0, 2, 1], [1, 0, 7]])
    assert panels.confused_pairs(counts, 5) == [Pair(0, 1, 3, 12), Pair(1, 2, 1, 3), Pair(2, 0, 1, 8)]
    assert panels.confused_pairs(counts, 1) == [Pair(0, 1, 3, 12)]
    assert panels.confused_pairs(np.diag([1, 2, 3]), 5) == []


def test_blocks_join_what_is_confused_up_to_the_largest_size():
    counts = np.diag([5] * 6)
    counts[0, 1] = 4
    counts[1, 2] = 3  # 0, 1, 2 belong together
    counts[3, 4] = 2
    counts[2, 3] = 1  # and would join these two groups
    assert panels.blocks(counts, 9, largest=5) == [[0, 1, 2, 3, 4]]
    assert panels.blocks(counts, 9, largest=4) == [[0, 1, 2], [3, 4]]
    assert panels.blocks(counts, 1, largest=4) == [[0, 1, 2]]
    assert panels.blocks(np.diag([1, 1]), 9) == []


def test_losses_are_those_of_the_actual_class():
    found = judged()
    assert found.loss[:2] == pytest.approx([-math.log(0.9), -math.log(0.2)])
    assert math.isfinite(found.loss[7])
    assert panels.top_losses(found, 3).tolist() == [7, 1, 4]


def test_random_images_are_of_the_kind_asked_for_and_the_same_for_a_seed():
    found = judged()
    right, wrong = {0, 2, 3, 6}, {1, 4, 5, 7}
    assert set(panels.random_rows(found, True, 9, 0).tolist()) == right
    assert set(panels.random_rows(found, False, 9, 0).tolist()) == wrong
    assert panels.random_rows(found, False, 2, 3).tolist() == panels.random_rows(found, False, 2, 3).tolist()
    assert len({tuple(panels.random_rows(found, False, 2, seed)) for seed in range(20)}) > 1


def test_most_correct_and_most_incorrect_are_asked_of_each_class():
    found = judged()
    assert panels.most_correct(found, 0, 9).tolist() == [0, 2]
    assert panels.most_incorrect(found, 1, 9).tolist() == [4, 5]  # 0.3 before 0.4
    assert panels.most_incorrect(found, 0, 9).tolist() == [1]
    assert panels.most_correct(found, 2, 0).tolist() == []


def test_uncertain_is_what_has_two_classes_close_to_each_other():
    assert panels.most_uncertain(judged(), 3).tolist() == [4, 2, 5]  # 0.1, 0.15 and 0.2 apart


def test_a_label_is_suspected_where_another_class_reaches_its_own_usual_probability():
    table = [
        (0, (0.8, 0.2)),
        (0, (0.9, 0.1)),
        (0, (0.05, 0.95)),  # mean of class 0: 0.583; this is a 1, said as surely as any
        (0, (0.45, 0.55)),  # predicted as 1, but less surely than 1s are
        (1, (0.1, 0.9)),
        (1, (0.3, 0.7)),  # mean of class 1: 0.733
        (1, (0.4, 0.6)),
    ]
    assert panels.label_errors(judged(table, ("a", "b")), 9).tolist() == [2]
    assert panels.label_errors(judged(table[:2] + table[4:], ("a", "b")), 9).tolist() == []


def test_label_errors_begin_with_the_one_of_the_least_margin():
    table = [(0, (0.9, 0.1)), (0, (0.3, 0.7)), (0, (0.1, 0.9)), (1, (0.4, 0.6)), (1, (0.42, 0.58))]
    assert panels.label_errors(judged(table, ("a", "b")), 9).tolist() == [2, 1]
    assert panels.label_errors(judged(table, ("a", "b")), 1).tolist() == [2]


def test_a_class_without_images_is_never_suspected():
    table = [(0, (0.2, 0.1, 0.7)), (1, (0.1, 0.9, 0.0))]
    assert panels.label_errors(judged(table), 9).tolist() == []


def test_calibration_compares_confidence_with_accuracy_in_tenths():
    table = [(0, (0.95, 0.05)), (1, (0.93, 0.07)), (0, (0.55, 0.45)), (1, (0.0, 1.0))]
    bins = panels.calibration(judged(table, ("a", "b")))
    assert bins == [Bin(1, 0.55, 1.0), Bin(3, pytest.approx(0.96), pytest.approx(2 / 3))]
    assert panels.calibration_error(bins) == pytest.approx((0.45 + 3 * (0.96 - 2 / 3)) / 4)


def test_predictions_that_are_always_sure_and_right_are_calibrated():
    assert panels.calibration_error(panels.calibration(judged([(0, (1.0, 0.0)), (1, (0.0, 1.0))], ("a", "b")))) == 0


def test_class_scores_begin_with_the_worst_class():
    scores = {CLASSES[score.number]: score for score in panels.class_scores(judged())}
    assert list(scores) == ["bee", "cat", "ant"]
    assert (scores["ant"].n, scores["ant"].recall, scores["ant"].precision) == (3, 2 / 3, 0.5)
    assert scores["ant"].mistaken_for == 1
    assert scores["bee"].loss == pytest.approx(-(math.log(0.8) + math.log(0.3) + math.log(0.4)) / 3)


def test_a_class_without_images_has_no_scores_and_comes_last():
    scores = panels.class_scores(judged([(1, (0.1, 0.9, 0.0)), (2, (0.0, 0.0, 1.0))]))
    assert (scores[-1].number, scores[-1].n, scores[-1].mistaken_for) == (0, 0, None)
    assert math.isnan(scores[-1].recall)
    assert math.isnan(scores[-1].precision)
