"""A command reads the run.json of each run once, and hands it on."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from kagglekit.cli import cli
from kagglekit.runs import info, lookup
from kagglekit.runs.folder import Run
from kagglekit.system.typed_json import read_object


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the reads of run.json by the names of the runs."""
    counted: Counter[str] = Counter()

    def counting(file: Path, hint: str) -> dict[str, object]:
        counted[file.parent.name] += 1
        return read_object(file, hint)

    monkeypatch.setattr(info, "read_object", counting)
    return counted


def ask(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(cli, list(map(str, words)))
    assert done.exit_code == code, done.output
    return done.output


def test_report_and_predict_read_a_run_once(dogs, reads: Counter[str]) -> None:
    ask("report", dogs.run.folder)
    assert reads == {dogs.run.name: 1}
    reads.clear()
    ask("predict", dogs.run.folder, next(dogs.data.rglob("*.jpg")))
    assert reads == {dogs.run.name: 1}


def test_submit_reads_a_run_once(dogs, tmp_path: Path, reads: Counter[str]) -> None:
    run = Run(shutil.copytree(dogs.run.folder, tmp_path / "dog-breed" / dogs.run.name))
    info.Record.of(run.info_file).update(slug=None)
    reads.clear()
    assert "is not on Kaggle: nothing was uploaded" in ask("submit", run.folder, code=1)
    assert reads == {run.name: 1}


def test_runs_are_listed_the_oldest_first(tmp_path: Path) -> None:
    for name in ("b/20260102-x", "a/20260103-x", "a/20260101-x"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "recipe.json").write_text("{}")
    assert [run.name for run in lookup.all_runs(tmp_path)] == ["20260101-x", "20260102-x", "20260103-x"]
    assert [run.name for run in lookup.all_runs(tmp_path, "b")] == ["20260102-x"]
