"""Stopped runs of every kind: folds, a single fold, all images, frozen features, a searched rate; and steps.csv."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console
from stopping import go_on, only, outcome, start, stop_at, stopped

from kagglekit import Run
from kagglekit.planning.request import Request
from kagglekit.runs.lock import is_locked, locked
from kagglekit.system.display.console import Display
from kagglekit.system.signals import Stopped
from kagglekit.training import leave_step, lr_range_test, tuning
from kagglekit.workflows import folds as fold_runs
from kagglekit.workflows import start as starting

LAST = {"asked": {"stages": "4"}, "stage__4__batch_size": 4}  # 12 images a fold make 3 steps an epoch, 6 a fold
FOLDS = {**LAST, "folds": 2}
MIXED = {
    "stage__4__mixup": 0.4,
    "stage__4__oversample": 1,
    "stage__4__drop_rate": 0.3,
    "stage__4__label_smoothing": 0.1,
}
AUTO = {**LAST, **MIXED, "stage__4__lr": "auto"}  # with a moving average, as all of these have
FEATURES = {
    "asked": {
        "preset": "features",
        "settings": ("arch=test_efficientnet.r160_in1k", "pretrained=false", "stage.1.size=32"),
    }
}


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return start(data, tmp_path_factory.mktemp("whole"), **LAST)[0]


@pytest.fixture(scope="module")
def folds(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return start(data, tmp_path_factory.mktemp("folds"), **FOLDS)[0]


@pytest.mark.parametrize("error", ["asked", "killed"])
@pytest.mark.parametrize("call", [2, 5])
def test_steps_csv_has_each_step_once_after_a_stop_within_an_epoch(
    data: Path, whole: Run, tmp_path: Path, call: int, error: str
) -> None:
    run, _ = stopped(data, tmp_path, call, **({} if error == "asked" else {"error": KeyboardInterrupt}), **LAST)
    go_on(run)
    steps = [int(row["step"]) for row in run.steps()]
    assert steps == list(range(1, len(steps) + 1))
    assert run.steps_file.read_bytes() == whole.steps_file.read_bytes()
    assert outcome(run) == outcome(whole)


def test_a_long_step_is_left_in_the_middle_and_done_again(
    data: Path, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def interrupt(parameter: object) -> None:  # in the backward pass of the second step
        seen.append(id(parameter))
        if len(seen) - len(set(seen)) == 10:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(leave_step, "LONG", 0.0)
    monkeypatch.setattr(leave_step, "let_signals_in", interrupt)
    with pytest.raises(Stopped):
        start(data, tmp_path, **LAST)
    assert len(seen) - len(set(seen)) == 10  # no other parameter got its gradient
    monkeypatch.undo()
    run = only(tmp_path)
    assert "(all-2), 1 of its steps are done" in go_on(run)
    assert outcome(run) == outcome(whole)


@pytest.mark.parametrize(("call", "fold"), [pytest.param(2, 1, marks=pytest.mark.slow), (8, 2)])
def test_a_run_of_folds_interrupted_in_any_fold_ends_with_the_same_bytes(
    data: Path, folds: Run, tmp_path: Path, call: int, fold: int
) -> None:
    run, said = stopped(data, tmp_path, call, **FOLDS)
    assert [Run(run.folder / f"fold-{n}").info().status for n in (1, 2)] == {
        1: ["interrupted", None],
        2: ["finished", "interrupted"],
    }[fold]
    assert [line for line in said.splitlines() if "to resume" in line] == [
        f"hint: to resume: kagglekit resume {run.folder}"
    ]
    torn = run.folder / ".run.json.1.part"
    torn.write_text("{")  # as a kill between writing and renaming leaves it
    again = go_on(run)
    assert not torn.exists()
    assert ("fold 1 of 2 is finished" in again) == (fold == 2)
    assert "from the last checkpoint: stage 4 (all-2), 2 of its steps are done" in again
    assert outcome(run) == outcome(folds)
    assert run.info().status == "finished"
    assert run.info().error is None
    assert not list(run.folder.rglob("checkpoint"))


def test_a_run_of_folds_interrupted_between_two_trains_only_what_is_missing(
    data: Path, folds: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fold_runs.run_fold

    def first_only(plan, fold_numbers, number, folder, display, *, shown):
        if number == 2:
            raise KeyboardInterrupt
        real(plan, fold_numbers, number, folder, display, shown=shown)

    monkeypatch.setattr(fold_runs, "run_fold", first_only)
    with pytest.raises(KeyboardInterrupt):
        start(data, tmp_path, **FOLDS)
    monkeypatch.undo()
    run = only(tmp_path)
    before = run.fold(1).submission.stat().st_mtime_ns
    again, said = start(data, tmp_path, go_on=True, **FOLDS)
    assert again.folder == run.folder
    assert f"resuming {run.folder}" in said
    assert run.fold(1).submission.stat().st_mtime_ns == before
    assert outcome(run) == outcome(folds)


@pytest.mark.slow
def test_interrupted_single_folds_resume_and_end_in_the_same_bytes(data: Path, folds: Run, tmp_path: Path) -> None:
    second = {**FOLDS, "asked": {"stages": "4", "only_fold": 2}}
    run, _ = stopped(data, tmp_path, 2, **second)
    again, _ = start(data, tmp_path, go_on=True, **second)
    assert again.folder == run.folder
    assert run.info().status == "partial"
    first = {**FOLDS, "asked": {"stages": "4", "only_fold": 1, "into": str(run.folder)}}
    stopped(data, tmp_path, 2, **first)
    assert run.info().status == "interrupted"
    assert "2 of its steps are done" in go_on(run)
    assert run.info().status == "finished"
    assert outcome(run) == outcome(folds)


def test_a_run_whose_fold_another_process_trains_is_not_taken_up(data: Path, tmp_path: Path) -> None:
    run, _ = stopped(data, tmp_path, 2, **FOLDS)
    with locked(run.fold(1)):
        assert is_locked(run)
        other, _ = start(data, tmp_path, go_on=True, **FOLDS)
    assert other.folder != run.folder
    assert not is_locked(run)


def do_again(run: Run, out: Path, go_on: bool = False) -> tuple[Run, str]:
    """Run with --full."""
    said = io.StringIO()
    display = Display(Console(file=said, width=240, soft_wrap=True, highlight=False))
    request = Request("", out=out, full=str(run.folder), precision="fp32", device="cpu", save_every=0)
    return starting.start(request, display, go_on), said.getvalue()


@pytest.mark.parametrize("command", ["resume", "run --resume"])
def test_an_interrupted_training_on_all_images_resumes(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    undisturbed, _ = do_again(whole, tmp_path / "undisturbed")
    stop_at(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        do_again(whole, tmp_path / "out")
    monkeypatch.undo()
    run = only(tmp_path / "out")
    said = go_on(run) if command == "resume" else do_again(whole, tmp_path / "out", go_on=True)[1]
    assert "4 of its steps are done" in said
    assert "its own valid score is unknown" in said
    assert outcome(only(tmp_path / "out")) == outcome(undisturbed)


@pytest.mark.parametrize("place", ["tasks.single_label.fit_linear_head", "prediction.members.for_split"])
def test_the_features_preset_interrupted_before_or_after_its_only_stage_ends_with_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    whole, _ = start(data, tmp_path / "whole", **FEATURES)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"kagglekit.{place}", stop)
    with pytest.raises(KeyboardInterrupt):
        start(data, tmp_path / "out", **FEATURES)
    monkeypatch.undo()
    run = only(tmp_path / "out")
    said = go_on(run)
    assert ("all training is done" in said) == place.endswith("for_split")
    assert outcome(run) == outcome(whole)


@pytest.fixture(scope="module")
def auto(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return start(data, tmp_path_factory.mktemp("auto"), **AUTO)[0]


@pytest.mark.slow
def test_a_run_interrupted_in_the_search_of_its_rate_searches_again_and_finds_the_same(
    data: Path, auto: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = lr_range_test.take_step, []

    def step(*arguments):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(lr_range_test, "take_step", step)
    with pytest.raises(KeyboardInterrupt):
        start(data, tmp_path, **AUTO)
    assert "found_lrs" not in only(tmp_path).info()
    assert "learning rate" in go_on(only(tmp_path))
    assert only(tmp_path).info().found_lrs == auto.info().found_lrs
    assert outcome(only(tmp_path)) == outcome(auto)


@pytest.mark.parametrize("error", ["asked", "killed"])
def test_a_run_interrupted_after_the_search_of_its_rate_does_not_search_again(
    data: Path, auto: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    run, _ = stopped(data, tmp_path, 1, **({} if error == "asked" else {"error": KeyboardInterrupt}), **AUTO)
    monkeypatch.delattr(tuning, "found_rate")
    assert "learning rate" not in go_on(run)
    assert outcome(run) == outcome(auto)
