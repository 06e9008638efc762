"""Folders in the ways of real competitions: every label and every row of the sample submission is explained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import traps
from odd_layouts import begun
from traps import GROUPS, TRAPS, Truth

from kagglekit.data.sample import sample_for
from kagglekit.data.submission import check_submission
from kagglekit.data.table import read_table
from kagglekit.types.predictions import make_predictions


@pytest.mark.parametrize("write", TRAPS, ids=lambda write: write.__name__)
def test_labels_and_test_images_are_the_right_ones(tmp_path: Path, write: Callable[[Path], Truth]) -> None:
    truth: Truth = {}
    _, hooks, text = begun(tmp_path, lambda data: truth.update(write(data)))
    data = tmp_path / "data"
    facts = hooks.competition()
    table, task, _ = read_table(hooks, facts, data)
    known = table[table["split"] != "test"]
    paths = [Path(path).relative_to(data).as_posix() for path in known["path"]]
    assert dict(zip(paths, known["label"], strict=True)) == truth
    classes, tests = task.columns, table[table["split"] == "test"]
    found = sample_for(table, data, classes)
    assert found is not None
    assert set(tests["id"]) == set(found.rows.iloc[:, 0])
    drawn = np.random.default_rng(0).dirichlet(np.ones(len(classes)), len(tests))
    predictions = make_predictions(tests["id"], classes, drawn)
    check_submission(hooks.submission(facts, predictions, found.rows, task), found.rows, predictions, facts, task)
    assert ("group" in table) == (write in GROUPS)
    assert write not in GROUPS or f'"{GROUPS[write]}"' in text


@pytest.mark.parametrize(
    "write",
    [
        traps.a_split_column,
        traps.a_split_column_without_tests,
        traps.train_and_valid_tables,
        traps.numbers_for_ids,
        traps.a_valid_folder,
    ],
    ids=lambda write: write.__name__,
)
def test_valid_images_that_are_given_are_used(tmp_path: Path, write: Callable[[Path], Truth]) -> None:
    hooks = begun(tmp_path, write)[1]
    assert hooks.labels(tmp_path / "data")["split"].value_counts().to_dict() == {"train": 9, "valid": 3, "test": 4}


def test_both_eyes_of_a_person_are_one_group(tmp_path: Path) -> None:
    layout, hooks, text = begun(tmp_path, traps.eyes)
    table = hooks.labels(tmp_path / "data")
    assert table.loc[table["split"] == "train", "group"].tolist() == [str(i // 2) for i in range(12)]
    assert "12 ids end in left or right: 6 pairs" in text.replace("\n# ", " ")
    assert any("images of one pair stay together" in note for note in layout.notes)


def test_labelled_images_that_are_cut_off_are_named_and_left_out(tmp_path: Path) -> None:
    def write(data: Path) -> None:
        traps.coco(data)
        for name in ("train/a3.jpg", "test/t0.jpg"):
            content = (data / name).read_bytes()
            (data / name).write_bytes(content[: len(content) // 2])
        whole = (data / "train" / "a4.jpg").read_bytes()
        (data / "train" / "a4.jpg").write_bytes(whole + bytes(100))  # as some cameras write them

    layout, hooks, _ = begun(tmp_path, write)
    assert "1 image is cut off and cannot be decoded, and left out: train/a3.jpg" in layout.notes
    table = read_table(hooks, hooks.competition(), tmp_path / "data")[0]
    assert table["split"].value_counts().to_dict() == {"train": 11, "test": 4}
    assert "a3" not in set(table["id"])
