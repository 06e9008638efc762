"""`kagglekit look` for several labels, numbers, grades, several targets and groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import layouts
import pandas as pd
import pytest
from click.testing import CliRunner
from plugin_site import Site

from kagglekit import Competition, MultiLabel
from kagglekit.cli import cli
from kagglekit.eda import plots
from kagglekit.eda.target_labels import Labels
from kagglekit.eda.target_of import target_of
from kagglekit.tasks.built_in import TASKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLUGIN = """
@hookimpl
def kagglekit_competition():
    return Competition(title="Made up", {facts})

@hookimpl
def kagglekit_labels(data):
    import pandas as pd
    table = pd.read_csv(data / "table.csv")
    return table.assign(path=[str(data / name) for name in table["path"]])
"""

COLUMNS: dict[str, list[Any]] = {
    "rust": [1, 1, 1, 0, 0, 0, None, 0],
    "scab": [1, 1, 0, 1, 0, 0, 1, 0],
    "size": [2, 4, 6, 8, 10, 12, 14, 16],
    "weight": [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, None, 8.5],
    "grade": [0, 0, 0, 1, 3, 3, 3, 3],
    "shape": ["star", "disc", "disc", "disc", "star", "star", "disc", "disc"],
}
GROUPS = ["farm-1", "farm-1", "farm-1", "farm-2", "farm-2", "farm-3", "farm-3", "farm-3"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Axes]]:
    """Remember the axes of each plot that is saved."""
    real, found = plots.save_figure, {}

    def save(figure: Figure, file: Path) -> None:
        found[file.name] = figure.axes
        real(figure, file)

    monkeypatch.setattr(plots, "save_figure", save)
    return found


def look(folder: Path, facts: str, *columns: str, **more: Any) -> str:
    """Return what `kagglekit look` prints about eight labelled images and two test images with these columns."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    rows = {"id": [f"i{row}" for row in range(10)], "path": [f"i{row}.jpg" for row in range(10)]}
    for row in range(10):
        layouts.write_picture(data / f"i{row}.jpg", row % 3, f"{row}")
    values = {name: [*COLUMNS[name], None, None] for name in columns}
    splits = ["train"] * 8 + ["test"] * 2
    pd.DataFrame({**rows, "split": splits, **values, **more}).to_csv(data / "table.csv", index=False)
    plugin = Site(folder).write("made_up.py", PLUGIN.replace("{facts}", facts))
    arguments = ["look", plugin, "--data", str(data), "--pictures", str(folder / "drawn"), "--preset", "quick"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def write_sample(folder: Path, ids: list[str]) -> None:
    (folder / "data").mkdir()
    layouts.write_csv(folder / "data" / "sample_submission.csv", [("id", "value"), *((each, "0") for each in ids)])


def test_labels_are_counted_alone_and_together(tmp_path, drawn):
    facts = 'task="multi-label", targets=("rust", "scab"), metric="log_loss"'
    said = look(tmp_path, facts, "rust", "scab", "size", group=[*GROUPS, "t", "t"])
    assert "10 images of 2 labels" in said
    assert "split images labelled labels rarest label most frequent label labels an image train 8 8 2 3 4 0.88" in said
    assert "labelled images with each label, rarest first: rust 3, scab 4" in said
    assert "images by their number of labels: 0: 3, 1: 3, 2: 2" in said
    assert "unknown labels: 1 of 16" in said
    assert "occur together most often, of 8 images: rust + scab 2" in said
    assert "groups of labelled images, which splits keep whole: 3, with 2 to 3 images, median 3" in said
    assert "further columns: size" in said
    assert "with different labels" in said
    (bars,) = drawn["labels.png"]
    assert [bar.get_width() for bar in bars.patches] == [4, 3]
    texts = {
        (int(t.get_position()[0]), int(t.get_position()[1])): t.get_text()
        for t in drawn["labels-together.png"][0].texts
    }
    assert texts == {(0, 0): "3", (1, 0): "2", (0, 1): "2", (1, 1): "4"}
    assert sum(bar.get_height() for bar in drawn["groups.png"][0].patches) == 3
    height, width = cv2.imread(str(tmp_path / "drawn" / "samples.png")).shape[:2]
    assert (height, width) == (2 * (136 + 28 + 8) + 8, 8 * 144 + 8)  # a row for each label


def test_numbers_are_summarized_and_drawn(tmp_path, drawn):
    said = look(tmp_path, 'task="regression", targets=("size", "weight"), metric="rmse"', "size", "weight")
    assert "10 images of 2 numbers" in said
    assert "size 8 2 3.4 9 14.6 16 9 4.583" in said
    assert "weight 7 1.5 2.1 4.5 7.3 8.5 4.643 2.231" in said
    assert "correlation of targets, strongest first: size and weight 1.00" in said
    assert [axes.get_xlabel() for axes in drawn["numbers.png"]] == ["size", "weight"]
    assert [sum(bar.get_height() for bar in axes.patches) for axes in drawn["numbers.png"]] == [8, 7]
    assert (tmp_path / "drawn" / "samples.png").exists()


def test_grades_are_counted_in_their_order(tmp_path, drawn):
    said = look(tmp_path, 'task="ordinal", targets=("grade",), metric="quadratic_kappa"', "grade")
    assert "10 images of 4 grades" in said
    assert "train 8 8 3 1 4" in said
    assert "labelled images of each grade: 0: 3, 1: 1, 2: 0, 3: 4" in said
    (bars,) = drawn["grades.png"]
    assert [bar.get_width() for bar in bars.patches] == [3, 1, 0, 4]


def test_several_targets_are_each_shown_as_their_kind(tmp_path, drawn):
    kinds = '{"shape": "single-label", "size": "regression", "rust": "multi-label"}'
    facts = f'task="several", targets=("shape", "size", "rust"), kinds={kinds}, metric="blocks_loss"'
    said = look(tmp_path, facts, "shape", "size", "rust")
    assert "shape: labelled images of each class, rarest first: star 3, disc 5" in said
    assert "size 8 2 3.4 9 14.6 16 9 4.583" in said
    assert "rust: labelled images with each label, rarest first: rust 3" in said
    assert sorted(name for name in drawn if name[0] in "123") == ["1-classes.png", "2-numbers.png", "3-labels.png"]


def test_a_sample_with_a_row_for_each_image_and_target_is_no_mismatch(tmp_path):
    rows = ["i8_size", "i8_weight", "i9_size", "i9_weight"]
    write_sample(tmp_path, rows)
    facts = 'task="regression", targets=("size", "weight"), metric="rmse"'
    said = look(tmp_path, facts, "size", "weight")
    assert "sample submission: sample_submission.csv, 4 rows" in said
    assert "without a test image" not in said
    assert "missing from" not in said


def test_a_row_for_each_target_of_an_image_that_is_not_there_is_a_mismatch(tmp_path):
    write_sample(tmp_path, ["i8_size", "i8_weight", "i7777_size", "i7777_weight"])
    said = look(tmp_path, 'task="regression", targets=("size", "weight"), metric="rmse"', "size", "weight")
    assert "ids in sample_submission.csv without a test image: i7777 " in f"{said} "
    assert "test images missing from sample_submission.csv: i9 " in f"{said} "


@pytest.mark.parametrize(("ids", "doubt"), [(["eye-4"], ""), (["eye-5"], "rows of test images missing")])
def test_a_samples_rows_are_those_that_several_images_share(tmp_path, ids, doubt):
    write_sample(tmp_path, ids)
    rows = [f"eye-{row // 2}" for row in range(10)]
    facts = 'task="ordinal", targets=("grade",), metric="quadratic_kappa", rows="mean"'
    said = look(tmp_path, facts, grade=[0, 0, 1, 1, 2, 2, 3, 3, None, None], row=rows)
    assert ("without a test image" in said) == bool(doubt)
    assert ("missing from" in said) == bool(doubt)
    assert doubt in said


def test_images_are_named_by_what_they_have():
    table = pd.DataFrame({"split": ["train"], "label": ['{"rust": 1}']})
    assert target_of(MultiLabel(("rust", "scab")), table).text('{"rust": 1, "scab": null}') == "rust"
    assert target_of(MultiLabel(("rust", "scab")), table).text("{}") == "no label"
    numbers = TASKS["regression"].fit(['{"a": 1}', '{"b": 2}'], Competition(title="n", targets=("a", "b")))
    assert target_of(numbers, table).text('{"a": 1.25, "b": null}') == "1.25, ?"


def test_a_plugins_own_task_is_shown_as_the_kind_that_it_extends():
    class Own(MultiLabel):
        kind = "own"

    table = pd.DataFrame({"split": ["train"], "label": ['{"rust": 1}']})
    assert type(target_of(Own(("rust",)), table)) is Labels
