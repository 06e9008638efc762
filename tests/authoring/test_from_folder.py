"""A data folder takes the place of a competition: its layout is recognised, and the run keeps the plugin."""

from __future__ import annotations

import json
from pathlib import Path

import layouts
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from tiny_runs import TINY_COMMAND

import kagglekit
from kagglekit import Run
from kagglekit.authoring.from_folder import is_folder
from kagglekit.cli import cli
from kagglekit.hooks import trust
from kagglekit.system.paths import cache_folder


def ask(*arguments: object) -> Result:
    trust._loaded.clear()  # as in a process of its own
    return CliRunner().invoke(cli, [*map(str, arguments)])


@pytest.fixture
def data(tmp_path: Path, cache: Path) -> Path:
    """Return a folder of two classes, named in a CSV."""
    folder = tmp_path / "Leaf_Spots 2"
    rng = np.random.default_rng(0)
    for name in [*(f"train/{number}.png" for number in range(12)), *(f"test/{number}.png" for number in range(20, 23))]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / name)
    rows = "".join(f"{number}.png,{('rust', 'scab')[number % 2]}\n" for number in range(12))
    (folder / "train.csv").write_text(f"image,label\n{rows}")
    (folder / "sample_submission.csv").write_text("image,label\n20.png,rust\n21.png,rust\n22.png,rust\n")
    return folder


def test_a_folder_is_recognised_run_and_predicted(data: Path, tmp_path: Path) -> None:
    done = ask("run", data, "--out", tmp_path / "runs", "--json", *TINY_COMMAND)
    assert done.exit_code == 0, done.output
    assert f"recognised in {data}: 12 labelled images of 2 classes (rust, scab), from train.csv" in done.stderr
    assert f"hint: to change what was recognised: kagglekit new leaf-spots-2 --from-data {data}" in done.stderr
    run = Run(Path(json.loads(done.stdout)["run"]))
    assert run.folder.parent.name == "leaf-spots-2"
    assert len(run.submission.read_text().splitlines()) == 4
    [plugin] = (run.folder / "plugins").iterdir()
    assert plugin.read_text() == Path(run.info().plugin).read_text()
    predicted = ask("predict", run.folder, data / "test" / "20.png", "--device", "cpu", "--json")
    assert predicted.exit_code == 0, predicted.output
    for file in (cache_folder() / "recognised").rglob("*.py"):
        file.unlink()
    assert ask("predict", run.folder, data / "test" / "20.png", "--device", "cpu").exit_code == 1
    named = ask("predict", run.folder, data / "test" / "20.png", "--device", "cpu", "--plugin", plugin)
    assert named.exit_code == 0, named.output


def test_a_folder_that_changes_gets_another_plugin(data: Path) -> None:
    assert ask("recipe", data, "--preset", "quick").exit_code == 0
    (data / "train.csv").rename(data / "labels.csv")
    assert ask("recipe", data, "--preset", "quick").exit_code == 0
    assert len([*(cache_folder() / "recognised").rglob("leaf-spots-2.py")]) == 2


SMALL = """
from kagglekit import Recipe, hookimpl, progressive_stages

@hookimpl
def kagglekit_recipe(preset):
    return Recipe(arch="test_resnet", pretrained=False, stages=progressive_stages((32,), solver="regression"))
"""


@pytest.mark.parametrize("command", ["look", pytest.param("check", marks=pytest.mark.slow)])
def test_other_commands_take_a_folder(data: Path, command: str, tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SMALL)
    done = ask(command, data, *(["--no-pictures"] if command == "look" else ["--plugin", tmp_path / "small.py"]))
    assert done.exit_code == 0, done.output
    assert "12 labelled images of 2 classes (rust, scab), from train.csv" in done.output


def test_data_are_given_once(data: Path) -> None:
    done = ask("run", data, "--data", data)
    assert done.exit_code == 2
    assert "is the data folder; --data names a different folder\nhint: use one or the other" in done.output


