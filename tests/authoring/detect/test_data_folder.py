"""Data folders that kagglekit has never seen: the detected layout gives a correct image table and CSV."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import layouts
import numpy as np
import pytest
from odd_layouts import (
    LAYOUTS,
    LEAVES,
    begun,
    blank_sample,
    class_folders,
    images_without_a_row,
    labelled_test,
    names_as_paths,
    odd_columns,
    one_spelling,
    paths_in_the_table,
    pictures,
    placeholder,
    two_classes,
)
from samples import sample_rows

from kagglekit.authoring.as_recognised import check_as_recognised
from kagglekit.authoring.detect.data_folder import detect_layout
from kagglekit.authoring.plugin_facts import Facts
from kagglekit.authoring.scaffold import USUAL, plugin_text
from kagglekit.data.submission import check_submission
from kagglekit.data.table import read_table
from kagglekit.system.errors import UserError
from kagglekit.types.predictions import make_predictions


@pytest.mark.parametrize("write", LAYOUTS, ids=lambda write: write.__name__)
def test_a_detected_layout_gives_a_table_and_a_csv_like_the_sample(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    splits, columns = LAYOUTS[write]
    layout, hooks, _ = begun(tmp_path, write)
    data, facts = tmp_path / "data", hooks.competition()
    check_as_recognised(tmp_path / "leaves.py", data, layout)
    table, task, _ = read_table(hooks, facts, data)
    assert table["split"].value_counts().to_dict() == splits
    assert len(task.columns) == (2 if write in (two_classes, blank_sample) else 3)
    assert hooks.recipe("quick").stages
    tests = table[table["split"] == "test"]
    assert facts.known_test_labels == bool(tests["label"].notna().any())
    if columns is None:
        return
    classes, given = task.columns, sample_rows(data)
    drawn = np.random.default_rng(0).dirichlet(np.ones(len(classes)), len(tests))
    predictions = make_predictions(tests["id"], classes, drawn)
    rows = hooks.submission(facts, predictions, given, task)
    check_submission(rows, given, predictions, facts, task)
    assert list(rows.columns) == columns
    if layout.sample and layout.sample.form == "class names":
        assert rows.iloc[:, 1].tolist() == predictions.idxmax(axis=1).tolist()


def test_the_plugin_says_what_was_detected_and_is_formatted(tmp_path: Path) -> None:
    for write, (splits, _) in LAYOUTS.items():
        folder = tmp_path / write.__name__
        folder.mkdir()
        text = begun(folder, write)[2]
        assert f"Detected: {splits['train']} labelled images" in text
        assert "CHECK" in text
    (tmp_path / "guessed.py").write_text(plugin_text(Facts("guessed"), USUAL))
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--check", "--line-length", "120", str(tmp_path)]
    formatted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert formatted.returncode == 0, formatted.stdout


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (placeholder, "values such as '?', which do not match the classes"),
        (names_as_paths, "values such as 'Fagus Fagus', which do not match the classes"),  # some have blanks themselves
        (labelled_test, "no sample_submission.csv: the form of the submission is guessed"),
        (paths_in_the_table, "no test images found"),
        (blank_sample, "are the labels in 'type' (a, b), or in 'what' (Acer rubrum, Betula pendula, Fagus)?"),
        (odd_columns, "12 labelled images have 5 values of 'site', whose name suggests groups"),
        (blank_sample, "leaves 'Category' empty: class names are written there"),
        (one_spelling, "spells 'Acer rubrum' as 'acer_rubrum': how does it spell the other classes?"),
        (images_without_a_row, "images in train without a row in train.csv are left out: 12.jpg, 13.jpg, 14.jpg"),
    ],
)
def test_what_is_doubtful_is_said(tmp_path: Path, write: Callable[[Path], None], said: str) -> None:
    layout, _, text = begun(tmp_path, write)
    assert any(said in note for note in layout.notes), layout.notes
    assert said in text.replace("\n# ", " ")


def test_images_that_are_not_used_are_counted(tmp_path: Path) -> None:
    two_classes(tmp_path)
    pictures(tmp_path, ["extra/1.jpg", "extra/2.jpg", "masks/deep/1.png"])
    assert "3 images are in unused folders: extra, masks/deep" in detect_layout(tmp_path).notes


def test_two_classes_name_the_one_whose_probability_is_asked_for(tmp_path: Path) -> None:
    assert begun(tmp_path, two_classes)[1].competition().positive == "ill"


def test_missing_images_and_uneven_classes_are_noted(tmp_path: Path) -> None:
    pictures(tmp_path, [f"train/{i}.jpg" for i in range(30)])
    rows = [(str(i), "rare" if i == 0 else "frequent") for i in range(32)]
    layouts.write_csv(tmp_path / "labels.csv", [("id", "label"), *rows])
    notes = " ".join(detect_layout(tmp_path).notes)
    assert "about 2 of the 32 images in labels.csv are not in train" in notes
    assert "classes with a single image cannot be validated: rare" in notes
    assert "classes have 1 to 29 images: oversample=1.0" in notes


def no_labels(data: Path) -> None:
    pictures(data, [f"images/{i}.jpg" for i in range(4)])


def zipped(data: Path) -> None:
    data.mkdir()
    (data / "train.zip").write_bytes(b"")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (no_labels, "no labels detected"),
        (zipped, "unzip train.zip first"),
        (lambda data: None, "does not exist"),
    ],
    ids=["no labels", "zipped", "missing"],
)
def test_what_is_not_supported_is_refused_with_the_reason(
    tmp_path: Path, write: Callable[[Path], None], said: str
) -> None:
    write(tmp_path / "data")
    with pytest.raises(UserError) as caught:
        detect_layout(tmp_path / "data")
    assert said in str(caught.value)


def test_a_csv_file_that_is_not_about_the_images_does_not_hide_the_class_folders(tmp_path: Path) -> None:
    class_folders(tmp_path / "train")
    layouts.write_csv(tmp_path / "weather.csv", [("day", "rain"), ("1", "yes"), ("2", "no"), ("3", "no")])
    (tmp_path / "broken.csv").write_bytes(b"\xff\xfe\x00")
    assert detect_layout(tmp_path).labels.classes == LEAVES


def test_labels_made_of_other_labels_are_asked_about(tmp_path: Path) -> None:
    pictures(tmp_path, [f"train/{i}.jpg" for i in range(12)])
    rows = [(str(i), ("rust", "scab", "rust scab")[i % 3]) for i in range(12)]
    layouts.write_csv(tmp_path / "labels.csv", [("id", "label"), *rows])
    layout = detect_layout(tmp_path)
    assert layout.labels.classes == ("rust", "scab")
    assert "is 'rust scab' in 'label' one class? It is taken for 2 labels" in " ".join(layout.notes)
