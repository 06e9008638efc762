"""Runs that are interrupted, are killed or fail, and how the next command resumes them."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import begin, surroundings
from places import SUPPORT
from plugin_site import Site
from stopping import BREEDS, FULL, TINY, TOO_MUCH, go_on, only, outcome, start, stop_at, stopped

import kagglekit
import kagglekit.runs.checkpoint_file
from kagglekit import Run, UserError
from kagglekit.runs.lock import locked
from kagglekit.system.display.console import Bar
from kagglekit.system.signals import Stopped
from kagglekit.training import trainer

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no POSIX signals and forks")


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return start(data, tmp_path_factory.mktemp("whole"))[0]


def test_a_finished_run_keeps_no_checkpoint(whole: Run) -> None:
    assert not whole.checkpoints.exists()
    assert whole.info().status == "finished"


@pytest.mark.parametrize("call", [1, 4, 6])
def test_a_run_interrupted_within_any_stage_ends_with_the_same_bytes(data: Path, whole: Run, tmp_path: Path, call: int):
    run, said = stopped(data, tmp_path, call)
    assert run.info().status == "interrupted"
    assert said.splitlines()[-2:] == [
        f"interrupted; everything finished so far is kept in {run.folder}",
        f"hint: to resume: kagglekit resume {run.folder}",
    ]
    again = go_on(run)
    assert re.search(r"from the last checkpoint: stage \d \([a-z0-9-]+\), \d+ of its steps are done", again)
    assert outcome(run) == outcome(whole)
    assert run.info().status == "finished"
    assert run.info().error is None
    assert not run.checkpoints.exists()


def test_the_rate_of_a_resumed_stage_counts_no_step_from_before(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = stopped(data, tmp_path, 5)
    began, counted = [], []
    advance = Bar.advance

    def advanced(bar: Bar, n: int, note: str = "") -> None:
        began.append((bar.what, bar._first))
        counted.append(n)
        advance(bar, n, note)

    monkeypatch.setattr(Bar, "advance", advanced)
    found = re.search(r"stage (\d) \(([a-z0-9-]+)\), (\d+) of its steps are done", go_on(run))
    assert found
    number, stage, done = found.groups()
    assert int(done)
    assert began[0] == (f"{number} {stage}", int(done) * counted[0])  # images: as many in each step


def test_a_run_interrupted_while_an_epoch_is_validated_loses_no_step(
    data: Path, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = trainer._valid_predictions

    def asked(work, fit, weights):
        if fit.stage.name == "all-2" and len(work.log) == 5:
            raise Stopped(signal.SIGTERM)
        return real(work, fit, weights)

    monkeypatch.setattr(trainer, "_valid_predictions", asked)
    with pytest.raises(Stopped):
        start(data, tmp_path)
    monkeypatch.undo()
    run, before = only(tmp_path), len(only(tmp_path).log_rows())
    assert "stage 4 (all-2), 4 of its steps are done" in go_on(run)
    assert len(run.log_rows()) == before + 1
    assert outcome(run) == outcome(whole)


def test_members_that_have_predicted_are_not_predicted_again(
    data: Path, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = kagglekit.prediction.members.predict_pass, []

    def predict(*arguments, **named):
        asked.append(1)
        if len(asked) == 4:  # the second member's test images
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr("kagglekit.prediction.members.predict_pass", predict)
    with pytest.raises(KeyboardInterrupt):
        start(data, tmp_path)
    said = go_on(only(tmp_path))
    assert "from the last checkpoint: all training is done" in said
    assert len(asked) == 4 + 2  # the second member again
    assert outcome(only(tmp_path)) == outcome(whole)
    assert only(tmp_path).info().scores == whole.info().scores


def test_run_names_an_interrupted_run_and_with_resume_resumes_it(data: Path, whole: Run, tmp_path: Path) -> None:
    run, _ = stopped(data, tmp_path)
    other, said = start(data, tmp_path, seed=1)
    assert "interrupted run" not in said
    assert other.folder != run.folder
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 2)
        with pytest.raises(Stopped) as caught:
            start(data, tmp_path)
    assert f"hint: to resume it: kagglekit resume {run.folder}\n" in caught.value.__notes__[0]
    newest, said = start(data, tmp_path, go_on=True)
    assert f"resuming {newest.folder}" in said
    assert newest.folder not in (run.folder, other.folder)
    last, said = start(data, tmp_path, go_on=True)
    assert last.folder == run.folder
    assert outcome(last) == outcome(newest) == outcome(whole)


def test_resuming_a_finished_run_changes_nothing(whole: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.folder.rglob("*")}
    assert go_on(whole) == f"{whole.folder} is finished\n"
    assert {path: path.stat().st_mtime_ns for path in whole.folder.rglob("*")} == before


def test_a_run_and_its_data_may_be_moved(data: Path, whole: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(data, elsewhere / "data")
    run, _ = stopped(elsewhere / "data", tmp_path / "out")
    run.folder.rename(tmp_path / "moved run")
    (elsewhere / "data").rename(tmp_path / "moved data")
    with pytest.raises(UserError, match=r"the data folder .* does not exist\npass the folder"):
        go_on(Run(tmp_path / "moved run"))
    go_on(Run(tmp_path / "moved run"), tmp_path / "moved data")
    assert outcome(Run(tmp_path / "moved run")) == outcome(whole)


def test_other_labels_than_at_the_start_are_refused(data: Path, tmp_path: Path) -> None:
    changed = tmp_path / "data"
    shutil.copytree(data, changed)
    run, _ = stopped(changed, tmp_path / "out")
    lines = (changed / "labels.csv").read_text().splitlines()
    other = next(line.split(",")[1] for line in lines[2:] if line.split(",")[1] != lines[1].split(",")[1])
    (changed / "labels.csv").write_text("\n".join([lines[0], f"{lines[1].split(',')[0]},{other}", *lines[2:]]) + "\n")
    with pytest.raises(UserError, match=r"images, labels or splits in .* have changed since it began\nrestore them"):
        go_on(run)


def test_all_checkpoints_damaged_means_from_the_beginning(data: Path, whole: Run, tmp_path: Path) -> None:
    run, _ = stopped(data, tmp_path)
    for file in run.checkpoints.glob("*.checkpoint"):
        file.write_bytes(b"")
    said = go_on(run)
    assert said.count("is damaged, or another version wrote it; skipping it") == 2
    assert outcome(run) == outcome(whole)


def test_a_run_is_for_one_process(data: Path, tmp_path: Path) -> None:
    run, _ = stopped(data, tmp_path)
    with locked(run), pytest.raises(UserError, match=rf"another process .number {os.getpid()}. is working on .*\nwait"):
        go_on(run)
    with locked(run):
        other, _ = start(data, tmp_path, go_on=True)
    assert other.folder != run.folder


HOLDS = """
import sys, os
from pathlib import Path
from kagglekit.runs.folder import Run
from kagglekit.runs.lock import locked
with locked(Run(Path(sys.argv[1]))):
    print("state", flush=True)
    os.kill(os.getpid(), 9)