def test_a_name_is_a_plugin_and_a_folder_needs_a_slash(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.rename(tmp_path / "pets")
    monkeypatch.chdir(tmp_path)
    plain = ask("recipe", "pets", "--preset", "quick")
    assert "pets is the installed plugin; the folder of this name is ./pets\npreset: quick" in plain.output
    folder = ask("recipe", "./pets", "--preset", "quick")
    assert "reading the folder pets/; for the plugin of that name, leave out the slash" in folder.output
    Path("pets").rename("leaves")
    unknown = ask("recipe", "leaves")
    assert unknown.exit_code == 2
    assert "hint: for the folder, add a slash: ./leaves" in unknown.output
    monkeypatch.chdir("leaves")
    assert [is_folder(text) for text in (".", "..", "./train", "train", "./train.csv", "")] == [
        *[True] * 3,
        *[False] * 3,
    ]


def test_python_takes_a_folder(data: Path, tmp_path: Path) -> None:
    options = {"arch": "test_resnet", "pretrained": False, "tta": 0, "stage.1.solver": "regression"}
    run = kagglekit.run(
        str(data), settings=options, out=tmp_path, preset="quick", size=32, stages="1", device="cpu", precision="fp32"
    )
    assert run.info().classes == ("rust", "scab")


def test_a_folder_whose_name_says_nothing_is_called_after_the_one_above(data: Path, tmp_path: Path) -> None:
    (tmp_path / "Leaf Cup").mkdir()
    data.rename(tmp_path / "Leaf Cup" / "data")
    assert "kagglekit new leaf-cup --from-data" in ask("recipe", tmp_path / "Leaf Cup" / "data").output


def test_a_metric_that_is_a_guess_is_said(data: Path) -> None:
    assert (
        "warning: check: metric accuracy: guessed, because the sample submission asks for" in ask("recipe", data).output
    )


def test_what_is_not_on_kaggle_is_not_submitted_in_silence(data: Path, tmp_path: Path) -> None:
    early = ask("run", data, "--out", tmp_path / "runs", "--submit", *TINY_COMMAND)
    assert early.exit_code == 2
    assert "--submit: Leaf spots 2 is not on Kaggle, as its plugin has no slug\nhint: give its name" in early.output
    done = ask("run", data, "--out", tmp_path / "runs", "--json", *TINY_COMMAND)
    late = ask("submit", json.loads(done.stdout)["run"])
    assert late.exit_code == 1
    assert "error: Leaf spots 2 is not on Kaggle: nothing was uploaded\nhint: give its name" in late.output


def test_what_is_no_plugin_file_is_said(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "train.csv is not a plugin file\nhint: give the folder of the data" in ask("run", data / "train.csv").output
    assert "nosuch does not exist: neither a data folder nor a plugin file" in ask("run", tmp_path / "nosuch").output
    (tmp_path / "leaves.py").touch()
    monkeypatch.chdir(tmp_path)
    assert "hint: for a plugin file, give its path: ./leaves.py" in ask("run", "leaves").output


def test_the_folder_of_one_class_leads_to_the_folder_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cat", "dog"):
        layouts.write_picture(tmp_path / "photos" / name / "1.jpg", 0, name)
    monkeypatch.chdir(tmp_path)
    hint = "if cat is a class, like dog beside it, give the folder above: kagglekit run photos/"
    assert f"hint: {hint}\n" in ask("run", "photos/cat").output
    (tmp_path / "photos" / "notes").mkdir()  # folders of other things are beside it: nothing is known
    assert hint not in ask("run", "photos/cat").output


@pytest.mark.usefixtures("cache")
def test_a_part_of_the_data_leads_to_the_folder_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(tmp_path / "tt" / "train", "ash birch")
    class_folders(tmp_path / "tt" / "other", "ash birch")
    monkeypatch.chdir(tmp_path)
    message = "train is one part of the data, with test beside it; give the folder above: kagglekit run tt/"
    assert "beside it" not in ask("look", "tt/train", "--no-pictures").output
    layouts.write_picture(tmp_path / "tt" / "test" / "1.jpg", 0, "test")
    assert f"warning: {message}\n" in ask("look", "tt/train", "--no-pictures").output
    assert "beside it" not in ask("look", "tt/", "--no-pictures").output
    layouts.write_dog_breed(tmp_path / "db")
    assert f"hint: {message.replace('tt/', 'db/')}\n" in ask("look", "db/train").stderr


def class_folders(folder: Path, names: str) -> Path:
    for kind, name in enumerate(names.split()):
        for number in range(6):
            layouts.write_picture(folder / name / f"{number}.png", kind, f"{name} {number}")
    return folder


@pytest.mark.usefixtures("cache")
def test_a_class_with_all_its_images_deeper_counts_in_what_is_recognised_and_in_the_run(tmp_path: Path) -> None:
    done = ask("look", class_folders(tmp_path / "e", "ash birch snaps/deep"), "--no-pictures")
    assert done.exit_code == 0, done.output
    assert "18 labelled images of 3 classes (ash, birch, snaps), from the folders" in done.output
    assert "18 images of 3 classes" in done.output


@pytest.mark.usefixtures("cache")
def test_a_folder_that_would_be_read_differently_from_what_was_recognised_is_refused(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "e", "ash birch oak val")  # no class folders in val
    done = ask("run", folder, "--dry-run", *TINY_COMMAND)
    assert done.exit_code == 1
    assert "24 labelled images are read, and 18 were recognised; classes: not expected: val" in done.stderr
    assert "hint: move what is no labelled image out of it, or write a plugin: kagglekit new NAME" in done.stderr


def dogs_without(folder: Path, missing: str = "", column: str = "") -> Path:
    """Write dog-breed without the images of a class, or without its column in the sample."""
    layouts.write_dog_breed(folder)
    labels = (folder / "labels.csv").read_text().splitlines(keepends=True)
    (folder / "labels.csv").write_text("".join(line for line in labels if not line.endswith(f",{missing}\n")))
    for image in [line.partition(",")[0] for line in labels if line.endswith(f",{missing}\n")]:
        (folder / "train" / f"{image}.jpg").unlink()
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)
    sample.drop(columns=column or []).to_csv(folder / "sample_submission.csv", index=False)
    return folder


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("missing", "column", "words"),
    [
        (
            "beagle",
            "",
            "the sample submission has 1 class without a labelled image: beagle\nhint: check that the data",
        ),
        ("", "beagle", "the sample submission has no column for 1 class of labelled images: beagle\nhint: leave out"),
    ],
)
def test_a_sample_of_other_classes_is_refused_before_training(
    tmp_path: Path, missing: str, column: str, words: str
) -> None:
    done = ask("run", dogs_without(tmp_path / "db", missing, column), "--out", tmp_path / "runs", *TINY_COMMAND)
    assert done.exit_code == 1
    assert words in done.stderr
    assert "epoch" not in done.stdout
    if missing:
        assert "check: sample_submission.csv has columns of classes without a labelled image: beagle" in done.stdout


