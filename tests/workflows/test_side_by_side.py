"""Folds and seeds as jobs: the bytes of one process, whatever is killed or interrupted on the way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from places import SUPPORT
from stopping import TINY, go_on, only, outcome, start

from kagglekit import UserError
from kagglekit.cli import cli
from kagglekit.runs.lookup import all_runs
from kagglekit.types.executor import JobOptions

EXECUTOR = str(SUPPORT / "forked_jobs.py")
LAST = {"stages": "4"}


def as_jobs(workers: int = 2, **asked: object) -> dict[str, object]:
    return {**LAST, "plugins": (EXECUTOR,), "jobs": JobOptions("forked", workers), **asked}


def test_killed_and_interrupted_jobs_end_with_the_bytes_of_one_process(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = start(data, tmp_path / "whole", asked=LAST, folds=2)
    monkeypatch.setenv("FORKED_ASK", "fold-1")
    with pytest.raises(KeyboardInterrupt):
        start(data, tmp_path / "jobs", asked=as_jobs(workers=1), folds=2)
    run = only(tmp_path / "jobs")
    assert run.info().status == "interrupted"
    finished = run.fold(1).info_file.read_bytes()

    monkeypatch.setenv("FORKED_KILL", "fold-2")
    again, said = start(data, tmp_path / "jobs", asked=as_jobs(), folds=2)
    assert again.folder == run.folder  # the same command, the same folder
    assert "fold-2: ended by signal 9; resuming it, attempt 2 of 3" in said
    assert run.fold(1).info_file.read_bytes() == finished
    assert "resuming from the last checkpoint" in run.fold(2).output_file.read_text()
    assert outcome(run) == outcome(whole)
    assert run.info().status == "finished"


def test_seeds_are_compared_once_all_jobs_have_finished(data: Path, tmp_path: Path) -> None:
    run, said = start(data, tmp_path, asked=as_jobs(repeats=2))
    assert "smallest significant difference" in said
    runs = all_runs(tmp_path)
    assert [each.recipe().seed for each in runs] == [0, 1]
    assert run.info().repeats is not None
    assert run.info().repeats.runs == tuple(each.name for each in runs)


@pytest.mark.slow
def test_a_fold_that_fails_leaves_the_others_joined(data: Path, tmp_path: Path) -> None:
    fails = tmp_path / "fails.py"
    fails.write_text(
        "from kagglekit import UserError, hookimpl\n\n\n@hookimpl\ndef kagglekit_stage_start(run):\n    pass\n\n\n"
        "@hookimpl\ndef kagglekit_loss(recipe, task):\n    import sys\n"
        "    if 'fold-1' in sys.argv:\n        raise UserError('no loss today', 'try again')\n"
    )
    with pytest.raises(UserError, match=r"1 of 2 runs failed: .*fold-1"):
        start(data, tmp_path / "out", asked=as_jobs(plugins=(EXECUTOR, str(fails))), folds=2)
    run = only(tmp_path / "out")
    assert run.info().status == "partial"
    assert run.info().folds == (2,)
    assert "error: no loss today" in run.fold(1).output_file.read_text()
    said = go_on(run, data)  # here, one after the other: nothing of what failed is left
    assert run.info().status == "finished", said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--on", "cloud"], "unknown executor 'cloud': choose from kaggle, local, ray"),
        (["-n", "0"], "'0' is not a number of at least 1, nor auto"),
        (["-n", "2", "--folds", "2", "--only-fold", "1"], "--only-fold trains one fold here"),
        (["--gpus", "99"], "--gpus 99: this machine has"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: list[str], message: str, data: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["run", "dog-breed", "--data", str(data), "--out", str(tmp_path), *arguments])
    assert done.exit_code != 0
    assert message in done.output


@pytest.mark.slow
def test_networks_of_a_zoo_side_by_side_end_with_the_bytes_of_one_process(data: Path, tmp_path: Path) -> None:
    settings = {**TINY, "zoo": '["test_resnet.r160_in1k", "test_vit.r160_in1k"]'}
    zoo = {"settings": tuple(f"{key}={value}" for key, value in settings.items() if key != "arch")}
    whole, _ = start(data, tmp_path / "whole", asked={**LAST, **zoo})
    run, said = start(data, tmp_path / "jobs", asked=as_jobs(**zoo))
    assert "2-test_vit.r160_in1k: finished" in said
    parts = [[one.blended(name) for name in one.info().blend_of] for one in (whole, run)]
    assert [outcome(part) for part in parts[0]] == [outcome(part) for part in parts[1]]
    assert outcome(run) == outcome(whole)


@pytest.mark.parametrize(("package", "command"), [("ray", "run"), ("optuna", "sweep run")])
def test_a_package_that_is_missing_is_named_once(
    package: str, command: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    fixed = ["--data", str(data), "--out", str(tmp_path), "--preset", "quick", "--stages", "4", *settings]
    own = ["--folds", "2", "--on", "ray"] if package == "ray" else ["--try", "stage.4.lr=1e-3,1e-2"]
    done = CliRunner().invoke(cli, [*command.split(), "dog-breed", *fixed, *own])
    assert done.exit_code == 1, done.output
    assert done.output.count(f"needs the package {package}") == 1
    extra = {"ray": "ray", "optuna": "sweep"}[package]
    assert f"pip install 'kagglekit[{extra}]'" in done.output
