"""Datasets and kernels are made once, whatever fails on the way; they are followed to the end, and cleaned up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fetched_file import Output
from kaggle_kernels import Kernels, Outcome
from kaggle_kills import kill_after_each_call, repeated
from kaggle_server import KaggleServer
from kaggle_session import become_customer
from submitting import ROWS, SLUG, FakeClock, accept_submissions, dog_run

from kagglekit.kaggle.client import Kaggle
from kagglekit.kaggle.facts import KernelVersion
from kagglekit.kaggle.kernels.calls import gpu_quota
from kagglekit.kaggle.kernels.code_submission import (
    check_before_push,
    push_and_submit,
    push_folder,
    submit_version,
    written_submission,
)
from kagglekit.kaggle.kernels.folder import KernelFolder
from kagglekit.kaggle.kernels.made import all_made, clean
from kagglekit.kaggle.login import connect
from kagglekit.kaggle.retry import RetryPolicy
from kagglekit.kaggle.submit import Package
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UsageError, UserError

TABLE = "\n".join(",".join(map(str, row)) for row in ROWS).encode()
DATASET = {"id": "ada/kagglekit-run-abc", "title": "kagglekit run abc", "licenses": [{"name": "other"}]}
KERNEL: dict[str, Any] = {
    "id": "ada/kagglekit-predict-abc",
    "title": "kagglekit predict abc",
    "code_file": "main.py",
    "language": "python",
    "kernel_type": "script",
    "is_private": True,
    "enable_gpu": True,
    "enable_tpu": False,
    "enable_internet": False,
    "dataset_sources": ["ada/kagglekit-run-abc"],
    "competition_sources": [SLUG],
    "kernel_sources": [],
    "model_sources": [],
    "machine_shape": "NvidiaTeslaT4",
}


@dataclass
class Pusher:
    """Pushes a small kernel in this process, by the real client and a clock that does not wait."""

    server: KaggleServer
    run: Run
    folder: KernelFolder
    clock: FakeClock = field(default_factory=FakeClock)
    output: Output = field(default_factory=Output)

    @property
    def kaggle(self) -> Kaggle:
        return connect(RetryPolicy(10, self.output.display.report, self.clock))

    @property
    def machines(self) -> Kernels:
        return self.server.play.kernels

    def push(self) -> KernelVersion:
        return push_folder(self.kaggle, self.folder, self.run.name, self.output.display)

    def written(self, version: KernelVersion) -> Path:
        place = self.folder.folder / "output"
        return written_submission(self.kaggle, version, place, self.output.display)

    def submit(self, version: KernelVersion, file: Path) -> None:
        submit_version(self.kaggle, Package(SLUG, file, "mine", self.run, version), self.run, self.output.display)


@pytest.fixture
def pusher(server: KaggleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pusher:
    accept_submissions(server, tmp_path)
    server.play.contests[SLUG].code_only = True
    server.play.kernels.run = lambda version: Outcome({"submission.csv": TABLE}, ["predicting", "done"])
    become_customer(monkeypatch, server, tmp_path)
    folder = tmp_path / "kernel"
    (folder / "dataset").mkdir(parents=True)
    (folder / "dataset" / "run.bin").write_bytes(b"weights" * 1000)
    (folder / "main.py").write_text("print('hello')\n")
    return Pusher(server, dog_run(tmp_path), KernelFolder(folder, KERNEL, DATASET))


def test_a_kernel_is_pushed_followed_fetched_and_submitted_once(pusher: Pusher) -> None:
    pusher.machines.queued, pusher.machines.running = 2, 2
    version = pusher.push()
    assert pusher.push() == version  # as after a kill
    file = pusher.written(version)
    assert file.read_bytes() == TABLE
    pusher.submit(version, file)
    (made,) = pusher.server.submissions[SLUG]
    assert (made.file_name, made.content) == ("submission.csv", TABLE)
    assert [entry["ref"] for entry in pusher.run.submissions()] == [made.ref]
    (pushed,) = pusher.machines.pushed
    assert pushed.asked["isPrivate"] is True
    assert pushed.asked["enableInternet"] is False
    assert pushed.asked["machineShape"] == "NvidiaTeslaT4"
    dataset = pusher.machines.datasets["kagglekit-run-abc"]
    assert (dataset.private, len(dataset.versions), dataset.files["run.bin"]) == (True, 1, b"weights" * 1000)
    shown = pusher.output.said.getvalue()
    for line in ("queued after", "running after", "complete after", "  predicting", "  done", "public score 0.28768"):
        assert line in shown
    assert shown.count("  predicting\n") == 1
    quota = gpu_quota(pusher.kaggle)
    assert quota
    assert (quota.left, quota.total) == (30, 30)


@pytest.mark.parametrize(
    ("used", "facts", "warned"),
    [
        (0.0, {"session_timeout_seconds": 9 * 3600}, False),
        (25.0, {"session_timeout_seconds": 9 * 3600}, True),
        (25.0, {}, False),
        (30.0, {}, True),
        (30.0, {"enable_gpu": False}, False),
    ],
)
def test_too_few_gpu_hours_are_a_warning_before_anything_is_uploaded(
    pusher: Pusher, used: float, facts: dict[str, Any], warned: bool
) -> None:
    pusher.machines.quota = (30.0, used)
    kernel = KernelFolder(pusher.folder.folder, {**KERNEL, **facts}, DATASET)
    check_before_push(pusher.kaggle, kernel, pusher.output.display)
    shown = pusher.output.said.getvalue()
    assert f"GPU hours left this week: {30 - used:.1f} of 30, until " in shown
    assert ("warning: that is less than" in shown) == warned


@pytest.mark.parametrize(
    ("where", "kind", "details"),
    [
        ("SaveKernel", "lost response", {}),
        ("SaveKernel", "reset", {}),
        ("SaveKernel", 503, {}),
        ("CreateDataset", "lost response", {}),
        ("CreateDataset", 500, {}),
        ("StartBlobUpload", "lost response", {}),
        ("PUT storage", "cut", {"after": 3000}),
        ("PUT storage", 401, {}),
        ("GetKernel", 502, {"times": 3}),
        ("GetDatasetStatus", 500, {}),
        ("GetKernelSessionStatus", 500, {"times": 30}),
        ("GET storage", "cut", {"after": 100}),
        ("GET storage", "expired", {}),
        ("CreateCodeSubmission", "lost response", {}),
        ("CreateCodeSubmission", 503, {}),
    ],
)
def test_each_fault_leaves_one_dataset_one_kernel_one_submission(
    pusher: Pusher, where: str, kind: int | str, details: dict[str, int]
) -> None:
    fault = pusher.server.fault(where, kind, **details)
    version = pusher.push()
    file = pusher.written(version)
    pusher.submit(version, file)
    assert fault.hits
    assert file.read_bytes() == TABLE
    assert [len(dataset.versions) for dataset in pusher.machines.datasets.values()] == [1]
    assert pusher.machines.datasets["kagglekit-run-abc"].files["run.bin"] == b"weights" * 1000
    assert [version.number for version in pusher.machines.pushed] == [1]
    assert len(pusher.server.submissions[SLUG]) == 1


def test_a_kill_after_any_call_leaves_one_dataset_one_kernel_one_submission(
    pusher: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = kill_after_each_call(monkeypatch)

    def command() -> None:
        push_and_submit(pusher.kaggle, pusher.folder, pusher.run, "mine", lambda question: False, pusher.output.display)

    with pytest.raises(UserError, match="nothing was submitted"):  # a second time, which was asked before
        repeated(command)
    assert {"create_dataset", "save_kernel", "create_code_submission", "get_submission"} <= killed
    assert [len(dataset.versions) for dataset in pusher.machines.datasets.values()] == [1]
    assert [version.number for version in pusher.machines.pushed] == [1]
    (made,) = pusher.server.submissions[SLUG]
    assert [entry["ref"] for entry in pusher.run.submissions()] == [made.ref]


def test_a_failed_kernel_shows_its_last_lines_and_is_pushed_again_when_asked(pusher: Pusher) -> None:
    pusher.machines.run = lambda version: Outcome({}, ["reading", "error: no images"], "exit code 1")
    with pytest.raises(UserError, match=r"has failed \(exit code 1\):\n  reading\n  error: no images"):
        pusher.written(pusher.push())
    pusher.machines.run = lambda version: Outcome({"submission.csv": TABLE})
    again = pusher.push()
    assert again.number == 2
    assert pusher.written(again).read_bytes() == TABLE


def test_a_kernel_without_a_submission_is_an_error(pusher: Pusher) -> None:
    pusher.machines.run = lambda version: Outcome({"other.txt": b""})
    with pytest.raises(UserError, match=r"version 1 of ada/kagglekit-predict-abc has written no submission\.csv"):
        pusher.written(pusher.push())


def test_what_kaggle_refuses_in_words_is_an_error(pusher: Pusher) -> None:
    pusher.server.play.contests.clear()
    with pytest.raises(UserError, match="without dog-breed-identification, which it does not know"):
        pusher.push()
    pusher.folder = KernelFolder(pusher.folder.folder, {**KERNEL, "machine_shape": "Abacus"}, DATASET)
    pusher.machines.kernels.clear()
    with pytest.raises(UserError, match=r"Kaggle refused the kernel .*: Invalid machine shape: Abacus"):
        pusher.push()


def test_files_are_refused_where_notebooks_are_wanted_and_the_other_way_round(pusher: Pusher) -> None:
    version = pusher.push()
    file = pusher.written(version)
    pusher.server.play.contests[SLUG].code_only = False
    with pytest.raises(UserError, match="accepts files, not notebooks"):
        pusher.submit(version, file)
    assert not pusher.server.submissions[SLUG]


def test_clean_removes_what_was_made_and_nothing_else(pusher: Pusher) -> None:
    pusher.push()
    others = {**DATASET, "id": "ada/kagglekit-run-of-another", "title": "kagglekit run of another"}
    pusher.machines.rpcs["CreateDataset"]({**others, "slug": "kagglekit-run-of-another", "files": [_uploaded(pusher)]})
    assert [made.ref for made in all_made()] == [KERNEL["id"], DATASET["id"]]
    with pytest.raises(UsageError, match="no terminal to ask on"):
        clean(pusher.kaggle, None, pusher.output.display)
    with pytest.raises(UserError, match="nothing was removed"):
        clean(pusher.kaggle, lambda question: False, pusher.output.display)
    assert not pusher.machines.deleted
    clean(pusher.kaggle, lambda question: "these 2" in question, pusher.output.display)
    assert pusher.machines.deleted == [KERNEL["id"], DATASET["id"]]
    assert [*pusher.machines.datasets] == ["kagglekit-run-of-another"]
    assert not all_made()
    clean(pusher.kaggle, None, pusher.output.display)  # nothing is left to ask about


def _uploaded(pusher: Pusher) -> dict[str, str]:
    token, _ = pusher.server.storage.start_upload("file", 0)
    return {"token": token}
