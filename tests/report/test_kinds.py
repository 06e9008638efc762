"""The panels of several labels, numbers, grades and several targets: their figures, and the page."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
from judged_kinds import KINDS, LABELS, N, make_run
from sklearn import metrics

from kagglekit import MultiLabel, Run
from kagglekit.report import label_scores
from kagglekit.report.number_scores import graded, number_score
from kagglekit.report.page import write_report
from kagglekit.report.panels import Bin
from kagglekit.report.predicted import Decided
from kagglekit.report.reading import Known, predicted
from kagglekit.runs.info import FoundDecision, Record
from kagglekit.runs.loaded import LoadedRun
from kagglekit.tasks.built_in import loaded_task
from kagglekit.types.predictions import load_predictions, save_predictions

NAN = np.nan
TRUTH = np.array([[1, 0], [1, 1], [0, 1], [0, NAN], [1, 0]], np.float32)
P = np.array([[0.9, 0.6], [0.2, 0.7], [0.4, 0.1], [0.2, 0.9], [0.6, 0.3]])


def page(run: Run) -> str:
    write_report(run)
    return unescape(run.report.read_text(encoding="utf-8")).replace("<wbr>", "")


def section(text: str, title: str) -> str:
    """Return the part of the page below a heading, up to the next one."""
    return re.split(r"<h[12]", text.partition(f">{title}</h2>")[2])[0]


def table(text: str) -> dict[str, list[str]]:
    """Return the cells of a table by the first one of each row."""
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr.*?</tr>", text, re.DOTALL)]
    return {row[0]: row[1:] for row in rows}


def test_each_labels_figures_are_scikit_learns_over_the_images_for_which_it_is_known():
    rng = np.random.default_rng(0)
    truth = (rng.uniform(size=(200, 3)) < [0.5, 0.1, 0.3]).astype(np.float32)
    p = np.round(0.4 * truth + 0.6 * rng.uniform(size=truth.shape), 2)  # with ties
    truth[::5, 1] = NAN
    for score, at in zip(label_scores.label_scores(truth, p, p >= [0.5, 0.3, 0.6]), (0.5, 0.3, 0.6), strict=True):
        known = ~np.isnan(truth[:, score.number])
        has, own = truth[known, score.number] == 1, p[known, score.number]
        assert (score.n, score.positives) == (known.sum(), has.sum())
        assert score.auc == pytest.approx(metrics.roc_auc_score(has, own))
        assert score.loss == pytest.approx(metrics.log_loss(has, own.clip(1e-30, 1)))
        assert score.f1 == pytest.approx(metrics.f1_score(has, own >= at))
        best = max((metrics.f1_score(has, own >= each), each) for each in np.unique(own))
        assert score.best_f1 == pytest.approx(best[0])
        assert metrics.f1_score(has, own >= score.best_threshold) == pytest.approx(best[0])


def test_a_label_that_no_image_has_or_that_all_have_has_no_area_under_a_curve():
    none, all_of_them = label_scores.label_scores(
        np.array([[0, 1], [0, 1]]), np.full((2, 2), 0.5), np.ones((2, 2), bool)
    )
    assert np.isnan([none.auc, none.best_f1, none.f1, all_of_them.auc]).all()
    assert all_of_them.best_f1 == 1


def test_the_f1_curve_is_f1_at_each_threshold():
    points = dict(label_scores.f1_curve(TRUTH[:, 0], P[:, 0], points=11))
    for at, value in points.items():
        assert value == pytest.approx(metrics.f1_score(TRUTH[:, 0], P[:, 0] >= at, zero_division=0.0))
    assert points[0.5] == pytest.approx(0.8)


def test_labels_that_occur_together_and_labels_that_are_confused():
    assert label_scores.co_occurrence(TRUTH).tolist() == [[3, 1], [1, 2]]
    said = np.array([[0, 1], [1, 1], [1, 0], [0, 1], [1, 1]], bool)
    # image 0 has the first and got the second; image 2 the reverse; images 1 and 4 have the first found
    assert label_scores.confusion(TRUTH, said).tolist() == [[2, 1], [1, 1]]


def test_suspect_labels_are_those_that_are_confidently_predicted_otherwise():
    truth = np.array([[1], [1], [1], [0], [0], [0], [NAN]], np.float32)
    p = np.array([[0.9], [0.8], [0.02], [0.1], [0.95], [0.2], [1.0]])
    assert label_scores.suspects(truth, p, 12) == [(2, 0), (4, 0)]


def test_probabilities_are_compared_with_how_often_labels_are_there():
    found = label_scores.calibration(TRUTH, P)
    assert sum(each.n for each in found) == 9
    assert Bin(2, pytest.approx(0.2), pytest.approx(0.5)) in found  # 0.2 and 0.2, of which one has the label
    assert found[0] == Bin(1, 0.1, 1.0)


def test_a_numbers_figures_are_scikit_learns():
    rng = np.random.default_rng(1)
    truth = rng.normal(5, 2, 50)
    predicted = truth * 0.8 + rng.normal(0, 1, 50)
    found = number_score("size", np.append(truth, NAN), np.append(predicted, 3.0))
    assert found.n == 50
    assert found.rmse == pytest.approx(metrics.root_mean_squared_error(truth, predicted))
    assert found.mae == pytest.approx(metrics.mean_absolute_error(truth, predicted))
    assert found.r2 == pytest.approx(metrics.r2_score(truth, predicted))
    assert found.bias == pytest.approx((predicted - truth).mean())
    assert (found.mean, found.deviation) == pytest.approx((truth.mean(), truth.std()))
    assert number_score("unknown", np.full(2, NAN), np.ones(2)).n == 0
    assert np.isnan(number_score("constant", np.ones(3), np.ones(3)).r2)


def test_a_number_is_the_grade_between_its_cuts():
    values = np.array([-3, 0.4, 0.6, 1.4, 2.9, 9])
    assert graded(values, np.array([0.5, 1.5]), np.arange(3)).tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("found", "numbers"),
    [
        ({"a": 0.2, "b": 0.7}, [0.2, 0.7]),
        ({"thresholds": {"b": 0.7}}, [0.5, 0.7]),
        ({"thresholds": [0.2, 0.7]}, [0.2, 0.7]),
        ({"threshold": 0.3}, [0.3, 0.3]),
        (None, [0.5, 0.5]),
        ({"prior": {"c": 1, "d": 2}}, [0.5, 0.5]),
        ({"count": 2}, [0.5, 0.5]),
        ({"cuts": [0.2, 0.7]}, [0.2, 0.7]),
    ],
)
def test_what_a_decision_found_is_known_for_each_column(found, numbers):
    assert Decided("thresholds", found).numbers(("a", "b"), [0.5, 0.5]).tolist() == numbers


def test_a_curve_is_marked_where_its_own_number_was_found():
    curves = {"a": [(0, 1)], "b": [(0, 1)]}
    assert Decided("thresholds", {"a": 0.2, "b": 0.7}, curves).marks("b") == [0.7]
    assert Decided("cuts", {"cuts": [0.2, 0.7]}, curves).marks("b") == [0.7]
    assert Decided("threshold", {"threshold": 0.3}, curves).marks("b") == [0.3]
    assert Decided("thresholds", {"thresholds": {"a": 0.4}}, {"a": []}).marks("a") == [0.4]
    assert Decided("count", {"count": 2}, {"number of labels": []}).marks("number of labels") == [2.0]
    assert Decided("prior-shift", {"prior": {"a": 0.4, "c": 0.6}}, {}).marks("b") == []


def test_the_page_of_several_labels(tmp_path):
    decision = FoundDecision(
        "thresholds", {"thresholds": dict.fromkeys(LABELS, 0.4)}, {"rust": [(0.1, 0.5), (0.9, 0.7)]}
    )
    run, task = make_run(tmp_path, "multi-label", decision=decision)
    text = page(run)
    assert "4 labels" in text
    titles = ("Worst images", "Labels", "Thresholds", "Confusion", "Likely label errors", "Calibration")
    assert all(f'">{title}</h2>' in text for title in titles)
    assert all(f">{title}</a>" in text for title in titles)
    assert '<span class="big">0.7312</span>' in text
    rows = table(section(text, "Labels"))
    assert sorted(rows) == sorted(["label", "mean", *LABELS])
    assert {row[5] for name, row in rows.items() if name in LABELS} == {"0.400"}
    assert "Macro" not in section(text, "Thresholds")
    assert "Log loss if one number of the decision (thresholds) changes" in section(text, "Thresholds")
    worst = section(text, "Worst images")
    assert len(re.findall("data:image/webp", worst)) == 12
    assert 'class="bad">' in worst
    assert len(task.columns) == 4


def test_without_a_decision_each_labels_f1_is_drawn_against_its_threshold(tmp_path):
    text = section(page(make_run(tmp_path, "multi-label")[0]), "Thresholds")
    assert all(f"F1 of {name} against its threshold" in text for name in LABELS)
    assert text.count('class="found"') == len(LABELS)


def test_a_card_says_which_labels_were_found_wrong_and_missed(tmp_path):
    run, task = make_run(tmp_path, "multi-label")
    labels = {row["id"]: task.encode([row["label"]])[0] for row in run.valid()}
    p = load_predictions(run.predictions("ensemble", "valid"))
    cards = re.findall(r"<figure>(.*?)</figure>", section(page(run), "Worst images"), re.DOTALL)
    losses = [float(re.findall(r"loss ([\d.]+)", card)[0]) for card in cards]
    assert losses == sorted(losses, reverse=True)
    said = set()
    for card in cards:
        (image,) = re.findall(r"<figcaption>(?:<a[^>]*>)?([^<]+)<", card)
        for style, words, name, probability in re.findall(
            r'class="(good|bad)">(wrong: |missed: |)(\S+) ([\d.]+)<', card
        ):
            has, value = labels[image][LABELS.index(name)], p.loc[image, name]
            assert f"{value:.2f}" == probability
            assert (style, words) == {
                (1, True): ("good", ""),
                (0, True): ("bad", "wrong: "),
                (1, False): ("bad", "missed: "),
            }[has, value >= 0.5]
            said.add(words)
    assert said == {"", "wrong: ", "missed: "}


def test_the_page_of_numbers(tmp_path):
    run, _ = make_run(tmp_path, "regression")
    text = page(run)
    rows = table(section(text, "Targets"))
    assert rows["clover_g"][0] == str(N)
    assert rows["total_g"][0] == str(N - len(range(0, N, 7)))
    drawn = section(text, "Predicted and actual")
    assert drawn.count("<svg") == 4
    assert len(re.findall(r'd="((?:M[\d.]+ [\d.]+h0)+)"', drawn)[0].split("M")) - 1 == N
    worst = section(text, "Worst images")
    assert re.search(r"clover_g: [\d.]+</span><br>\s*<span>actual: [\d.]+", worst)
    assert "Loss, nats" not in text


def test_the_page_of_grades(tmp_path):
    decision = FoundDecision("cuts", {"cuts": [0.6, 1.4, 2.4, 3.2]}, {"cut 1": [(0.2, 0.7), (0.6, 0.8), (0.9, 0.7)]})
    run, _ = make_run(tmp_path, "ordinal", decision=decision)
    text = page(run)
    assert "5 grades" in text
    rows = table(section(text, "Grades"))
    assert sum(int(rows[grade][0]) for grade in "01234") == N
    assert section(text, "Predicted and actual").count('class="found"') == 4
    assert "Quadratic weighted kappa if one number of the decision (cuts) changes" in section(text, "Thresholds")
    assert re.search(r"\(grade \d\)</span><br>\s*<span>actual: \d", section(text, "Worst images"))


def test_the_page_of_several_targets_has_the_panels_of_each(tmp_path):
    text = page(make_run(tmp_path, "several")[0])
    assert re.findall(r'<h1 class="part" id="(.*?)">(.*?)</h1>', text) == [
        ("target1-", "shape"), ("target2-", "size, weight"), ("target3-", "red"),
    ]  # fmt: skip
    anchors = re.findall(r' id="(target.*?)"', text)
    assert len(anchors) == len(set(anchors))
    assert {"target1-confusion", "target2-targets", "target3-labels"} <= set(anchors)
    links = re.findall(r'href="#(target.*?)"', text)
    assert set(links) <= set(anchors)
    assert sorted(table(section(text, "Targets"))) == ["size", "target", "weight"]


def test_labels_are_shown_as_the_runs_decision_decides_them(tmp_path):
    decision = FoundDecision("count", {"count": 1}, {"number of labels": [(1, 0.5), (2, 0.4)]})
    run, task = make_run(tmp_path, "multi-label", decision=decision)
    text = page(run)
    table_of = load_predictions(run.predictions("ensemble", "valid"))
    for card in re.findall(r"<figure>(.*?)</figure>", section(text, "Worst images"), re.DOTALL):
        (image,) = re.findall(r"<figcaption>(?:<a[^>]*>)?([^<]+)<", card)
        said = set(re.findall(r'class="(?:good|bad)">(?:wrong: )?([a-z_]+) [\d.]+<', card))
        assert said <= {table_of.loc[image].idxmax()}  # never two
    assert section(text, "Thresholds").count('class="found"') == 1
    assert len(task.columns) == 4


def test_a_curve_of_a_loss_has_the_losses_although_a_decision_maximises_their_negative(tmp_path):
    run, _ = make_run(tmp_path, "multi-label", decision=FoundDecision("thresholds", {}, {"rust": [(0.1, -0.5)]}))
    loaded = LoadedRun.read(run)
    seen = predicted(loaded, Known.of(loaded.info))
    assert seen is not None
    assert seen.decided.curves == {"rust": [(0.1, 0.5)]}


def test_one_class_an_image_shows_the_curve_of_a_decision_below_its_panels(tmp_path):
    run, _ = make_run(tmp_path, "several")
    table_of = load_predictions(run.predictions("ensemble", "valid")).iloc[:, :2]
    save_predictions(table_of, run.predictions("ensemble", "valid"))
    run.write_valid([{**row, "label": table_of.columns[0]} for row in run.valid()])
    decision = FoundDecision("new-class", {"probability": 0.3}, {"probability of new": [(0.1, 0.5), (0.6, 0.4)]})
    Record.of(run.info_file).update(
        task="single-label", task_state={}, classes=tuple(table_of.columns), decision=decision
    )
    text = page(run)
    assert [title for title in re.findall(r"<h2[^>]*>(.*?)</h2>", text) if title in ("Classes", "Thresholds")] == [
        "Classes", "Thresholds",
    ]  # fmt: skip
    assert section(text, "Thresholds").count('class="found"') == 1


def test_a_plugins_own_task_has_scores_but_no_panels(tmp_path):
    run, _ = make_run(tmp_path, "regression")
    Record.of(run.info_file).update(task="keypoints", task_state={})
    text = page(run)
    assert "0.7312" in text
    assert "Worst images" not in text


def test_a_task_is_loaded_by_its_name_and_a_run_without_one_has_one_label_an_image():
    assert loaded_task("", ("a", "b"), {}).kind == "single-label"
    labels = MultiLabel(("a", "b"))
    assert loaded_task("multi-label", ("a", "b"), labels.state()) == labels
    assert loaded_task("keypoints", ("a", "b"), {}) is None


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
@pytest.mark.parametrize("kind", KINDS)
def test_in_a_browser_nothing_overflows(kind, tmp_path):
    run, _ = make_run(tmp_path, kind)
    write_report(run)
    answer: dict[str, Any] = browser.ask(run.report, Path(tmp_path), dark=False)
    assert answer["scroll"] == answer["beyond"] == answer["scrolled"] == answer["broken"] == 0
    assert answer["cut"] == []
