"""Folders that no reading explains end in an error that says what is there, not in a plugin that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import layouts
import pytest
from odd_layouts import LEAVES, pictures, sample

from kagglekit.authoring.detect.data_folder import detect_layout
from kagglekit.authoring.detect.unexplained import Unexplained

TESTS = [f"t{i}" for i in range(4)]


def pixels(data: Path) -> None:
    """A row a pixel: the folders of noisy and clean images are not classes."""
    pictures(data, [f"{folder}/{i}.png" for folder in ("train", "train_cleaned") for i in range(6)])
    pictures(data, [f"test/{name}.png" for name in TESTS])
    sample(data, [f"{name}_{y}_1" for name in TESTS for y in range(3)], ("id", "value"), "1")


def folders_of_places(data: Path) -> None:
    """The sample names classes that no folder and no file names."""
    pictures(data, [f"train/place{i % 2}/{i}.jpg" for i in range(12)] + [f"test/{name}.jpg" for name in TESTS])
    sample(data, TESTS, ("id", *LEAVES), "0.3", "0.3", "0.4")


def folders_of_images(data: Path) -> None:
    """The folders of train and test images under other names."""
    pictures(data, [f"first/{i}.jpg" for i in range(8)] + [f"second/{i}.jpg" for i in range(8, 12)])
    (data / "labels.csv").write_text("id;label\n1;a\n")
    sample(data, [str(i) for i in range(8, 12)], ("id", "label"), "Fagus")


def sources_of_boxes(data: Path) -> None:
    """Several boxes an image; the only column with few values is where the images come from."""
    pictures(data, [f"train/{i}.jpg" for i in range(8)] + [f"test/{name}.jpg" for name in TESTS])
    rows = [(str(i), f"[{k}, {i}, 5, 5]", "abc"[i % 3]) for i in range(8) for k in range(2)]
    (data / "train.csv").write_text("id,bbox,source\n" + "".join(f'{i},"{box}",{where}\n' for i, box, where in rows))
    sample(data, TESTS, ("id", "PredictionString"), "1.0 0 0 50 50")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (sources_of_boxes, "no labels detected"),
        (pixels, "each begins with an image's name (t0): several rows for one image"),
        (folders_of_places, "no labels detected"),
        (
            folders_of_images,
            "labels.csv is not used: it has a single column, 'id;label'; it looks separated by",
        ),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_nothing_explains_is_an_error_with_the_facts(
    tmp_path: Path, write: Callable[[Path], None], said: str
) -> None:
    write(tmp_path)
    with pytest.raises(Unexplained) as caught:
        detect_layout(tmp_path)
    assert said in str(caught.value)
    assert "the folder contains: " in str(caught.value)


def test_two_readings_are_both_said(tmp_path: Path) -> None:
    """Folders and a table that agree with the sample equally well: the table is taken."""
    pictures(tmp_path, [f"train/{LEAVES[i % 3]}/{i}.jpg" for i in range(12)] + [f"test/{name}.jpg" for name in TESTS])
    layouts.write_csv(tmp_path / "train.csv", [("id", "variety"), *((f"{i}.jpg", "ab"[i % 2]) for i in range(12))])
    sample(tmp_path, [f"{name}.jpg" for name in TESTS], ("id", "label"), "")
    layout = detect_layout(tmp_path)
    assert layout.labels.classes == ("a", "b")
    said = "another reading, not used: 3 classes (Acer rubrum, Betula pendula, Fagus) in the folders in train"
    assert any(said in note for note in layout.notes)


def test_folders_that_the_sample_names_come_before_a_table_that_it_contradicts(tmp_path: Path) -> None:
    pictures(tmp_path, [f"train/{LEAVES[i % 3]}/{i}.jpg" for i in range(12)] + [f"test/{name}.jpg" for name in TESTS])
    layouts.write_csv(tmp_path / "train.csv", [("id", "variety"), *((f"{i}.jpg", "ab"[i % 2]) for i in range(12))])
    sample(tmp_path, [f"{name}.jpg" for name in TESTS], ("id", "label"), "Fagus")
    layout = detect_layout(tmp_path)
    assert layout.labels.classes == LEAVES
    assert any("2 classes (a, b) in train.csv (variety)" in note for note in layout.notes)


def test_a_list_of_test_images_without_a_sample_is_read(tmp_path: Path) -> None:
    pictures(tmp_path, [f"images/{i}.jpg" for i in range(12)] + [f"images/{name}.jpg" for name in TESTS])
    layouts.write_csv(tmp_path / "train.csv", [("id", "label"), *((str(i), LEAVES[i % 3]) for i in range(12))])
    layouts.write_csv(tmp_path / "test.csv", [("id", "site"), *((name, "ab"[i % 2]) for i, name in enumerate(TESTS))])
    layout = detect_layout(tmp_path)
    assert layout.labels.classes == LEAVES
    assert layout.test is not None
    assert (layout.test.folder, layout.test.shared) == ("images", True)
