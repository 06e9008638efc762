"""`--on kaggle`: the trainings of a run in a kernel, with the bytes of one process, whatever ends on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import layouts
import pytest
from kaggle_image import Machine, make_image
from kaggle_kernels import Outcome, Version
from kaggle_server import SECRETS, KaggleServer
from kaggle_session import become_customer
from stopping import outcome
from tiny_runs import tiny_run

from kagglekit.kaggle.kernels.machines import KaggleMachines
from kagglekit.planning.choose import check_request
from kagglekit.planning.request import Request
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UsageError, UserError
from kagglekit.types.executor import Ended, JobOptions

SLUG = "dog-breed-identification"
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


def test_folds_are_trained_there_and_a_time_limit_and_ctrl_c_lose_nothing(
    machine: Machine, server: KaggleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, kernels = tmp_path / "data" / "dog-breed", server.play.kernels
    whole, _ = tiny_run("dog-breed", data, tmp_path / "whole", options={"stages": "1"}, **FAST)
    once = KaggleMachines.ended

    def interrupted(self: KaggleMachines, wait: float) -> list[Ended]:
        once(self, wait)
        raise KeyboardInterrupt

    def short(version: Version) -> Outcome:
        limited = {**version.asked, "text": version.text.replace("SAVING = 600.0", "SAVING = 36000.0")}
        return machine.run(replace(version, asked=limited) if version.number == 1 and not machine.logs else version)

    kernels.run = short
    asked = {"on": "kaggle", "accelerator": "none", "resume": True, "stages": "1"}
    with monkeypatch.context() as patch:
        patch.setattr(KaggleMachines, "ended", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tiny_run("dog-breed", data, tmp_path / "there", options=asked, **FAST)
    assert len(kernels.pushed) == 1
    run, said = tiny_run("dog-breed", data, tmp_path / "there", options=asked, **FAST)
    assert "the time is nearly over" in machine.logs[0]
    assert [version.asked["enableInternet"] for version in kernels.pushed] == [False, False]
    assert len(machine.logs) == 2  # each kernel was pushed once
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


def test_options_of_kaggle_need_it() -> None:
    check_request(Request("shapes", jobs=JobOptions("kaggle", hours=3)))
    for on in ("", "local"):
        with pytest.raises(UsageError, match="for Kaggle's machines"):
            check_request(Request("shapes", jobs=JobOptions(on, hours=3)))