"""


@needs_posix
def test_the_lock_of_a_killed_process_does_not_hold(data: Path, tmp_path: Path) -> None:
    run, _ = stopped(data, tmp_path)
    done = subprocess.run([sys.executable, "-c", HOLDS, str(run.folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-9, "state\n")
    assert (run.checkpoints / "lock").exists()
    go_on(run)
    assert run.info().status == "finished"


def full_disk(patch: pytest.MonkeyPatch, writes: int) -> None:
    """Let the disk be full after so many more writes."""
    real, left = os.fsync, [writes]

    def fsync(number: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(number)

    patch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("writes", [3, 40])
def test_a_full_disk_is_reported_and_once_it_is_freed_the_run_resumes(
    data: Path, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    monkeypatch.setattr(kagglekit.runs.checkpoint_file, "SHARE", 1e9)
    with pytest.MonkeyPatch.context() as patch:
        full_disk(patch, writes)
        with pytest.raises(UserError, match=r"disk full: cannot write .*\nfree some space"):
            start(data, tmp_path)
        kept = {path: path.read_bytes() for path in tmp_path.rglob("snapshots/*")}
        if writes > 3:
            with pytest.raises(UserError, match="disk full"):
                go_on(only(tmp_path))
        assert {path: path.read_bytes() for path in tmp_path.rglob("snapshots/*")} == kept
    assert not list(tmp_path.rglob("*.part"))
    run, _ = start(data, tmp_path, go_on=True)
    assert outcome(run) == outcome(whole)


@pytest.mark.parametrize("kind", FULL)
def test_a_full_device_halves_the_batch_and_the_run_remembers_it(data: Path, tmp_path: Path, kind: str) -> None:
    plugin = Site(tmp_path).write("breeds.py", BREEDS + TOO_MUCH.format(training=True, images=2, error=FULL[kind]))
    run, said = stopped(data, tmp_path / "out", plugin=plugin)
    go_on(run)
    assert run.info().parts == {"head-augmented": 4, "all-1": 4, "all-2": 4}
    assert re.search(
        r"ran out of memory with 8 images at 32 px: accumulating gradients over 4 parts of 2 from now on\. "
        r"BatchNorm statistics are those of a part",
        said,
    )
    assert [int(row["step"]) for row in run.log_rows() if row["stage"] == "all-2"] == [2, 4]


def test_a_device_too_small_for_two_images_is_reported(data: Path, tmp_path: Path) -> None:
    plugin = Site(tmp_path).write("breeds.py", BREEDS + TOO_MUCH.format(training=True, images=1, error=FULL["cuda"]))
    with pytest.raises(UserError, match=r"out of memory on cpu: not even a fraction of a batch of 8 at 32 px fits"):
        start(data, tmp_path / "out", plugin=plugin)


def test_a_device_too_small_to_predict_is_reported(data: Path, tmp_path: Path) -> None:
    plugin = Site(tmp_path).write("breeds.py", BREEDS + TOO_MUCH.format(training=False, images=0, error=FULL["mps"]))
    with pytest.raises(
        UserError, match=r"out of memory on cpu: not even one image fits for prediction\nstop other programs"
    ):
        start(data, tmp_path / "out", plugin=plugin, asked={"stages": "4"})


BAD_LOSS = """
import torch
from torch.nn.functional import cross_entropy
calls = [0]

