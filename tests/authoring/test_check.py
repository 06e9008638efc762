"""`kagglekit check`: each mistake in a plugin is found, with its place and its fix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import layouts
import pytest
import target_layouts
from click.testing import CliRunner
from command_line import kagglekit
from odd_layouts import begun

from kagglekit.authoring.check import SMALL, examine
from kagglekit.authoring.findings import Finding
from kagglekit.cli import cli
from kagglekit.testing import check_competition

GOOD = """
from kagglekit import *
from kagglekit import hookimpl


@hookimpl
def kagglekit_competition():
    return Competition(title="Leaves", url="https://leaves.example", metric="log_loss", licence="CC0")


@hookimpl
def kagglekit_labels(data):
    return labels_from_csv(data / "labels.csv", images=data / "train", suffix=".jpg", test=data / "test")


@hookimpl
def kagglekit_recipe(preset):
    stages = (Stage(name="all", size=32, snapshots=True),)
    return Recipe(arch="test_efficientnet.r160_in1k", stages=stages)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaves")
    layouts.write_dog_breed(folder, classes=3)
    return folder


def plugin(folder: Path, old: str = "", new: str = "", more: str = "") -> str:
    assert old in GOOD
    file = folder / "leaves.py"
    file.write_text(GOOD.replace(old, new) + dedent(more))
    return str(file)


def problems(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.status == "problem"]


def test_a_good_plugin_has_every_part_checked_and_leaves_nothing_behind(data: Path, tmp_path: Path) -> None:
    file = plugin(tmp_path)
    before = sorted(tmp_path.rglob("*")) + sorted(data.rglob("*"))
    findings = check_competition(file, data=data)
    parts = ("hooks", "facts", "recipe", "labels", "submission", *3 * ["evidence"], "training", "determinism")
    assert [(finding.check, finding.status) for finding in findings] == [(check, "ok") for check in parts]
    assert sorted(tmp_path.rglob("*")) + sorted(data.rglob("*")) == before
    said = " ".join(finding.what for finding in findings)
    assert "3 hooks with known names and arguments" in said
    assert "Leaves, metric log loss" in said
    assert "24 train, 10 test; 3 classes (affenpinscher, beagle, black-and-tan_coonhound); deterministic" in said
    assert "matches sample_submission.csv" in said


