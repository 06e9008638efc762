from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kagglekit.authoring.detect.channels import join_channels
from kagglekit.authoring.detect.data_folder import detect_layout
from kagglekit.authoring.plugin_facts import Facts
from kagglekit.authoring.scaffold import plugin_text
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load

STAINS = ("blue", "green", "red", "yellow")


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Return a folder of images of four files each, which a CSV and a sample submission name."""
    rng = np.random.default_rng(0)
    for number in range(12):
        for stain in STAINS:
            file = tmp_path / ("train" if number < 8 else "test") / f"cell-{number}_{stain}.png"
            file.parent.mkdir(exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(file)
    rows = "".join(f"cell-{number},{('flat', 'round')[number % 2]}\n" for number in range(8))
    (tmp_path / "train.csv").write_text(f"Id,Target\n{rows}")
    asked = "".join(f"cell-{number},flat\n" for number in range(8, 12))
    (tmp_path / "sample_submission.csv").write_text(f"Id,Predicted\n{asked}")
    return tmp_path


def test_images_of_a_file_for_each_channel_are_recognised(cells: Path, tmp_path: Path) -> None:
    text = plugin_text(Facts("cells"), detect_layout(cells))
    assert 'suffix="_{red,green,blue,yellow}.png"' in text
    (tmp_path / "cells.py").write_text(text)
    table = Hooks(load(str(tmp_path / "cells.py"))).labels(cells)
    assert sorted(table["id"]) == sorted(f"cell-{number}" for number in range(12))
    assert table["label"].dropna().tolist() == ["flat", "round"] * 4
    assert table["path"].iloc[0] == str(cells / "train" / "cell-0_{red,green,blue,yellow}.png")


def test_files_that_a_table_names_one_by_one_are_images_of_their_own(cells: Path) -> None:
    rows = [f"cell-{n}_{stain},{('flat', 'round')[n % 2]}\n" for n in range(8) for stain in STAINS]
    (cells / "train.csv").write_text(f"Id,Target\n{''.join(rows)}")
    asked = [f"cell-{n}_{stain},flat\n" for n in range(8, 12) for stain in STAINS]
    (cells / "sample_submission.csv").write_text(f"Id,Predicted\n{''.join(asked)}")
    assert sum(detect_layout(cells).labels.counts.values()) == 32


@pytest.mark.parametrize(
    "names",
    [
        ["1_red.png", "1_green.png", "2_red.png"],  # a channel is missing
        ["1_red.png", "1_green.png", "2_red.png", "2_green.png", "readme.png"],
        ["1_red.png", "1_green.jpg", "2_red.png", "2_green.jpg"],
        ["1_red.png", "2_red.png"],  # one channel
        ["1_red.png", "1_green.png"],  # one image
    ],
)
def test_other_names_are_no_channels(names: list[str]) -> None:
    assert join_channels({"train": names}) is None
