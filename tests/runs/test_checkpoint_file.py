"""A checkpoint's file, and how a stage's loop resumes from it: after any step, as if never interrupted."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path

import forks
import pytest
import torch
from fits import fit
from safetensors import safe_open

from kagglekit.runs import checkpoint_file
from kagglekit.runs.checkpoint_file import Checkpoint, Saver, newest_checkpoint, read_checkpoint, write_checkpoint
from kagglekit.system.errors import NotFinite, UserError
from kagglekit.training.loop import begin, train_stage
from kagglekit.training.state import StageFit, TrainState


def checkpoint(number: int, run: str = "mine") -> Checkpoint:
    return Checkpoint({"run": run, "number": number}, {"weights": torch.arange(4) * number, "nested": [{"lr": 0.1}]})


def newest(folder: Path) -> tuple[int | None, list[str]]:
    """Return the number in the newest checkpoint that can be used, and the warnings."""
    warnings: list[str] = []
    found = newest_checkpoint(folder, "mine", warnings.append)
    return found and found.facts["number"], warnings


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_what_was_written_is_read_back_with_the_layout_of_its_tensors(tmp_path: Path) -> None:
    tensor = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    write_checkpoint(tmp_path, Checkpoint({"run": "mine", "loss": 1 / 3}, {"a": tensor}))
    found = read_checkpoint(files(tmp_path)[0])
    assert found.facts == {"run": "mine", "loss": 1 / 3}
    assert torch.equal(found.tensors["a"], tensor)
    assert found.tensors["a"].stride() == tensor.stride()


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for number in range(1, 6):
        write_checkpoint(tmp_path, checkpoint(number))
    assert [read_checkpoint(file).facts["number"] for file in files(tmp_path)] == [4, 5]
    assert newest(tmp_path) == (5, [])
    assert newest_checkpoint(tmp_path / "nowhere", "mine", print) is None


FILLS = """
import resource
import torch
from pathlib import Path
from kagglekit.runs.checkpoint_file import Checkpoint, write_checkpoint

resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, MOST))
try:
    write_checkpoint(Path("run"), Checkpoint({}, {"a": torch.zeros(30_000), "b": torch.ones(30_000)}))
except Exception as error:
    print(type(error).__name__, str(error).splitlines()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a file's size are those of Linux")
@pytest.mark.parametrize("limit", [0, 30, 1000, 100_000, 200_000, 239_000])
def test_a_disk_that_fills_during_a_write_is_reported(tmp_path: Path, limit: int) -> None:
    write_checkpoint(tmp_path / "run", checkpoint(1))
    done = forks.run(["-c", FILLS.replace("MOST", str(limit))], tmp_path, os.environ)
    assert done.stdout.startswith("UserError disk full: cannot write run/00000002.checkpoint"), done.stderr
    assert newest(tmp_path / "run") == (1, [])
    assert len(files(tmp_path / "run")) == 1


@pytest.mark.parametrize("kept", [0, 5, 10, 100, 300, -1])
def test_a_torn_checkpoint_is_named_and_the_one_before_it_used(tmp_path: Path, kept: int) -> None:
    write_checkpoint(tmp_path, checkpoint(1))
    write_checkpoint(tmp_path, checkpoint(2))
    last = files(tmp_path)[-1]
    last.write_bytes(last.read_bytes()[:kept])
    number, warnings = newest(tmp_path)
    assert number == 1
    assert len(warnings) == 1
    assert f"the checkpoint {last} is damaged" in warnings[0]


def test_one_changed_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, checkpoint(1))
    file = files(tmp_path)[0]
    whole = file.read_bytes()
    missed = []
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            missed += [place] if not same(read_checkpoint(file), checkpoint(1)) else []
        except UserError as error:
            assert f"the checkpoint {file} is damaged" in error.what  # noqa: PT017 (a few bits mean nothing)
    assert not missed


def same(found: Checkpoint, expected: Checkpoint) -> bool:
    return found.facts == expected.facts and torch.equal(found.tensors["weights"], expected.tensors["weights"])


def test_a_checkpoint_of_another_run_is_named_and_passed_over(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, checkpoint(1))
    write_checkpoint(tmp_path, checkpoint(2, run="another"))
    number, warnings = newest(tmp_path)
    assert number == 1
    assert "belongs to another run" in warnings[0]


class Evil:
    def __reduce__(self):
        return os.mkdir, ("planted",)


@pytest.mark.parametrize("form", [1, 2])
def test_a_pickle_of_an_earlier_version_is_named_and_passed_over_and_runs_no_code(tmp_path, monkeypatch, form) -> None:
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "run", checkpoint(1))
    content = io.BytesIO()
    torch.save({"facts": "{}", "tensors": Evil()}, content)
    head = f"kagglekit checkpoint {form}\n".encode() + sha256(content.getvalue()).digest()
    (tmp_path / "run" / "00000002.checkpoint").write_bytes(head + content.getvalue())
    (tmp_path / "run" / "00000003.checkpoint").write_bytes(content.getvalue())
    number, warnings = newest(tmp_path / "run")
    assert number == 1
    assert "00000003.checkpoint is damaged, or another version wrote it" in warnings[0]
    assert "00000002.checkpoint is a pickle of an earlier version, which is not read; skipping it" in warnings[1]
    assert not (tmp_path / "planted").exists()


def test_a_state_that_no_checkpoint_can_hold_is_reported_when_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the state of the training has a set among tensors and plain values"):
        write_checkpoint(tmp_path, Checkpoint({}, {"state": {"optimizer": {"seen": {1, 2}}}}))
    assert not files(tmp_path)


