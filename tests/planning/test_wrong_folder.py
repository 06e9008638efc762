"""A data folder that is not the one meant gets a hint that names the right one."""

from __future__ import annotations

import shutil
from pathlib import Path

import layouts
import pytest
from click.testing import CliRunner
from places import DISTRIBUTIONS

from kagglekit import UserError, labels_from_folders
from kagglekit.cli import cli


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    layouts.write_dog_breed(tmp_path / "data")
    return Path("data")


def hint(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["look", *arguments, "--no-pictures"])
    assert done.exit_code == 1, done.output
    return done.stderr.partition("\nhint: ")[2].strip()


def test_a_part_of_the_folder_or_the_folder_above_is_pointed_away_from(data: Path, tmp_path: Path) -> None:
    assert (
        hint("dog-breed", "--data", "data/train")
        == f"the folder above has what the plugin looks for: --data {tmp_path / 'data'}"
    )
    (tmp_path / "outer").mkdir()
    data.rename("outer/data")
    assert hint("dog-breed", "--data", "outer").startswith("the folder in it has what the plugin looks for: --data ")


def test_a_folder_of_several_data_sets_is_left_packed(data: Path, tmp_path: Path, cache: Path) -> None:
    layouts.write_dogs_vs_cats(tmp_path / "outer" / "cats", zipped=True)
    data.rename("outer/dogs")
    done = CliRunner().invoke(cli, ["look", "dog-breed", "--data", "outer", "--no-pictures"])
    assert f"{tmp_path / 'outer'} does not hold the data of dog-breed, but one of its folders does" in done.stderr
    assert done.stderr.endswith(f"--data {tmp_path / 'outer' / 'dogs'}\n")
    assert not (cache / "unpacked").exists()


def test_a_message_names_the_users_folder_and_not_the_cache(tmp_path: Path, cache: Path) -> None:
    layouts.write_dogs_vs_cats(tmp_path / "outer" / "cats", zipped=True)
    done = CliRunner().invoke(cli, ["look", "dog-breed", "--data", str(tmp_path / "outer"), "--no-pictures"])
    assert f"error: there is no file {tmp_path / 'outer' / 'labels.csv'}\n" in done.stderr
    assert (cache / "unpacked").exists()
    assert str(cache) not in done.stderr


def test_parts_of_the_data_are_no_classes(data: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for kind, name in enumerate(("ash", "birch")):
            for number in range(4):
                layouts.write_picture(tmp_path / "tt" / part / name / f"{number}.png", kind, f"{part} {name} {number}")
    text = (
        "from kagglekit import *\n\n@hookimpl\ndef kagglekit_competition():\n    return Competition(title='Leaves')\n"
    )
    Path("leaves.py").write_text(
        f"{text}\n@hookimpl\ndef kagglekit_labels(data):\n    return labels_from_folders(data)\n"
    )
    assert hint("./leaves.py", "--data", "tt") == (
        f"the folder in it has what the plugin looks for: --data {tmp_path / 'tt' / 'train'}"
    )
    with pytest.raises(UserError, match="are named after parts of the data, not after classes: test, train") as raised:
        labels_from_folders(tmp_path / "tt")
    assert (
        raised.value.hint == f"the class folders seem to be in {tmp_path / 'tt' / 'train'}: that is the folder to name"
    )


def test_another_competitions_folder_is_recognised(data: Path) -> None:
    assert "these are the data of dog-breed: kagglekit run dog-breed --data " in hint("pets", "--data", "data")


def test_a_folder_in_place_of_a_plugin_is_explained(data: Path) -> None:
    assert hint("dog-breed", "--plugin", "data/") == "a folder of images is named by --data DIR"
    Path("mine").mkdir()
    Path("mine/kagglekit_x.py").write_text("from kagglekit import hookimpl\n")
    assert hint("dog-breed", "--plugin", "mine/") == "name the file: mine/kagglekit_x.py"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lr=1e-3", "write --set 'stage.*.lr=1e-3'"),
        ("img_size=128", "this is the option --size 128"),
        ("wd=0.1", "write --set 'stage.*.weight_decay=0.1'"),
        ("stage.2.wd=0.1", "it is called weight_decay here"),
        ("dropout=0.1", "write --set drop_rate=0.1"),
        ("model=resnet18", "this is the option --arch resnet18"),
    ],
)
def test_a_setting_by_another_tools_name_is_told_its_own(setting: str, message: str) -> None:
    done = CliRunner().invoke(cli, ["recipe", "dog-breed", "--preset", "quick", "--set", setting])
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("option", "message"),
    [("--lr", "hint: --lr is called --set 'stage.*.lr=3'"), ("--batch-size", "--set 'stage.*.batch_size=3'"),
     ("--model", "hint: --model is called --arch 3"), ("--tta", "hint: --tta is called --set tta=3")],
)  # fmt: skip
def test_an_option_by_another_tools_name_is_told_its_own(option: str, message: str) -> None:
    done = CliRunner().invoke(cli, ["run", "dog-breed", option, "3"])
    assert (done.exit_code, message in done.stderr) == (2, True), done.stderr


def test_a_file_beside_that_provides_an_unknown_name_is_pointed_at(data: Path) -> None:
    text = "from kagglekit import hookimpl, Provides\n\n@hookimpl\ndef kagglekit_provides():\n    return Provides({})\n"
    Path("slow.py").write_text(text.format('schedule=["slow"], options={"slowness": 1}'))
    for setting in ("stage.4.schedule=slow", "options.slowness=2"):
        done = CliRunner().invoke(cli, ["recipe", "dog-breed", "--preset", "quick", "--set", setting])
        assert done.exit_code == 2
        assert "./slow.py seems to provide 'slow" in done.stderr
        assert "add --plugin ./slow.py" in done.stderr


def test_a_file_beside_that_provides_an_unknown_executor_is_pointed_at(data: Path) -> None:
    shutil.copy(DISTRIBUTIONS / "kagglekit-slurm" / "kagglekit_slurm.py", ".")
    command = ["run", "dog-breed", "--data", str(data), "--preset", "quick", "--folds", "2"]
    done = CliRunner().invoke(cli, [*command, "--on", "slurm://local"])
    assert done.exit_code == 2
    assert "unknown executor 'slurm'" in done.stderr
    assert "hint: ./kagglekit_slurm.py seems to provide 'slurm': add --plugin ./kagglekit_slurm.py" in done.stderr


def test_the_path_of_a_plugin_without_its_ending_is_completed(data: Path) -> None:
    Path("leaves_plugin.py").write_text("from kagglekit import hookimpl\n")
    assert hint("./leaves_plugin") == "the plugin file is ./leaves_plugin.py"


def test_a_plugin_file_beside_is_no_hint_for_another_error_about_the_network(data: Path) -> None:
    text = 'from kagglekit import hookimpl\n\nARCH = "{}"\n'
    Path("mine.py").write_text(text.format("resnet10t"))
    missing = ("--arch", "resnet10t", "--set", "weights=nofile")
    done = CliRunner().invoke(cli, ["recipe", "dog-breed", "--preset", "quick", *missing])
    assert done.stderr == "error: no weights file nofile\nhint: check the path: --set weights=FILE\n"
    Path("mine.py").write_text(text.format("my_net"))
    done = CliRunner().invoke(cli, ["recipe", "dog-breed", "--preset", "quick", "--arch", "my_net"])
    assert "hint: ./mine.py seems to provide 'my_net': add --plugin ./mine.py" in done.stderr
