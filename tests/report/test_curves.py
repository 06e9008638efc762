from __future__ import annotations

import math

import pytest

from kagglekit import Stage
from kagglekit.compute.smoothing import smoothed
from kagglekit.report.curves import Line, Span, Timing, curves, decoding, thinned, timings, verdict
from kagglekit.report.svg import chart, ticks
from kagglekit.types.decoded import Decoded


def log_row(stage: str, epoch: int, step: int, cycle: int = 1, **fields: object) -> dict[str, str]:
    row = {"stage": stage, "size": 32, "cycle": cycle, "epoch": epoch, "step": step, "lr": 0.1, "train_loss": 1.0}
    row |= {"valid_loss": 1.0, "valid_accuracy": 0.5, "seconds": 2.0, "images_per_s": 50.0, "waited_s": 0.5, **fields}
    return {key: str(value) for key, value in row.items()}


def step_row(stage: str, step: int) -> dict[str, str]:
    return {"stage": stage, "step": str(step), "lr": "0.1", "momentum": "0.9", "loss": str(step)}


LOG = [
    log_row("head", 1, 0),
    log_row("all", 1, 2),
    log_row("all", 2, 4, cycle=2),
    log_row("all", 3, 6, cycle=2, valid_accuracy=0.75),
    log_row("last", 1, 3),
]
STEPS = [step_row("all", step) for step in range(1, 7)] + [step_row("last", step) for step in range(1, 4)]


def test_all_stages_lie_on_one_axis_of_steps():
    found = curves(LOG, STEPS)
    assert found.spans == [Span("head", 0, 0, ()), Span("all", 0, 6, (2,)), Span("last", 6, 9, ())]
    assert found.loss == Line([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 5, 6, 1, 2, 3])
    assert found.epochs["valid_accuracy"] == Line([0, 2, 4, 6, 9], [0.5, 0.5, 0.5, 0.75, 0.5])


def test_a_run_without_an_epoch_has_no_curves():
    found = curves([], STEPS)
    assert (found.spans, found.epochs, found.loss.xs) == ([], {}, [])


STAGE = Stage(name="s", size=32)


def epochs(train: list[float], valid: list[float]) -> list[dict[str, str]]:
    return [
        log_row("s", i, i, train_loss=t, valid_loss=v) for i, (t, v) in enumerate(zip(train, valid, strict=True), 1)
    ]


@pytest.mark.parametrize(
    ("train", "valid", "expected"),
    [
        ([1.0, 0.5, 0.2], [math.nan] * 3, "no valid images"),
        ([1.0, 0.5, 0.2], [1.0, 0.8, 0.9], "over-fitting"),  # 12 % above 0.8 while training went on falling
        ([1.0, 0.5, 0.2], [1.0, 0.8, 0.83], "fitting"),  # 4 %: within the rule's 5
        ([1.0, 0.5, 0.6], [1.0, 0.8, 0.9], "fitting"),  # both rose: a new cycle, or noise
        ([1.0, 0.8, 0.6], [0.9, 0.7, 0.5], "under-fitting"),  # 20 % above the valid loss, which still falls
        ([1.0, 0.8, 0.54], [0.9, 0.7, 0.5], "fitting"),
        ([1.0, 0.8, 0.6], [0.9, 0.49, 0.5], "fitting"),  # the valid loss no longer falls
        ([1.0], [0.5], "too short"),
    ],
)
def test_a_verdict_follows_the_rule(train, valid, expected):
    assert verdict(epochs(train, valid), STAGE) == expected


def test_a_head_found_by_regression_is_not_judged():
    assert verdict([log_row("head", 1, 0)], STAGE) == ""


def test_a_training_loss_that_is_another_quantity_is_no_sign_of_under_fitting():
    rows = epochs([1.0, 0.8, 0.6], [0.9, 0.7, 0.5])
    for changed in ({"mixup": 0.2}, {"cutmix": 1.0}, {"label_smoothing": 0.1}, {"oversample": 0.5}):
        assert verdict(rows, STAGE.model_copy(update=changed)) == "fitting"


def test_time_is_split_into_decoding_compute_waiting_and_the_rest():
    decoded = [
        Decoded("labelled", "all", 96, "files", 300, 2.0),
        Decoded("labelled", "all", 72, "copies", 100, 2.0),
        Decoded("test", "", 96, "files", 30, 0.5),
    ]
    found = timings(LOG, {"head": 2.0, "all": 8.0}, decoded)
    assert found[1] == Timing("all", 8.0, 4.0, 100.0, 4.5, 1.5, 2.0, 50.0)
    # stopped before its end: no whole time is known
    assert found[2] == Timing("last", 2.0, 0.0, 0.0, 1.5, 0.5, 0.0, 50.0)
    assert decoding(decoded, "") == (0.5, 60.0)
    assert decoding([], "all") == (0.0, 0.0)


def test_smoothing_gives_a_constant_back_and_begins_with_the_first_value():
    assert smoothed([2.0] * 5) == pytest.approx([2.0] * 5)
    assert smoothed([4.0, 0.0], beta=0.5) == pytest.approx([4.0, 4 / 3])
    assert smoothed([]) == []


def test_thinning_averages_neighbours():
    assert thinned(Line([1, 2, 3, 4, 5], [1, 3, 5, 7, 9]), 3) == Line([1.5, 3.5, 5], [2, 6, 9])
    assert thinned(Line(), 3) == Line()


def test_ticks_are_round_numbers_within():
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(0.013, 0.1) == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert ticks(-30, 470) == pytest.approx([0, 100, 200, 300, 400])
    assert ticks(5, 5) == [5]


def test_a_chart_escapes_names_and_leaves_out_labels_that_do_not_fit():
    drawn = str(chart("loss", [], [Span("a<b", 0, 900, ()), Span("short", 900, 901, ())]))
    assert "1 a&lt;b" in drawn
    assert "short" not in drawn