def test_checkpoints_are_due_at_an_epochs_end_and_after_a_time_but_never_take_much_of_it(tmp_path: Path) -> None:
    assert Saver(tmp_path, every=60).due(epoch_ends=True)
    assert not Saver(tmp_path, every=60).due(epoch_ends=False)
    assert Saver(tmp_path, every=0).due(epoch_ends=False)
    assert not Saver(tmp_path, every=0, _took=1.0).due(epoch_ends=True)


def test_a_checkpoint_between_stages_which_has_no_optimizers_state_is_not_taken_for_one_within(tmp_path, monkeypatch):
    monkeypatch.setattr("kagglekit.runs.checkpoint_file.WITHIN", 1e9)
    saver = Saver(tmp_path, every=0)
    saver.save(Checkpoint({}, {"model": {}, "state": {}}))
    assert saver._took > 1e3
    saver.save(Checkpoint({}, {"model": {}, "state": {"optimizer": {}}}))
    assert saver._took < 1e3


def test_a_checkpoint_written_behind_the_training_holds_what_was_there_when_it_was_asked_for(tmp_path, monkeypatch):
    writing, go_on, real = threading.Event(), threading.Event(), checkpoint_file.write_checkpoint

    def slowly(*given):
        writing.set()
        go_on.wait(10)
        real(*given)

    monkeypatch.setattr(checkpoint_file, "write_checkpoint", slowly)
    saver = Saver(tmp_path, every=0, in_background=True)
    weights = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    ordered = OrderedDict(weight=weights, again=weights.detach())
    ordered._metadata = {"": {"version": 2}}
    facts, before = {"run": "mine", "log": [1]}, weights.clone()
    saver.save(Checkpoint(facts, {"model": ordered, "state": {"lr": (0.1, None)}}), wait=False)
    writing.wait(10)
    assert not files(tmp_path)
    assert not saver.due(epoch_ends=True)
    weights.zero_()  # the next step
    facts["log"].append(2)
    go_on.set()
    saver.wait()
    found = read_checkpoint(files(tmp_path)[0])
    assert found.facts == {"run": "mine", "log": [1]}
    assert torch.equal(found.tensors["model"]["weight"], before)
    assert found.tensors["model"]["weight"].stride() == before.stride()
    assert found.tensors["model"]._metadata == ordered._metadata
    assert found.tensors["state"] == {"lr": (0.1, None)}
    saver._took = 0.0
    assert saver.due(epoch_ends=True)
    ordered.update(weight=before, again=before.detach())
    real(tmp_path / "other", Checkpoint(found.facts, {"model": ordered, "state": {"lr": (0.1, None)}}))
    assert described(tmp_path / "other") == described(tmp_path)


def described(folder: Path) -> dict[str, str]:
    """Return the header of a folder's first checkpoint: its tree, and the checksum of tree and tensors."""
    with safe_open(min(folder.glob("*.checkpoint")), framework="pt") as file:
        return dict(file.metadata())


def test_one_that_cannot_be_written_behind_the_training_is_reported_soon(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    saver = Saver(tmp_path / "file", every=0, in_background=True)
    saver.save(checkpoint(1), wait=False)
    with pytest.raises(UserError, match="cannot write"):
        saver.save(checkpoint(2))
    saver.wait()


MIXED = {
    "mixup": 0.4,
    "cutmix": 1.0,
    "ema": 0.5,
    "oversample": 1.0,
    "clip_norm": 1.0,
    "cycle_len": 2,
    "label_smoothing": 0.1,
    "schedule": "one-cycle",
}


def through_a_file(folder: Path, one: StageFit, held: TrainState) -> StageFit:
    """Write all there is of a stage to a file, and return a new stage that was restored from it, with what it holds."""
    facts, tensors = held.to_checkpoint()
    write_checkpoint(folder, Checkpoint({"run": "", **facts}, {"model": one.model.state_dict(), "state": tensors}))
    return read_checkpoint(files(folder)[-1])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("stop", [0, 1, 2, 3, 5, 6])
def test_a_stage_interrupted_after_any_step_ends_with_the_same_bytes(tmp_path: Path, stop: int, optimizer: str) -> None:
    whole = fit(**MIXED, optimizer=optimizer)
    straight = [(at.step, at.epoch, at.loss, at.epoch_loss, at.cycle_ends) for at in train_stage(whole)]

    first = fit(**MIXED, optimizer=optimizer)
    held, seen = begin(first), []
    loop = train_stage(first, held)
    for at in loop:
        seen.append((at.step, at.epoch, at.loss, at.epoch_loss, at.cycle_ends))
        if at.step == stop:
            break
    if not stop:
        first, seen = fit(**MIXED, optimizer=optimizer), []
        held = begin(first)
    saved = through_a_file(tmp_path, first, held)
    loop.close()

    second = fit(**MIXED, optimizer=optimizer)
    second.model.load_state_dict(saved.tensors["model"])
    held = begin(second)
    held.restore({k: v for k, v in saved.facts.items() if k != "run"}, saved.tensors["state"])
    seen += [(at.step, at.epoch, at.loss, at.epoch_loss, at.cycle_ends) for at in train_stage(second, held)]
    assert seen == straight
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_a_step_whose_epoch_end_was_not_handled_comes_again() -> None:
    one = fit(cycle_len=2)
    held = begin(one)
    seen = []
    for at in train_stage(one, held):
        seen.append((at.step, at.epoch_ends, at.epoch_loss))
        if at.step == 3:
            break
    held.again = True
    again = next(train_stage(one, held))
    assert (again.step, again.epoch_ends, again.epoch_loss) == seen[-1]
    assert again.epoch == 1


def test_what_led_to_a_loss_that_is_not_finite_is_not_saved() -> None:
    one = fit()
    held = begin(one)
    held.watch.add(torch.tensor(float("nan")), 0)
    held.step = 1
    with pytest.raises(NotFinite):
        held.to_checkpoint()