WRONG = {  # what is changed, the check that finds it, what it says, and its fix
    "a misspelt hook": (
        ("def kagglekit_labels(data)", "def kagglekit_label(data)"),
        "hooks",
        "unknown hook 'kagglekit_label': did you mean 'kagglekit_labels'?",
        "",
    ),
    "an unknown argument": (
        ("def kagglekit_labels(data)", "def kagglekit_labels(folder)"),
        "hooks",
        "kagglekit_labels has no argument 'folder'",
        "omit unused arguments",
    ),
    "impossible facts": (('title="Leaves", ', ""), "facts", "Competition: title: Field required", "Competition(title"),
    "an unknown metric": (
        ('metric="log_loss"', 'metric="logloss"'),
        "facts",
        "unknown metric 'logloss': did you mean 'log_loss'?",
        "name one of kagglekit's metrics",
    ),
    "another task": (
        ('metric="log_loss"', 'metric="log_loss", task="multi-label"'),
        "labels",
        "labels that are no list of names, as several labels an image need",
        "return a list for each image from the labels hook",
    ),
    "an impossible recipe": (
        ("size=32", "size=-1"),
        "recipe",
        "preset quick: plugin leaves",
        "",
    ),
    "an unknown schedule": (
        ("size=32", "size=32, schedule='sgdrr'"),
        "recipe",
        "unknown schedule 'sgdrr': did you mean 'sgdr'?",
        "fix the recipe of the preset quick",
    ),
    "an unknown network": (
        ("test_efficientnet.r160_in1k", "test_efficientnets"),
        "recipe",
        "timm has no network 'test_efficientnets'",
        "kagglekit models PATTERN",
    ),
    "unknown weights": (
        ("test_efficientnet.r160_in1k", "test_efficientnet.nothing"),
        "recipe",
        "timm has no weights 'nothing' of test_efficientnet",
        "choose one of them",
    ),
    "images that are not there": (
        ('suffix=".jpg"', 'suffix="_x.jpg"'),
        "labels",
        "has no row for images in",
        "its rows name 00000000_x.jpg",
    ),
    "one class": (
        ('test=data / "test")', 'test=data / "test").assign(label="leaf")'),
        "labels",
        "at least two classes are needed; the labelled images have leaf",
        "check the labels",
    ),
    "labels by chance": (
        ('test=data / "test")', 'test=data / "test").sample(frac=1)'),
        "determinism",
        "the labels hook returns another table the second time",
        "use a fixed seed for random choices",
    ),
    "classes that the CSV does not know": (
        ('test=data / "test")', 'test=data / "test").replace("beagle", "Beagle")'),
        "submission",
        "the columns of the sample submission differ from the classes",
        "use its names for the classes",
    ),
    "ids that the CSV does not know": (
        ('    return labels_from_csv(data / "labels.csv", images=data / "train", suffix=".jpg", test=data / "test")',
         '    t = labels_from_csv(data / "labels.csv", images=data / "train", suffix=".jpg", test=data / "test")\n'
         '    return t.assign(id=t["id"] + ".jpg")'),
        "submission",
        "the test images' ids differ from those of the sample submission",
        "compare suffixes and leading zeros",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_each_mistake_is_found_with_its_place_and_its_fix(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("kagglekit.authoring.check._check_training", lambda *arguments: None)  # has tests of its own
    change, check, what, fix = WRONG[name]
    found = problems(examine(plugin(tmp_path, *change), data))
    assert {finding.check for finding in found} == {check}
    assert what in found[0].what
    assert fix in found[0].fix
    if name not in ("a misspelt hook", "an unknown argument"):  # they name the place in the sentence
        hook = {"determinism": "labels", "facts": "competition"}.get(check, check)
        if hook != "submission":  # the default's
            assert found[0].at.startswith(f"{tmp_path}/leaves.py:"), found[0]
            line = int(found[0].at.rpartition(":")[2])
            assert f"kagglekit_{hook}" in "".join(
                Path(f"{tmp_path}/leaves.py").read_text().splitlines()[line - 1 : line + 1]
            )


LOSSES = {
    "a loss that fails": (
        """
        @hookimpl
        def kagglekit_loss(recipe):
            raise KeyError("gamma")
        """,
        "training",
        "plugin leaves",
    ),
    "training by chance": (
        """
        @hookimpl
        def kagglekit_loss(recipe):
            import os
            from torch.nn.functional import cross_entropy
            return lambda logits, targets: cross_entropy(logits, targets) * (1 + os.urandom(1)[0] / 255)
        @hookimpl
        def kagglekit_optimizer(model):
            import torch
            return torch.optim.SGD(model.parameters(), lr=0.1)
        """,
        "determinism",
        "two trainings with one seed give different predictions",
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_mistakes_in_training_are_found_by_two_steps(data: Path, tmp_path: Path, name: str) -> None:
    more, check, what = LOSSES[name]
    (found,) = problems(examine(plugin(tmp_path, more=more), data))
    assert found.check == check
    assert what in found.what


def test_without_data_labels_and_submission_are_not_checked_but_the_training_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    findings = examine(plugin(tmp_path))
    assert {finding.check for finding in findings if finding.status == "not checked"} == {"labels", "submission"}
    assert "generated images with generated labels" in " ".join(finding.what for finding in findings)
    assert problems(findings) == []


def test_the_usual_data_folder_is_found(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leaves").symlink_to(data)
    monkeypatch.setenv("KAGGLEKIT_DATA", str(tmp_path))
    monkeypatch.setattr("kagglekit.authoring.check._check_training", lambda *arguments: None)
    assert ("labels", "ok") in [(finding.check, finding.status) for finding in examine(plugin(tmp_path))]


def test_a_known_test_labels_that_is_wrong_is_noted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kagglekit.authoring.check._check_training", lambda *arguments: None)
    findings = examine(plugin(tmp_path, 'licence="CC0"', 'licence="CC0", known_test_labels=True'), data)
    assert "known_test_labels is set, but no test image has a label" in " ".join(f.what for f in findings)


@pytest.mark.parametrize(("metric", "noted"), [("quadratic_kappa", True), ("accuracy", False)])
def test_classes_that_are_grades_could_be_learnt_as_numbers(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str, noted: bool
) -> None:
    monkeypatch.setattr("kagglekit.authoring.check._check_training", lambda *arguments: None)
    breeds = {"affenpinscher": "0", "beagle": "1", "black-and-tan_coonhound": "2"}
    file = Path(plugin(tmp_path, 'metric="log_loss"', f'metric="{metric}"'))
    file.write_text(file.read_text().replace('test=data / "test")', f'test=data / "test").replace({breeds})'))
    notes = [finding.what for finding in examine(str(file), data) if finding.status == "note"]
    assert ("classes are the grades 0 to 2: task='ordinal' learns them as a number" in notes) == noted


def test_check_competition_fails_with_what_where_and_how(data: Path, tmp_path: Path) -> None:
    file = plugin(tmp_path, 'metric="log_loss"', 'metric="logloss"')
    with pytest.raises(AssertionError) as caught:
        check_competition(file, data=data)
    text = str(caught.value)
    assert "problem      facts        unknown metric 'logloss'" in text
    assert f"at: {file}:" in text
    assert "fix: " in text


def test_the_command_prints_findings_and_exits_with_1_if_there_is_a_problem(data: Path, tmp_path: Path) -> None:
    plugin(tmp_path, "def kagglekit_labels", "def kagglekit_label")
    done = kagglekit("check", "./leaves.py", "--data", data, cwd=tmp_path)
    assert done.returncode == 1
    assert "problem      hooks" in done.stdout
    assert done.stdout.endswith("1 problem\n")
    assert "Traceback" not in done.stderr
    as_json = CliRunner().invoke(cli, ["check", str(tmp_path / "leaves.py"), "--data", str(data), "--json"])
    assert as_json.exit_code == 1
    (found,) = json.loads(as_json.stdout)
    assert (found["check"], found["status"]) == ("hooks", "problem")


def test_a_plugin_that_does_not_exist_and_data_that_do_not_are_problems(data: Path, tmp_path: Path) -> None:
    (found,) = problems(examine(str(tmp_path / "nothing.py")))
    assert "nothing.py does not exist" in found.what
    (found,) = problems(examine(plugin(tmp_path), tmp_path / "nowhere"))
    assert "nowhere does not exist" in found.what


@pytest.mark.parametrize(
    "write",
    [
        target_layouts.columns_of_flags,
        target_layouts.labels_in_a_cell,
        target_layouts.a_row_a_target_in_the_id,
        target_layouts.a_row_a_number,
        target_layouts.one_number,
        target_layouts.breasts,
    ],
    ids=lambda write: write.__name__,
)
def test_a_new_plugin_of_any_target_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], object]
) -> None:
    _, _, text = begun(tmp_path, write)
    file = tmp_path / "leaves.py"
    file.write_text(text.replace("mobilenetv4_conv_medium.e500_r224_in1k", "test_efficientnet.r160_in1k"))
    monkeypatch.setattr("kagglekit.authoring.check._check_recipes", lambda *arguments: True)  # of larger networks
    monkeypatch.setattr("kagglekit.authoring.check.SMALL", (*SMALL, "stage.1.solver=regression"))
    findings = examine(str(file), tmp_path / "data")
    assert [finding for finding in findings if finding.status == "problem"] == []
    passed = {finding.check for finding in findings if finding.status == "ok"}
    assert passed >= {"labels", "submission", "evidence", "training", "determinism"}
