"""Runs choose the form of the CSV by the metric, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tiny_competitions import TINY, ask, csv_lines, write_folders, write_plugin, write_table


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_a_sample_of_zeros_gets_probabilities_under_a_metric_that_needs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str
) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_table(tmp_path / "d", ("0", "1"))
    (data / "sample_submission.csv").write_text("id,label\n" + "".join(f"t{i},0\n" for i in range(4)))
    done = ask("run", write_plugin(tmp_path, "csv", f"metric='{metric}'"), "--data", "d", *TINY)
    assert done.exit_code == 0, done.output
    values = [float(line.split(",")[1]) for line in csv_lines(tmp_path / "submissions")[1:]]
    assert not set(values) <= {0.0, 1.0}
    assert [value > 0.5 for value in values] == [False, True, False, True]  # t1 and t3 are drawn like class 1


def test_a_contradiction_is_refused_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_table(tmp_path / "d")
    (data / "sample_submission.csv").write_text("id,label\n" + "".join(f"t{i},ant\n" for i in range(4)))
    done = ask("run", write_plugin(tmp_path, "csv", "metric='roc_auc'"), "--data", "d", *TINY)
    assert done.exit_code == 1
    assert "set Competition.positive to that class" in done.output
    assert not list(tmp_path.rglob("log.csv"))


def test_hard_labels_under_log_loss_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_table(tmp_path / "d", ("ant", "bee", "cow"))
    (data / "sample_submission.csv").write_text("id,label\n" + "".join(f"t{i},ant\n" for i in range(4)))
    done = ask("run", write_plugin(tmp_path, "csv"), "--data", "d", *TINY)
    assert done.exit_code == 0, done.output
    assert "warning: the CSV will hold hard labels, but log loss" in done.output


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("quadratic_kappa", "quadratic_kappa needs classes that are numbers, but these are not: ant, bee"),
        ("probabilistic_f1", "probabilistic_f1 needs the positive class, which is not known: the classes are ant, bee"),
        ("top_5_error", "the valid images: top_5_error of 2 classes is always 0"),
    ],
)
def test_classes_that_a_metric_cannot_be_computed_for_are_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "d")
    done = ask("run", write_plugin(tmp_path, "csv", f"metric='{metric}'"), "--data", "d", *TINY, "--no-submission")
    assert done.exit_code == 1
    assert f"error: {message}\nhint: " in done.output
    assert not list(tmp_path.rglob("log.csv"))


@pytest.mark.parametrize(
    ("metric", "cells"),
    [("quadratic_kappa", ["0", "1"]), ("map_at_2", ["0 1", "1 0"]), ("probabilistic_f1", ["0.0", "1.0"])],
)
def test_grades_ranks_and_probabilities_are_scored_each_epoch_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str, cells: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data, positive = write_table(tmp_path / "d", ("0", "1")), "'1'" if metric == "probabilistic_f1" else None
    facts = f"metric='{metric}', positive={positive}"
    done = ask("run", write_plugin(tmp_path, "csv", facts), "--data", data, *TINY)
    assert done.exit_code == 0, done.output
    log = pd.read_csv(next(tmp_path.rglob("log.csv")))
    assert log[f"valid_{metric}"].iloc[-1] == pytest.approx(1, abs=0.01)  # any network tells these classes apart
    labels = pd.read_csv(next(tmp_path.rglob("submission.csv")), dtype=str)["label"]
    if positive:
        labels = labels.astype(float).round().astype(str)
    assert labels.tolist() == cells * 2


def test_classes_called_like_columns_of_ours_are_trained_and_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folders(tmp_path / "d", ("id", "label", "path"))
    done = ask("run", write_plugin(tmp_path), "--data", "d", *TINY)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(next((tmp_path / "submissions").glob("*/*/submission.csv")))
    assert list(table.columns) == ["id_2", "id", "label", "path"]
    done = ask("predict", "latest", "d/test", "--csv", "p.csv", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert list(pd.read_csv("p.csv").columns) == ["path_2", "id", "label", "path"]
