"""What kagglekit writes into a data folder does not become part of the data."""

from __future__ import annotations

from pathlib import Path

import layouts
import pytest
from click.testing import CliRunner
from tiny_runs import TINY_COMMAND

from kagglekit import labels_from_folders
from kagglekit.cli import cli
from kagglekit.data.listing import images_below
from kagglekit.data.unused import describe_unused
from kagglekit.hooks import trust

CLASSES = ("birch", "lime", "pictures", "submissions")  # two are called as folders that kagglekit writes


@pytest.fixture
def data(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of class folders, which is the working folder."""
    for kind, name in enumerate(CLASSES):
        for number in range(6):
            layouts.write_picture(tmp_path / name / f"{number}.png", kind, f"{name} {number}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(*arguments: str) -> str:
    trust._loaded.clear()  # as in a process of its own
    done = CliRunner().invoke(cli, [*arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_plots_runs_and_tables_in_the_data_folder_are_no_data(data: Path) -> None:
    before = images_below(data)
    ask("look", ".")
    ask("run", ".", *TINY_COMMAND)
    [run] = [file.parent for file in data.glob("submissions/*/*/run.json")]
    (run / "pictures").mkdir(exist_ok=True)
    layouts.write_picture(run / "pictures" / "seen.png", 0, "seen")
    assert [*data.glob("pictures/*/*.png")]
    ask("predict", str(run), "birch", "--csv", "new.csv")
    assert images_below(data) == before
    again = ask("run", ".", "--dry-run", *TINY_COMMAND)
    assert "24 labelled images of 4 classes (birch, lime, pictures, submissions), from the folders" in again
    assert "0 test; 4 classes (birch, lime, pictures, submissions)" in again
    assert "new.csv" not in again


def test_folders_with_nothing_but_output_are_not_reported_as_unused(data: Path) -> None:
    ask("look", ".", "--pictures", "plots")
    (data / "empty").mkdir()
    said = [*describe_unused(labels_from_folders(data), data)]
    assert said == ["folders without an image that is used: empty (empty)"]


def test_a_cache_in_the_data_folder_is_no_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layouts.write_picture(data / "kept" / "unpacked" / "1.png", 0, "kept")
    assert len(images_below(data)) == 25
    monkeypatch.setenv("KAGGLEKIT_CACHE", "kept")
    assert len(images_below(data)) == 24
