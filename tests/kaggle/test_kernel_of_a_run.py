"""`kagglekit kernel RUN`: a run predicts on another machine, from the pushed folder alone, what it predicts here."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import layouts
import pytest
from click.testing import CliRunner
from fetched_file import Output
from kaggle_image import IMAGE, NOTEBOOKS, Machine, make_image
from kaggle_kernels import Dataset
from kaggle_server import SECRETS, KaggleServer
from kaggle_session import become_customer, entries
from tiny_runs import tiny_run

import kagglekit
from kagglekit.cli import cli
from kagglekit.images.cache import cached_stores
from kagglekit.kaggle.kernels.code_submission import check_licences
from kagglekit.kaggle.kernels.folder import KernelOptions, slug_of, title_of, write_kernel
from kagglekit.prediction import test_folder
from kagglekit.prediction.test_folder import submit_test_folder
from kagglekit.runs.folder import Run
from kagglekit.runs.inference import Predictor
from kagglekit.system.errors import UserError

SLUG = "dog-breed-identification"
FAST = {"tta": 1, "stage__4__size": 32}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the data of a small dog-breed, and another with its test images alone."""
    place = tmp_path_factory.mktemp("home")
    solution = layouts.write_dog_breed(place / "data" / "dog-breed")
    (place / "solution.json").write_text(json.dumps(solution))
    shutil.copytree(place / "data" / "dog-breed" / "test", place / "hidden" / "test")
    shutil.copy(place / "data" / "dog-breed" / "sample_submission.csv", place / "hidden")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGGLEKIT_CACHE", str(place / "cache"))
        patch.chdir(place)
        yield place


def trained(home: Path, **settings: object) -> Run:
    data, out = home / "data" / "dog-breed", home / "submissions"
    run, _ = tiny_run("dog-breed", data, out, options={"stages": "1"}, **FAST, **settings)
    return Run(run.folder)


@pytest.fixture(scope="module")
def folds(home: Path) -> Run:
    return trained(home, folds=2)


@pytest.fixture(scope="module")
def blend(home: Path) -> Run:
    runs = [trained(home), trained(home, arch="test_resnet")]
    display = Output().display
    return Run(kagglekit.blend(*runs, ensemble="mean", out=home / "submissions", display=display).folder)


@pytest.fixture(scope="module")
def full(home: Path, folds: Run) -> Run:
    display, where = Output().display, home / "submissions"
    return Run(kagglekit.run(full=folds.folder, out=where, display=display, precision="fp32").folder)


def predicted(run: Run, home: Path, file: Path) -> str:
    submit_test_folder(run, home / "hidden", file, "cpu", Output().display)
    return file.read_text()


@pytest.mark.parametrize("kind", ["folds", "blend", "full"])
def test_the_packed_files_of_a_run_predict_what_it_does(
    request: pytest.FixtureRequest, home: Path, kind: str, tmp_path: Path
) -> None:
    run: Run = request.getfixturevalue(kind)
    root = run.folder.parent
    files = Predictor.read(run).files(root)
    for name, file in files.items():
        (tmp_path / "runs" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / "runs" / name)
    there = Run(tmp_path / "runs" / run.folder.relative_to(root))
    assert predicted(there, home, tmp_path / "there.csv") == predicted(run, home, tmp_path / "here.csv")
    assert not [name for name in files if name.endswith(("submission.csv", "-test.npz", "log.csv", "report.html"))]