@hookimpl
def kagglekit_loss(recipe):
    def loss(logits, targets):
        calls[0] += 1
        return cross_entropy(logits, targets) * (float("nan") if calls[0] in {bad} else 1)
    return loss
"""


def test_a_loss_that_is_not_finite_goes_back_once_with_half_the_rate(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kagglekit.runs.checkpoint_file, "SHARE", 1e9)
    plugin = Site(tmp_path).write("breeds.py", BREEDS + BAD_LOSS.format(bad=(10,)))
    settings = {"stage__4__schedule": "constant", "stage__4__snapshots": "true"}
    run, said = start(data, tmp_path / "out", plugin=plugin, **settings)
    assert re.search(
        r"warning: the loss is no longer finite: stage 4 \(all-2\), epoch 2, step 4, learning rate [\d.e-]+; "
        r"resuming from the last checkpoint with half the learning rate",
        said,
    )
    first, second = [float(row["lr"]) for row in run.log_rows() if row["stage"] == "all-2"]
    assert second == pytest.approx(first / 2)
    assert run.info().status == "finished"


def test_a_halved_rate_stays_halved_when_the_run_is_interrupted_after_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kagglekit.runs.checkpoint_file, "SHARE", 1e9)
    plugin = Site(tmp_path).write("breeds.py", BREEDS + BAD_LOSS.format(bad=(4,)))
    settings = {"stage__4__schedule": "constant", "stage__4__snapshots": "true", "asked": {"stages": "4"}}
    run, said = stopped(data, tmp_path / "out", 5, plugin=plugin, stage__4__cycle_len=2, **settings)
    assert "half the learning rate" in said
    go_on(run)
    rates = [float(row["lr"]) for row in run.steps()]
    assert len(rates) == 8
    assert rates[-1] == pytest.approx(rates[0] / 2)


def test_a_second_loss_that_is_not_finite_stops_the_run_and_keeps_its_checkpoints(data: Path, tmp_path: Path) -> None:
    plugin = Site(tmp_path).write("breeds.py", BREEDS + BAD_LOSS.format(bad=(10, 11)))
    with pytest.raises(
        UserError, match=r"the loss is no longer finite: stage 4 .*\ntry a smaller rate, --set stage\.4"
    ):
        start(data, tmp_path / "out", plugin=plugin, stage__4__schedule="constant")
    (folder,) = (tmp_path / "out" / "breeds").iterdir()
    assert Run(folder).info().status == "failed"
    assert list(Run(folder).checkpoints.glob("*.checkpoint"))


AFTER_AN_EPOCH = """
import torch
from torch.nn.functional import cross_entropy
epochs, seen = [], []

