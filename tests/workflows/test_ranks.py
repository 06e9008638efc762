"""Several processes share one training: the scores of one process, files written once, one message for all."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import begin, kagglekit
from processes import Ended, kill_after, together
from safetensors.numpy import load_file
from stopping import only, outcome

from kagglekit import Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the processes are forks")

# batches of 7 and an odd number of images: the shares of two processes differ in size
SETTINGS = {
    "arch": "test_efficientnet.r160_in1k",
    "pretrained": "false",
    "stage.*.batch_size": 7,
    "stage.*.size": 32,
    "stage.*.lr": 0.02,
    "stage.*.batch_norm": "keep",
    "stage.all-2.cycles": 2,
    "stage.all-2.cycle_len": 1,
    "stage.all-2.cycle_mult": 1,
    "stage.all-2.ema": 0.9,
    "drop_rate": 0,
    "tta": 1,
}
FULL = """
import os
from pathlib import Path
import kagglekit_timm, torch
from kagglekit import hookimpl

@hookimpl
def kagglekit_model(recipe, n_classes):
    model = kagglekit_timm.kagglekit_model(recipe, n_classes)
    def check(module, inputs):
        if torch.is_grad_enabled() and len(inputs[0]) > 2 and os.environ.get("RANK") == "1":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    model.register_forward_pre_hook(check)
    return model

@hookimpl
def kagglekit_epoch_end(run):
    with Path("watched.txt").open("a") as file:
        file.write(os.environ["RANK"])
"""

NO_ROOM = """
from kagglekit.images import dataset, placement