@pytest.mark.usefixtures("cache")
def test_a_new_plugin_fills_the_columns_of_classes_without_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dogs_without(tmp_path / "db", "beagle")
    monkeypatch.chdir(tmp_path)
    assert ask("new", "fewer", "--from-data", data).exit_code == 0
    done = ask("run", "./fewer.py", "--data", data, "--json", *TINY_COMMAND)
    assert done.exit_code == 0, done.output
    rows = pd.read_csv(Run(Path(json.loads(done.stdout)["run"])).submission)
    assert list(rows.columns) == list(pd.read_csv(data / "sample_submission.csv").columns)
    assert (rows["beagle"] == 1e-5).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--arch", "mobilnetv2_100"), "timm has no network 'mobilnetv2_100'; similar: mobilenetv2_100"),
        (("--preset", "fast"), "unknown preset 'fast'"),
        (("--set", "lr=0.1"), "write --set 'stage.*.lr=0.1'"),
        (("--device", "gpu"), "unknown device 'gpu'"),
        (("--drop", "none.csv"), "there is no file none.csv"),
        (("--precision", "fp16", "--device", "cpu"), "fp16 needs a GPU"),
    ],
)
def test_what_does_not_depend_on_the_data_is_refused_before_the_folder_is_read(
    data: Path, arguments: tuple[str, ...], words: str
) -> None:
    commands = {"--arch": "recipe lr-find", "--preset": "recipe lr-find look", "--set": "recipe lr-find look"}
    for command in ("run", *commands.get(arguments[0], "").split()):
        done = ask(command, data, *arguments)
        assert done.exit_code in (1, 2), command
        assert words in done.stderr, command
        assert "recognised" not in done.output, command
