"""`kagglekit new`, as a first-time author meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from command_line import kagglekit, surroundings
from odd_layouts import LAYOUTS, labels_in_names, odd_columns, two_classes
from target_layouts import TARGET_LAYOUTS, breasts

from kagglekit.authoring.check import examine
from kagglekit.cli import cli
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load

ARCH, TINY = "mobilenetv4_conv_medium.e500_r224_in1k", "test_efficientnet.r160_in1k"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["new", *arguments])


def test_it_says_what_it_wrote_what_to_check_and_what_comes_next(here: Path) -> None:
    odd_columns(here / "data")
    done = new("leaves", "--from-data", "data")
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "warning: check: 12 labelled images have 5 values of 'site', whose name suggests groups: images of one 'site' "
        "stay together in train or in valid",
        "wrote leaves.py",
        "next: read the lines marked CHECK, then",
        "  kagglekit look ./leaves.py --data data",
        "  kagglekit check ./leaves.py --data data",
        "  kagglekit run ./leaves.py --data data",
    ]


def test_without_data_it_writes_a_plugin_for_the_usual_folders(here: Path) -> None:
    assert new("my-leaves").exit_code == 0
    hooks = Hooks(load("./my-leaves.py"))
    assert hooks.competition().title == "My leaves"
    assert "no data folder was given" in (here / "my-leaves.py").read_text()


def test_labels_in_file_names_are_marked_to_be_checked(here: Path) -> None:
    labels_in_names(here / "data")
    done = new("leaves", "--from-data", "data")
    assert "warning: check: labels are taken from the file names: Acer rubrum_0.jpg is 'Acer rubrum'" in done.output
    assert (
        'labels_from_names(data / "images", r"^(.+)_\\d+\\.", test=data / "to_predict")'
        in (here / "leaves.py").read_text()
    )


def test_a_file_that_is_there_is_never_replaced_unless_asked_for(here: Path) -> None:
    (here / "leaves.py").write_text("mine")
    done = new("leaves")
    assert done.exit_code == 1
    assert "already there: leaves.py" in done.output
    assert (here / "leaves.py").read_text() == "mine"
    forced = new("leaves", "--force")
    assert "replaced leaves.py" in forced.output
    assert "kagglekit_competition" in (here / "leaves.py").read_text()


def test_of_a_package_either_all_files_are_written_or_none(here: Path) -> None:
    (here / "kagglekit-leaves").mkdir()
    (here / "kagglekit-leaves" / "README.md").write_text("mine")
    assert new("leaves", "--package").exit_code == 1
    assert [path.name for path in (here / "kagglekit-leaves").iterdir()] == ["README.md"]


@pytest.mark.parametrize("name", ["Leaves", "my_leaves", "../leaves", "1st", "a--b", ""])
def test_a_name_that_would_be_none_for_a_plugin_is_a_usage_error(here: Path, name: str) -> None:
    done = new(name)
    assert done.exit_code == 2
    assert "is not a plugin name" in done.output
    assert list(here.iterdir()) == []


def test_data_in_an_unknown_layout_leave_no_file(here: Path) -> None:
    (here / "data").mkdir()
    done = new("leaves", "--from-data", "data")
    assert done.exit_code == 1
    assert "no images in data" in done.output
    assert not (here / "leaves.py").exists()


@pytest.mark.parametrize("write", [*LAYOUTS, *TARGET_LAYOUTS, breasts], ids=lambda write: write.__name__)
def test_a_packages_test_draws_data_in_the_detected_layout(here: Path, monkeypatch: pytest.MonkeyPatch, write) -> None:
    write(here / "data")
    assert new("leaves", "--package", "--from-data", "data").exit_code == 0
    folder = here / "kagglekit-leaves"
    names: dict = {"__file__": str(folder / "tests" / "test_kagglekit_leaves.py")}
    exec((folder / "tests" / "test_kagglekit_leaves.py").read_text(), names)
    names["write_tiny_data"](here / "tiny")
    monkeypatch.setattr("kagglekit.authoring.check._check_training", lambda *arguments: None)
    monkeypatch.setattr("kagglekit.authoring.check._check_recipes", lambda *arguments: True)
    findings = examine(str(folder / "kagglekit_leaves.py"), here / "tiny")
    assert {finding.check for finding in findings if finding.status == "ok"} >= {"hooks", "facts", "labels"}
    assert [finding for finding in findings if finding.status == "problem"] == []


@pytest.fixture
def package(here: Path) -> Path:
    """A package with a small network, also for the other presets, so that checks take seconds."""
    two_classes(here / "data")
    assert new("leaves", "--package", "--from-data", "data").exit_code == 0
    plugin = here / "kagglekit-leaves" / "kagglekit_leaves.py"
    text = plugin.read_text().replace(ARCH, TINY).replace('    if preset != "quick":\n        return None\n', "")
    plugin.write_text(text)
    return plugin.parent


def test_a_package_is_a_distribution_with_its_own_name_and_version(here: Path, package: Path) -> None:
    target = ["--target", str(here / "site"), "--no-deps", "--no-index", "--no-build-isolation", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "install", *target, str(package)], check=True, capture_output=True)
    listed = kagglekit("plugins", "--json", cwd=here, PYTHONPATH=str(here / "site"))
    (own,) = [each for each in json.loads(listed.stdout) if each["name"] == "leaves"]
    assert (own["distribution"], own["kind"], own["status"]) == ("kagglekit-leaves", "competition", "ok")


@pytest.mark.slow
def test_a_packages_own_test_passes(here: Path, package: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(package)]
    tested = subprocess.run(command, cwd=package, env=surroundings(here), capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
