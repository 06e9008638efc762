"""`kagglekit check` compares a plugin's table with the files of the data folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import traps
from odd_layouts import begun, pictures, sample
from traps import TRAPS, Truth

from kagglekit import Competition, SingleLabel
from kagglekit.authoring.evidence import Evidence, evidence
from kagglekit.data.sample import sample_for
from kagglekit.data.table import read_table


def found(folder: Path, write: Callable[[Path], object], own_form: bool = False) -> tuple[pd.DataFrame, list[Evidence]]:
    """Return the table of a plugin that was written for the data, and the evidence for it."""
    hooks = begun(folder, write)[1]
    table = read_table(hooks, hooks.competition(), folder / "data")[0]
    return table, compared(folder, table, own_form)


def compared(folder: Path, table: pd.DataFrame, own_form: bool = False) -> list[Evidence]:
    task = SingleLabel.fit(table["label"].dropna().tolist(), Competition(title=""))
    sample = sample_for(table, folder / "data", task.columns)
    return list(evidence(table, folder / "data", sample, task, own_form))


@pytest.mark.parametrize("write", TRAPS, ids=lambda write: write.__name__)
def test_a_recognised_layout_explains_all_rows_and_labels(tmp_path: Path, write: Callable[[Path], Truth]) -> None:
    _, facts = found(tmp_path, write)
    assert [fact for fact in facts if fact.status == "problem"] == []
    rows = [fact for fact in facts if "rows of" in fact.what]
    assert rows
    if write is not traps.boxes:  # whose table of boxes holds no labels
        assert {fact.status for fact in rows} == {"ok"}


def test_rows_labels_and_images_are_counted(tmp_path: Path) -> None:
    said = [fact.what for fact in found(tmp_path, traps.unscored)[1]]
    assert "4 of 4 rows of sample_submission.csv are test images" in said
    assert "12 of 12 rows of train.csv name labelled images; their labels are in label" in said
    assert "16 of 19 images are used; not used: 3 .jpg in test" in said


def test_unused_images_are_counted_by_folder_and_suffix(tmp_path: Path) -> None:
    def write(data: Path) -> None:
        traps.mapping(data)
        pictures(data, ["masks/1.png", "masks/2.png", "extra/a/3.jpg"])

    said = [fact for fact in found(tmp_path, write)[1] if "not used" in fact.what]
    assert [fact.status for fact in said] == ["note"]
    assert "16 of 19 images are used; not used: 2 .png in masks, 1 .jpg in extra/a" in said[0].what


@pytest.mark.parametrize(("own_form", "status"), [(False, "problem"), (True, "note")])
def test_labels_of_another_column_than_the_sample_asks_for_are_a_problem(
    tmp_path: Path, own_form: bool, status: str
) -> None:
    table, _ = found(tmp_path, traps.chains)
    folders = table["path"].map(lambda path: Path(path).parent.name)
    places = table.assign(label=folders.where(table["split"] != "test", None))
    (fact,) = [each for each in compared(tmp_path, places, own_form) if "train.csv" in each.what]
    assert fact.status == status
    assert "the labels are not those in hotel_id, which the sample asks for" in fact.what


def test_labels_that_no_column_holds_are_said(tmp_path: Path) -> None:
    table, _ = found(tmp_path, traps.flags_beside_the_label)
    others = [str(i // 4) for i in range(12)]
    odd = table.assign(label=[*others, *([None] * 4)])
    said = [fact for fact in compared(tmp_path, odd, True) if "train.csv" in fact.what]
    assert [fact.status for fact in said] == ["note"]


def test_folders_in_folders_are_classes_by_the_level_that_is_asked_for(tmp_path: Path) -> None:
    layout = begun(tmp_path, traps.two_levels)[0]
    assert any("2 classes (Birds, Plants) in the folders in train_val" in note for note in layout.notes)


def test_images_of_several_files_count_once(tmp_path: Path) -> None:
    def write(data: Path) -> None:
        colours, names = ("red", "green"), [f"p{i}" for i in range(8)]
        pictures(data, [f"train/{name}_{colour}.png" for name in names for colour in colours])
        pictures(data, [f"test/{name}_{colour}.png" for name in traps.TESTS for colour in colours])
        traps.table(data, "train.csv", ("Id", "kind"), [(name, traps.leaf(i)) for i, name in enumerate(names)])
        sample(data, traps.TESTS, ("Id", "kind"), "Fagus")

    facts = found(tmp_path, write)[1]
    assert [fact.what for fact in facts] == [
        "4 of 4 rows of sample_submission.csv are test images",
        "8 of 8 rows of train.csv name labelled images; their labels are in kind",
        "all 12 images of the data folder are used",
    ]