dataset.Stream.rows = lambda self, batch=1: 2  # images of a block: of 6, two blocks for one process, one for the other
placement.free_disk = lambda: 0
"""


def command(data: Path, out: Path, *more: object, batch: int = 7) -> list[object]:
    given = {**SETTINGS, "stage.*.batch_size": batch}
    chosen = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
    fixed = ("--preset", "quick", "--precision", "fp32", "--device", "cpu", "--save-every", "0")
    return ["run", "dog-breed", "--data", data, "--out", out, *fixed, *chosen, *more]


def furthest(weights: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> float:
    return max(float(np.abs(weights[name] - others[name]).max()) for name in weights)


@pytest.fixture(scope="module")
def shared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Ended]:
    """An undisturbed run of two processes."""
    place = tmp_path_factory.mktemp("two")
    ended = together(command(data, place / "out"), place)
    assert ended.codes == [0, 0], ended
    return only(place / "out"), ended


def test_two_processes_come_to_the_results_of_one(data: Path, shared: tuple[Run, Ended], tmp_path: Path) -> None:
    two, ended = shared
    done = kagglekit(*command(data, tmp_path / "out"), cwd=tmp_path)
    assert done.returncode == 0, done
    one = only(tmp_path / "out")
    start, weights, others = (
        load_file(file) for file in (one.snapshot("frozen"), one.final_weights, two.final_weights)
    )
    assert furthest(weights, start) > 0.01
    assert furthest(weights, others) < 1e-3
    for row, other in zip(one.info().scores, two.info().scores, strict=True):
        values, others = ([pair[0] for pair in each.values() if isinstance(pair, tuple)] for each in (row, other))
        assert values == pytest.approx(others, abs=1e-3)
    tables = [pd.read_csv(run.submission, index_col="id") for run in (one, two)]
    assert (tables[0].idxmax(axis=1) == tables[1].idxmax(axis=1)).all()
    assert len(one.log_rows()) == len(two.log_rows())
    assert one.info().ranks == 1
    assert two.info().ranks == 2

    files = [{str(file.relative_to(run.folder)) for file in run.folder.rglob("*")} for run in (one, two)]
    assert files[0] == files[1]
    assert ended.out[1] == ended.errors[1] == ""
    assert ended.out[0].count("processes: 2, each with its share of every batch") == 1
    assert ended.out[0].count("finished in ") == 1


def test_a_killed_process_ends_the_other_and_resuming_gives_the_bytes_of_an_undisturbed_run(
    data: Path, shared: tuple[Run, Ended], tmp_path: Path
) -> None:
    ended = together(command(data, tmp_path / "out"), tmp_path, disturb=kill_after(3, tmp_path / "out"))
    run = only(tmp_path / "out")
    assert ended.codes == [1, -signal.SIGKILL]
    assert "error: another process of this training has ended" in ended.errors[0]
    assert run.info().status == "failed"
    again = together(["resume", run.folder], tmp_path)
    assert again.codes == [0, 0], again
    assert "resuming from the last checkpoint: stage" in again.out[0]
    assert outcome(run) == outcome(shared[0])


def test_all_processes_accumulate_gradients_where_one_is_out_of_memory(data: Path, tmp_path: Path) -> None:
    (tmp_path / "full.py").write_text(FULL)
    more = ("--plugin", tmp_path / "full.py", "--stages", "3")
    ended = together(command(data, tmp_path / "out", *more, batch=8), tmp_path)
    assert ended.codes == [0, 0], ended
    assert ended.out[0].count("accumulating gradients over 2 parts") == 1
    assert list(only(tmp_path / "out").info().parts.values()) == [2]
    assert set((tmp_path / "watched.txt").read_text()) == {"0"}  # the first process alone calls what watches a run


def test_what_all_processes_find_wrong_is_one_message(data: Path, tmp_path: Path) -> None:
    ended = together(command(data, tmp_path / "out", "--stages", "3", batch=1), tmp_path)
    assert ended.codes == [1, 1]
    said = "".join(ended.errors)
    assert said.count("error: ") == 1
    assert "2 processes cannot share a batch of 1 images" in said
    ended = together(command(data, tmp_path / "out", "--folds", "2"), tmp_path)
    assert ended.codes == [2, 2]
    assert "".join(ended.errors).count("processes that torchrun has started share one training") == 1


@pytest.mark.slow
def test_ctrl_c_is_heeded_by_all_processes_and_one_alone_resumes(data: Path, tmp_path: Path) -> None:
    """Here they are started as the user starts them: by ``--gpus``."""
    out = tmp_path / "out"
    with begin(*command(data, out, "--gpus", 2), cwd=tmp_path) as process:
        kill_after(3, out, signal.SIGINT, [0])([process])
        said, errors = process.communicate(120)
    run = only(out)
    assert process.returncode == 130, errors
    assert errors.count("interrupted by Ctrl-C") == 1
    assert "error" not in errors
    assert said.count(f"hint: to resume: kagglekit resume {run.folder}") == 1
    assert run.info().status == "interrupted"
    assert run.info().ranks == 2
    done = kagglekit("resume", run.folder, "--gpus", 1, "--json", cwd=tmp_path)
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["ranks"] == 1
    assert run.info().status == "finished"


@pytest.mark.slow
def test_test_images_that_do_not_fit_the_disk_are_decoded_block_by_block_by_all(
    data: Path, shared: tuple[Run, Ended], tmp_path: Path
) -> None:
    (tmp_path / "no_room.py").write_text(NO_ROOM)
    ended = together(command(data, tmp_path / "out", "--plugin", tmp_path / "no_room.py"), tmp_path)
    assert ended.codes == [0, 0], ended
    assert "in about 3 blocks of 2: decoded images need about" in ended.out[0]
    streamed, kept = (pd.read_csv(run.submission, index_col="id") for run in (only(tmp_path / "out"), shared[0]))
    assert list(streamed.index) == list(kept.index)
    assert (streamed - kept).abs().max(axis=None) < 1e-5


@pytest.mark.slow  # eight processes, of which each imports torch
def test_each_fold_is_shared_by_processes(data: Path, tmp_path: Path) -> None:
    own = ("--folds", 2, "--stages", "3", "--set", "stage.all-2.cycles=1")
    done = kagglekit(*command(data, tmp_path / "out", "--gpus", 2, *own), cwd=tmp_path)
    assert done.returncode == 0, done
    run = only(tmp_path / "out")
    assert [run.fold(number).info().ranks for number in (1, 2)] == [2, 2]
    assert "jobs: 1 process" in done.stdout
    alone = kagglekit(*command(data, tmp_path / "alone", *own), cwd=tmp_path)
    assert alone.returncode == 0, alone
    one, two = (pd.read_csv(each.submission, index_col="id") for each in (only(tmp_path / "alone"), run))
    assert (one - two).abs().max(axis=None) < 1e-3
