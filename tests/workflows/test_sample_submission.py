"""Runs, look and predict find the sample submission, ask where there are several, and say what was checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_competitions import TINY, ask, csv_lines, write_plugin, write_table


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "d")
    return write_plugin(tmp_path, "csv", "metric='accuracy'")


def write_form(file: Path, columns: str = "image_name,class_id") -> None:
    file.write_text(f"{columns}\n" + "".join(f"t{i},ant\n" for i in (3, 1, 0, 2)))


def test_a_run_writes_the_form_of_a_sample_under_another_name_and_reports_it(tmp_path: Path, plugin: str) -> None:
    write_form(tmp_path / "d" / "Sample_Submission_stage1.csv")
    done = ask("run", plugin, "--data", "d", *TINY)
    assert done.exit_code == 0, done.output
    assert "submission.csv with 4 rows, checked against Sample_Submission_stage1.csv\n" in done.output
    lines = csv_lines(tmp_path / "submissions")
    assert [line.split(",")[0] for line in lines] == ["image_name", "t3", "t1", "t0", "t2"]
    assert {line.split(",")[1] for line in lines[1:]} <= {"ant", "bee"}
    done = ask("predict", "latest", "--submission", "s.csv", "--data", "d")
    assert "submission: s.csv with 4 rows, checked against Sample_Submission_stage1.csv\n" in done.output
    assert (tmp_path / "s.csv").read_text().splitlines()[0] == "image_name,class_id"


def test_several_samples_are_named_before_anything_is_trained_and_the_user_chooses(tmp_path: Path, plugin: str) -> None:
    write_form(tmp_path / "d" / "one.csv", "one,class_id")
    write_form(tmp_path / "d" / "two.csv", "two,class_id")
    for command in (("run", plugin, *TINY), ("look", plugin, "--no-pictures")):
        done = ask(*command, "--data", "d")
        assert done.exit_code == 1
        assert "could be the sample submission: one.csv, two.csv" in done.output
        assert "--sample FILE" in done.output
    assert not (tmp_path / "submissions").exists()
    done = ask("run", plugin, "--data", "d", "--sample", "two.csv", *TINY)
    assert done.exit_code == 0, done.output
    assert csv_lines(tmp_path / "submissions")[0] == "two,class_id"
    info = json.loads(next((tmp_path / "submissions").glob("*/*/run.json")).read_text())
    assert Path(info["request"]["sample"]) == tmp_path / "d" / "two.csv"
    assert (
        "sample submission: one.csv"
        in ask("look", plugin, "--no-pictures", "--data", "d", "--sample", "d/one.csv").output
    )
    done = ask("predict", "latest", "--submission", "s.csv", "--data", "d", "--sample", "one.csv")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "s.csv").read_text().splitlines()[0] == "one,class_id"


def test_a_run_without_a_sample_says_that_nothing_was_compared(tmp_path: Path, plugin: str) -> None:
    done = ask("run", plugin, "--data", "d", *TINY)
    assert done.exit_code == 0, done.output
    assert "with 4 rows, without a sample submission to check it against\n" in done.output
    assert f"warning: no sample submission in {tmp_path / 'd'}: the CSV's columns are a guess" in done.output
    assert "warning: no sample submission" in ask("look", plugin, "--no-pictures", "--data", "d").output