@pytest.mark.parametrize("kind", ["folds", "blend", "full", "ranks"])
def test_a_large_test_set_is_predicted_in_blocks_that_leave_no_decoded_images(
    request: pytest.FixtureRequest, home: Path, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Run = request.getfixturevalue("folds" if kind == "ranks" else kind)
    if kind == "ranks":
        run = Run(Path(shutil.copytree(run.folder, tmp_path / run.name)))
        run.write_recipe(run.recipe().model_copy(update={"ensemble": "rank"}))
    whole = predicted(run, home, tmp_path / "whole.csv")
    before = {store.folder for store in cached_stores()}
    largest: list[int] = []
    once = test_folder.remove
    monkeypatch.setattr(test_folder, "remove", lambda store: largest.append(store.images) or once(store))
    monkeypatch.setattr(test_folder, "BLOCK", 4)
    assert predicted(run, home, tmp_path / "blocks.csv") == whole
    assert sorted({*largest}) == [2, 4]
    assert {store.folder for store in cached_stores()} == before


def command(*arguments: object) -> str:
    """Run ``kagglekit`` in this process; return what it prints."""
    done = CliRunner().invoke(cli, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


@dataclass
class Pushed:
    """What a code competition has after a run's kernel was pushed and submitted.

    Attributes:
        server: Plays Kaggle.
        machine: Has run the kernel.
        said: What the command printed.
        expected: The CSV that the run writes here.
    """

    server: KaggleServer
    machine: Machine
    said: str
    expected: str


@pytest.fixture(scope="module")
def pushed(home: Path, folds: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    place = tmp_path_factory.mktemp("customer")
    with KaggleServer() as server, pytest.MonkeyPatch.context() as patch:
        become_customer(patch, server, place)
        patch.setattr("kagglekit.kaggle.kernels.calls.PAUSE", 0.1)
        solution = json.loads((home / "solution.json").read_text())
        server.add_competition(SLUG, home / "data" / "dog-breed", solution, code_only=True, polls=0)
        machines = server.play.kernels
        image = make_image(place, (*IMAGE, *NOTEBOOKS))
        machine = Machine(image, place / "kaggle", machines, {SLUG: home / "hidden"})
        machines.run = machine.run
        said = command("kernel", folds.name, "--submit", "--accelerator", "none")
        yield Pushed(server, machine, said, predicted(folds, home, place / "here.csv"))
        assert server.refused == []


def test_a_pushed_folder_alone_predicts_and_its_submission_is_scored(pushed: Pushed, folds: Run) -> None:
    assert "GPU hours left this week: 30.0 of 30" in pushed.said
    machines, log = pushed.machine.kernels, pushed.machine.logs[0]
    assert "Successfully installed kagglekit-" in log
    assert "torch" not in next(line for line in log.splitlines() if line.startswith("Successfully installed"))
    assert "with 10 rows, checked against sample_submission.csv" in log
    (made,) = pushed.server.submissions[SLUG]
    assert made.content.decode() == pushed.expected
    assert f"submission {made.ref}: public score {made.public:.5f}" in pushed.said
    assert [(entry["ref"], entry["public"]) for entry in entries(folds)] == [(made.ref, round(made.public, 5))]
    version = machines.pushed[0]
    (dataset,) = machines.datasets.values()
    for text in (version.text.encode(), *contents(dataset)):
        assert not [secret for secret in SECRETS if secret.encode() in text]
    before = len(machines.pushed), len(pushed.machine.logs)
    assert "version 1 is already on Kaggle, complete" in command(
        "kernel", folds.name, "--push", "--accelerator", "none"
    )
    assert before == (len(machines.pushed), len(pushed.machine.logs))
    assert len(dataset.versions) == 1


@pytest.mark.slow
def test_a_notebook_is_executed_there_and_writes_the_same_csv(pushed: Pushed, folds: Run, tmp_path: Path) -> None:
    folder = tmp_path / "kernel"
    said = command("kernel", folds.name, "--push", "--notebook", "--accelerator", "none", "--folder", folder)
    assert "is already on Kaggle" in said  # the dataset
    assert pushed.machine.kernels.pushed[-1].asked["kernelType"] == "notebook"
    assert "exit code 0 after" in pushed.machine.logs[-1]
    assert (folder / "output" / "submission.csv").read_text() == pushed.expected


def contents(dataset: Dataset) -> Iterator[bytes]:
    """Yield the content of all files of a dataset, and of the archives among them."""
    assert {"run.bin"} < {*dataset.files}
    for name, content in dataset.files.items():
        yield content
        if name.endswith(".whl"):
            with zipfile.ZipFile(io.BytesIO(content)) as wheel:
                yield from (wheel.read(member) for member in wheel.namelist())
    with tarfile.open(fileobj=io.BytesIO(dataset.files["run.bin"])) as archive:
        assert all(not Path(member.name).is_absolute() for member in archive)


def test_the_same_run_gives_the_same_folder_and_a_notebook_has_the_same_program(home: Path, folds: Run) -> None:
    part = Predictor.read(folds)
    first = write_kernel(part, home / "first", KernelOptions("ada"))
    second = write_kernel(part, home / "second", KernelOptions("ada", notebook=True))
    files = [{file.name: file.read_bytes() for file in written.files} for written in (first, second)]
    assert files[0] == files[1]
    assert first.metadata["id"] != second.metadata["id"]
    (cell,) = json.loads((home / "second" / "main.ipynb").read_text())["cells"]
    assert cell["source"] == (home / "first" / "main.py").read_text()
    facts = json.loads((home / "first" / "kernel-metadata.json").read_text())
    assert (facts["enable_internet"], facts["is_private"], facts["competition_sources"]) == (False, True, [SLUG])
    for metadata in (first.metadata, second.metadata, first.dataset_metadata):
        assert 6 <= len(metadata["title"]) <= 50
        assert metadata["id"] == f"ada/{slug_of(metadata['title'])}"


def test_a_secret_in_a_run_is_not_packed(
    home: Path, folds: Run, server: KaggleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    become_customer(monkeypatch, server, tmp_path)
    copy = Run(tmp_path / folds.name)
    shutil.copytree(folds.folder, copy.folder)
    copy.plugin_copies.mkdir(exist_ok=True)
    (copy.plugin_copies / "mine.py").write_text(f"TOKEN = {SECRETS[1]!r}\n")
    with pytest.raises(UserError, match=r"mine\.py contains one of your credentials"):
        write_kernel(Predictor.read(copy), tmp_path / "kernel", KernelOptions("ada"))


def test_titles_have_the_length_that_kaggle_allows() -> None:
    for name in ("x", "dog-breed 20260101 " + "very_long_" * 10, "Ünïcode — ☃"):
        title = title_of("predict", name, "0123456789")
        assert 6 <= len(title) <= 50
        assert title.endswith(" 0123456789")
        assert slug_of(title).replace("-", "").isalnum()


def test_weights_that_may_not_be_shared_need_a_yes(folds: Run) -> None:
    part = Predictor.read(folds)
    check_licences(part, False)
    for licence, permits in (("apache-2.0", True), ("MIT; cc-by-nc-4.0", False), ("unknown (local file)", False)):
        fold = replace(part.folds[1], info=part.folds[1].info.with_facts(licence=licence))
        mixed = replace(part, folds=(part.folds[0], fold))
        check_licences(mixed, True)
        if permits:
            check_licences(mixed, False)
        else:
            with pytest.raises(UserError, match=r"may forbid sharing: .*\n.*--yes-licence"):
                check_licences(mixed, False)
