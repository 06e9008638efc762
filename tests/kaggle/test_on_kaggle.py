"""`--on kaggle`: the trainings of a run in a kernel, with the bytes of one process, whatever ends on the way."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import layouts
import pytest
import timm
import torch
from huggingface_hub import constants
from kaggle_image import Machine, make_image
from kaggle_kernels import Outcome, Version
from kaggle_kills import kill_after_each_call, repeated
from kaggle_server import SECRETS, KaggleServer
from kaggle_session import become_customer, finished_run
from safetensors.torch import save_file
from stopping import outcome
from tiny_runs import tiny_run

from kagglekit.kaggle.kernels.machines import KaggleMachines
from kagglekit.planning.choose import check_request, choose
from kagglekit.planning.request import Request
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UsageError, UserError
from kagglekit.types.executor import Ended, Job, JobOptions, Need

SLUG = "dog-breed-identification"
ARCH = "test_efficientnet.r160_in1k"
FAST = {"tta": 1, "stage__4__size": 32, "folds": 2}


@pytest.fixture
def machine(server: KaggleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine of Kaggle's, and a customer with the data of a small dog-breed."""
    solution = layouts.write_dog_breed(tmp_path / "data" / "dog-breed")
    server.add_competition(SLUG, tmp_path / "data" / "dog-breed", solution)
    become_customer(monkeypatch, server, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kagglekit.kaggle.kernels.calls.PAUSE", 0.1)
    kernels = server.play.kernels
    made = Machine(
        make_image(tmp_path / "image"), tmp_path / "kaggle", kernels, {SLUG: tmp_path / "data" / "dog-breed"}
    )
    kernels.run = made.run
    return made


def keep_weights(hub: Path, patch: pytest.MonkeyPatch) -> None:
    """Write weights into a cache of the Hugging Face hub, as its client lays them out."""
    own = hub / f"models--timm--{ARCH}"
    (own / "refs").mkdir(parents=True)
    (own / "refs" / "main").write_text("0123abc")
    (own / "snapshots" / "0123abc").mkdir(parents=True)
    torch.manual_seed(3)
    save_file(timm.create_model(ARCH).state_dict(), own / "snapshots" / "0123abc" / "model.safetensors")
    patch.setattr(constants, "HF_HUB_CACHE", str(hub))


def test_folds_are_trained_there_and_a_time_limit_and_ctrl_c_lose_nothing(
    machine: Machine, server: KaggleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, kernels = tmp_path / "data" / "dog-breed", server.play.kernels
    keep_weights(tmp_path / "hub", monkeypatch)
    asked = {"on": "kaggle", "accelerator": "none", "resume": True, "stages": "1"}
    # Not in this process, whose linear algebra may round otherwise: it depends on where arrays lie in memory.
    whole, _ = tiny_run("dog-breed", data, tmp_path / "whole", options=asked, **FAST, pretrained="true")
    before = len(machine.logs)
    once = KaggleMachines.ended

    def interrupted(self: KaggleMachines, wait: float) -> list[Ended]:
        once(self, wait)
        raise KeyboardInterrupt

    def short(version: Version) -> Outcome:
        limited = {**version.asked, "text": version.text.replace("SAVING = 600.0", "SAVING = 36000.0")}
        return machine.run(
            replace(version, asked=limited) if version.number == 1 and len(machine.logs) == before else version
        )

    kernels.run = short
    with monkeypatch.context() as patch:
        patch.setattr(KaggleMachines, "ended", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tiny_run("dog-breed", data, tmp_path / "there", options=asked, **FAST, pretrained="true")
    assert len(kernels.pushed) > before
    run, said = tiny_run("dog-breed", data, tmp_path / "there", options=asked, **FAST, pretrained="true")
    assert "the time is nearly over" in machine.logs[before]
    assert not any(version.asked["enableInternet"] for version in kernels.pushed)
    assert len(kernels.pushed) == len(machine.logs) == before + 2  # each kernel was pushed once
    assert outcome(Run(run.folder)) == outcome(Run(whole.folder))
    assert run.info().status == "finished"
    assert "resuming it, attempt 2 of 3" in said
    assert not Run(run.folder).on_kaggle.exists()
    for dataset in kernels.datasets.values():
        assert not [secret for secret in SECRETS if secret.encode() in dataset.files["run.bin"]]


def test_a_kernel_that_fails_is_an_error_with_its_last_lines(
    machine: Machine, server: KaggleServer, tmp_path: Path
) -> None:
    server.play.kernels.run = lambda version: Outcome({}, ["no space left"], "Your notebook ran out of disk")
    with pytest.raises(UserError, match="2 of 2 runs failed"):
        tiny_run("dog-breed", tmp_path / "data" / "dog-breed", tmp_path / "out", options={"on": "kaggle"}, **FAST)
    (run,) = (tmp_path / "out").glob("dog-breed/*")
    log = Run(run).fold(1).output_file.read_text()
    assert log.endswith("no space left\nthe kernel has failed: Your notebook ran out of disk\n")
    assert len(server.play.kernels.pushed) == 1


def test_a_kill_after_any_call_pushes_one_kernel_and_its_output_arrives(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = begun_job(tmp_path)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(job.folder / "run.json", "run.json")
        archive.add(job.folder / "submission.csv", "learned.csv")
    ended = {"codes": {"dogs": 0}, "sha256": sha256(packed.getvalue()).hexdigest()}
    files = {"run.bin": packed.getvalue(), "ended.json": json.dumps(ended).encode()}
    machine.kernels.run = lambda version: Outcome(files)
    killed, found = kill_after_each_call(monkeypatch), []

    def command() -> None:
        executor = KaggleMachines(Need())
        executor.submit(job)
        while not found:
            found.extend(executor.ended(0))

    repeated(command)
    assert {"create_dataset", "save_kernel", "list_kernel_session_output"} <= killed
    assert [each.code for each in found] == [0]
    assert (job.folder / "learned.csv").is_file()
    assert not Run(job.folder).on_kaggle.exists()
    assert len(machine.kernels.pushed) == len(machine.kernels.datasets) == 1


def begun_job(home: Path, **facts: str) -> Job:
    """Return a job of a run that was interrupted."""
    run = finished_run(home, "dog-breed", SLUG, [("id", "beagle"), ("1", 1)], status="interrupted", **facts)
    argv = (sys.executable, "-m", "kagglekit", "resume", str(run.folder))
    return Job("dogs", argv, run.folder, run.folder, run.output_file)


def test_what_strict_weights_have_become_is_not_uploaded_without_a_yes(machine: Machine, tmp_path: Path) -> None:
    job = begun_job(tmp_path, licence="cc-by-nc-4.0")
    checkpoints = Run(job.folder).checkpoints
    checkpoints.mkdir()
    (checkpoints / "state.safetensors").write_bytes(b"weights")
    for agreed in (False, True):
        executor = KaggleMachines(Need(yes_licence=agreed))
        executor.submit(job)
        if agreed:
            assert executor.ended(0) == []
        else:
            with pytest.raises(UserError, match=r"may forbid sharing: cc-by-nc-4\.0\n.*--yes-licence"):
                executor.ended(0)
        assert len(machine.kernels.pushed) == agreed


def test_the_preset_auto_is_that_of_the_machine_that_trains() -> None:
    for jobs, preset in ((JobOptions("kaggle"), "standard"), (JobOptions("kaggle", accelerator="None"), "quick")):
        assert choose(Request("dog-breed", jobs=jobs)).preset == preset


def test_options_of_kaggle_need_it() -> None:
    check_request(Request("shapes", jobs=JobOptions("kaggle", hours=3)))
    for on in ("", "local"):
        with pytest.raises(UsageError, match="for Kaggle's machines"):
            check_request(Request("shapes", jobs=JobOptions(on, hours=3)))