@hookimpl
def kagglekit_epoch_end(run, stage, row):
    epochs.append(row)

@hookimpl
def kagglekit_loss(recipe):
    def loss(logits, targets):
        bad = epochs and not seen
        seen.extend([1] * bool(bad))
        return cross_entropy(logits, targets) * (float("nan") if bad else 1)
    return loss
"""


def test_a_rate_that_was_found_is_halved_too(data: Path, tmp_path: Path) -> None:
    plugin = Site(tmp_path).write("breeds.py", BREEDS + AFTER_AN_EPOCH)
    settings = {"stage__4__schedule": "constant", "stage__4__snapshots": "true", "stage__4__lr": "auto"}
    run, said = start(data, tmp_path / "out", plugin=plugin, asked={"stages": "4"}, **settings)
    assert "resuming from the last checkpoint with half the learning rate" in said
    found = run.info().found_lrs["all-2"]
    assert [float(row["lr"]) for row in run.log_rows()][-1] == pytest.approx(found / 2)


def command(data: Path, out: Path, *more: str) -> list[str]:
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    given = ["--data", str(data), "--out", str(out), "--preset", "quick", "--precision", "fp32", "--device", "cpu"]
    return ["run", "dog-breed", *given, *settings, *more]


@needs_posix
def test_sigterm_saves_stops_and_says_how_to_resume(data: Path, whole: Run, tmp_path: Path) -> None:
    long = command(data, tmp_path, "--set", "stage.4.cycle_len=9999")
    process = begin(*long, cwd=tmp_path, PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    assert next((line for line in process.stdout if "epoch 2/19998" in line), None), process.communicate()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) == (143, "interrupted by SIGTERM")
    run = only(tmp_path)
    assert out.splitlines()[-1] == f"hint: to resume: kagglekit resume {run.folder}"
    assert run.info().status == "interrupted"
    assert list(run.checkpoints.glob("*.checkpoint"))


STUBBORN = """
import time

@hookimpl
def kagglekit_epoch_end(run, stage, row):
    print("asleep", flush=True)
    time.sleep(600)
"""


@needs_posix
def test_a_second_signal_stops_at_once(data: Path, tmp_path: Path) -> None:
    plugin = Site(tmp_path).write("breeds.py", BREEDS + STUBBORN)
    arguments = command(data, tmp_path / "out", "--stages", "2-")
    process = begin(*(plugin if part == "dog-breed" else part for part in arguments), cwd=tmp_path)
    assert process.stdout is not None
    assert next((line for line in process.stdout if "asleep" in line), None)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    (folder,) = (tmp_path / "out" / "breeds").iterdir()
    assert Run(folder).info().status == "running"


def kills(place: Path, *asked: str) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "killing.py"), str(place), *asked],
        env=surroundings(place.parent), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *found, totals = map(json.loads, done.stdout.splitlines())
    assert (totals["runs"], totals["same"]) == (len(found), len(found))
    return found


WITHIN_A_FOLD = "folds:at=fold-2/checkpoint/0"


@needs_posix
@pytest.mark.long
def test_a_run_that_is_killed_loses_nothing(tmp_path: Path):
    found = kills(tmp_path / "runs", "single:moments=1")
    assert [each["kind"] for each in found] == ["single"]
    assert any(each["killed"] for each in found)
    assert [each for each in found if not each["same"]] == []


@needs_posix
@pytest.mark.slow
def test_a_run_killed_before_and_after_every_rename_and_at_fifty_moments_loses_nothing(tmp_path: Path) -> None:
    found = kills(tmp_path / "runs", "single:renames", "single:moments=50", "folds:at=fold-1/", WITHIN_A_FOLD)
    assert len(found) > 150
    assert [each for each in found if not each["same"]] == []
