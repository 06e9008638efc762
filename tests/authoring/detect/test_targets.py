"""Folders of several labels, numbers and several images a row: the plugin reads the right targets, the CSV is right."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import layouts
import numpy as np
import pytest
import target_layouts
from odd_layouts import begun, pictures, sample
from samples import sample_rows
from target_layouts import TARGET_LAYOUTS, TESTS, Expected, N, columns_of_flags, one_number

from kagglekit.authoring.detect.data_folder import detect_layout
from kagglekit.authoring.evidence import evidence
from kagglekit.data.sample import sample_for
from kagglekit.data.submission import check_submission
from kagglekit.data.table import read_table
from kagglekit.hooks.calls import Hooks
from kagglekit.types.metric import BUILT_IN_METRICS
from kagglekit.types.predictions import make_predictions


@pytest.mark.parametrize("write", TARGET_LAYOUTS, ids=lambda write: write.__name__)
def test_the_targets_of_each_image_are_the_right_ones(tmp_path: Path, write: Callable[[Path], Expected]) -> None:
    written: list[Expected] = []
    _, hooks, _ = begun(tmp_path, lambda data: written.append(write(data)))
    data, facts = tmp_path / "data", hooks.competition()
    table, task, _ = read_table(hooks, facts, data)
    assert (facts.task, task.columns) == (written[0].task, written[0].columns)
    known = table[table["split"] != "test"]
    paths = [Path(path).relative_to(data).as_posix() for path in known["path"]]
    truth = written[0].truth
    assert set(paths) == set(truth)
    np.testing.assert_allclose(task.encode(known["label"].tolist()), [truth[path] for path in paths], rtol=1e-6)
    tests = table[table["split"] == "test"]
    assert len(tests) == len(TESTS)
    assert tests["label"].isna().all()
    given = sample_for(table, data, task.columns)
    facts_found = list(evidence(table, data, given, task))
    assert [fact for fact in facts_found if fact.status == "problem"] == []
    assert any("their labels are in" in fact.what for fact in facts_found), facts_found


@pytest.mark.parametrize(
    "write",
    [each for each in TARGET_LAYOUTS if "without_a_sample" not in each.__name__ and each is not target_layouts.bars],
    ids=lambda write: write.__name__,
)
def test_the_csv_is_like_the_sample(tmp_path: Path, write: Callable[[Path], Expected]) -> None:
    _, hooks, _ = begun(tmp_path, write)
    data, facts = tmp_path / "data", hooks.competition()
    table, task, _ = read_table(hooks, facts, data)
    tests = table.loc[table["split"] == "test", "id"].tolist()
    values = task.placeholder(len(tests)) if task.kind == "regression" else np.ones((len(tests), len(task.columns)))
    predictions = make_predictions(tests, task.columns, values)
    found = sample_for(table, data, task.columns)
    assert found
    given = found.rows
    rows = hooks.submission(facts, predictions, given, task)
    check_submission(rows, given, predictions, facts, task)
    assert list(rows.columns) == list(given.columns)


def said_of(folder: Path, write: Callable[[Path], object]) -> tuple[str, Hooks]:
    layout, hooks, text = begun(folder, write)
    return " ".join([*layout.notes, text.replace("\n# ", " ").replace("\n    # ", " ")]), hooks


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (target_layouts.columns_of_flags, "images of one 'PatientID' stay together in train or in valid"),
        (
            target_layouts.columns_of_flags,
            "16 labelled images with any of 3 labels (mould, rust, scab), from",
        ),
        (target_layouts.flags_without_a_sample, "columns of 0 and 1 are taken for several labels (mould, rust, scab)"),
        (target_layouts.labels_in_a_cell, "is 'mould rust scab' in 'labels' one class? It is taken for 3 labels"),
        (target_layouts.a_number_under_another_name, "the numbers in 'bone_age' are taken for the target"),
        (target_layouts.numbers_without_a_sample, "16 labelled images with a number each (age), from t.csv"),
        (target_layouts.a_row_a_number, "from train.csv (a row a target)"),
        (target_layouts.shares, "CHECK: no number in train.csv is negative or above 1"),
    ],
)
def test_what_was_understood_is_said(tmp_path: Path, write: Callable[[Path], object], said: str) -> None:
    assert said in said_of(tmp_path, write)[0]


def test_images_that_share_a_row_of_the_csv_have_its_id(tmp_path: Path) -> None:
    _, hooks, _ = begun(tmp_path, target_layouts.breasts)
    facts = hooks.competition()
    table, _, _ = read_table(hooks, facts, tmp_path / "data")
    assert (facts.rows, facts.positive) == ("mean", "1")
    tests = table[table["split"] == "test"]
    assert tests["row"].tolist() == ["8_L", "8_L", "9_R", "9_R"]
    assert table["row"].tolist()[:5] == ["0_L", "0_L", "0_R", "0_R", "1_L"]
    assert table["group"].tolist()[:5] == ["0", "0", "0", "0", "1"]


def grades(data: Path) -> None:
    target_layouts.folders(data)
    layouts.write_csv(data / "train.csv", [("id_code", "diagnosis"), *((str(i), str(i % 4)) for i in range(N))])
    sample(data, TESTS, ("id_code", "diagnosis"), "0")


@pytest.mark.parametrize(("metric", "task"), [("quadratic_kappa", "ordinal"), ("rmse", "regression"), ("", "single")])
def test_the_metric_decides_what_whole_numbers_are(tmp_path: Path, metric: str, task: str) -> None:
    _, hooks, _ = begun(tmp_path, grades, metric)
    facts = hooks.competition()
    assert facts.task.startswith(task)
    _, found, _ = read_table(hooks, facts, tmp_path / "data")
    assert found.kind.startswith(task)


def graphemes(data: Path) -> None:
    """Several targets of classes; the sample has a row for each."""
    target_layouts.folders(data)
    rows = [(str(i), str(i % 4), str(i % 2), f"{'abc'[i % 3]}") for i in range(N)]
    layouts.write_csv(data / "train.csv", [("image_id", "root", "vowel", "grapheme"), *rows])
    ids = [f"{t}_{name}" for t in TESTS for name in ("root", "vowel")]
    sample(data, ids, ("row_id", "target"), "0")


@pytest.mark.parametrize("write", [columns_of_flags, one_number, grades, graphemes], ids=lambda write: write.__name__)
def test_the_other_metrics_that_a_plugin_names_are_for_its_kind_of_target(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    _, hooks, text = begun(tmp_path, write)
    facts, plain = hooks.competition(), " ".join(line.strip(" #") for line in text.splitlines())
    found = re.search(r"\(others: (.*?)(, \.\.\.|\))", plain)
    assert found
    named = found[1].split(", ")
    assert facts.metric not in named
    assert len(named) > 2
    assert [name for name in named if facts.task not in BUILT_IN_METRICS[name].tasks] == []


def test_classes_that_are_grades_name_the_metric_that_orders_them(tmp_path: Path) -> None:
    text = " ".join(line.strip(" #") for line in begun(tmp_path, grades)[2].splitlines())
    assert "with quadratic_kappa: classes are the grades 0 to 3: task='ordinal' learns them as a number" in text


def test_several_targets_of_classes_are_predicted_side_by_side(tmp_path: Path) -> None:
    _, hooks, _ = begun(tmp_path, graphemes)
    facts = hooks.competition()
    assert (facts.task, facts.targets) == ("several", ("root", "vowel"))
    assert dict(facts.kinds) == {"root": "single-label", "vowel": "single-label"}
    table, task, _ = read_table(hooks, facts, tmp_path / "data")
    assert task.columns == ("root=0", "root=1", "root=2", "root=3", "vowel=0", "vowel=1")
    tests = table.loc[table["split"] == "test", "id"].tolist()
    likely = np.tile(np.float32([0.1, 0.2, 0.6, 0.1, 0.3, 0.7]), (len(tests), 1))
    predictions, given = make_predictions(tests, task.columns, likely), sample_rows(tmp_path / "data")
    rows = hooks.submission(facts, predictions, given, task)
    check_submission(rows, given, predictions, facts, task)
    assert rows["target"].tolist() == ["2", "1"] * len(TESTS)


def test_class_folders_come_before_numbers_that_describe_the_images(tmp_path: Path) -> None:
    names = [f"{'ant' if i % 2 else 'bee'}/{i}.jpg" for i in range(N)]
    pictures(tmp_path, [f"train/{name}" for name in names])
    rows = [(name, str(0.1 + i)) for i, name in enumerate(names)]
    layouts.write_csv(tmp_path / "sizes.csv", [("file", "kilobytes"), *rows])
    assert detect_layout(tmp_path).labels.classes == ("ant", "bee")
