"""Labels in file names, and the four real layouts: detected like in our own plugins."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import layouts
import pandas as pd
import pytest
from odd_layouts import begun

from kagglekit.authoring.detect.data_folder import detect_layout, names_with_labels
from kagglekit.authoring.detect.file_names import PATTERNS
from kagglekit.data.table import check_table
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.system.errors import UserError


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        ("Abyssinian_{i}.jpg great_pyrenees_{i}.jpg", "Abyssinian great_pyrenees"),
        ("cat.{i}.jpg dog.{i}.jpg", "cat dog"),
        ("birch-00{i}.png lime-{i}.png", "birch lime"),
        ("birch({i}).png lime({i}).png", "birch lime"),
        ("birch{i}.png lime{i}.png", "birch lime"),
        ("00{i}_birch.png {i}_horse-chestnut.png", "birch horse-chestnut"),
        ("birch_{i}fe_a.png lime_0{i}.png", "birch lime"),
        ("birch-{i}fe.png lime-f{i}.png", "birch lime"),
        ("{i}fe_birch.png a_{i}_lime.png", "birch lime"),
        ("{i}fe-birch.png {i}-lime.png", "birch lime"),
        ("IMG_{i}.jpg", ""),
        ("{i}.jpg", ""),
        ("3_{i}.jpg 4_{i}.jpg", ""),
        ("train_{i}.jpg test_{i}.jpg", ""),
        ("a{i}_1.jpg a{i}_2.jpg", ""),
        ("birch_{i}.jpg x{i}y.jpg", ""),
    ],
)
def test_labels_are_found_in_names_that_all_fit_and_have_few_classes(names: str, classes: str) -> None:
    files = {"images": [name.format(i=i) for i in range(8) for name in names.split()]}
    found = names_with_labels(files)
    assert " ".join(found.classes if found else ()) == classes


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern[0])
def test_each_patterns_example_fits_it(pattern: tuple[str, str]) -> None:
    expression, example = pattern
    found = re.search(expression, example.format(name="horse chestnut", i=12) + ".png")
    assert found
    assert found[1] == "horse chestnut"


def test_dog_breeds_table_is_that_of_our_own_plugin(tmp_path: Path) -> None:
    ours, theirs = both_tables("dog-breed", layouts.write_dog_breed, tmp_path)
    pd.testing.assert_frame_equal(ours, theirs)


def test_dogs_vs_cats_table_is_that_of_our_own_plugin(tmp_path: Path) -> None:
    ours, theirs = both_tables("dogs-vs-cats", layouts.write_dogs_vs_cats, tmp_path)
    pd.testing.assert_frame_equal(ours, theirs)


def test_pets_labels_are_those_of_our_own_plugin_and_the_lists_are_pointed_to(tmp_path: Path) -> None:
    ours, theirs = both_tables("pets", layouts.write_pets, tmp_path)
    labels = [table.set_index("path")["label"].sort_index() for table in (ours, theirs)]
    pd.testing.assert_series_equal(*labels)
    said = " ".join(detect_layout(tmp_path / "data").notes)
    assert "annotations/test.txt, annotations/trainval.txt may list the train and test images" in said
    assert "labels_from_list reads such files" in said


def both_tables(competition: str, write: Callable[[Path], object], folder: Path) -> list[pd.DataFrame]:
    """Return the image table of our own plugin, and that of one written from a look at the same data."""
    hooks = begun(folder, write)[1]
    return [check_table(each.labels(folder / "data"), folder / "data")[0] for each in (Hooks(load(competition)), hooks)]


def test_labels_in_matlab_files_are_refused_with_the_function_that_reads_them(tmp_path: Path) -> None:
    layouts.write_flowers_102(tmp_path)
    with pytest.raises(UserError, match=r"kagglekit's labels_from_mat reads imagelabels.mat, setid.mat"):
        detect_layout(tmp_path)
