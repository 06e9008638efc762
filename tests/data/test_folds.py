from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from layouts import write_picture
from plugin_site import Site

from kagglekit.data.folds import assign_folds
from kagglekit.data.groups import group_duplicates
from kagglekit.data.splits import split_valid
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load, load_shared
from kagglekit.system.errors import UserError
from kagglekit.types.image_table import fold_table

OURS = Hooks(load_shared())
INVERTED = """
import numpy as np

@hookimpl
def kagglekit_read_image(path, size):
    return 255 - np.load(path) if path.suffix == ".npy" else None
"""


def image_table(counts: dict[str, int], test: int = 3, groups: dict[str, str] | None = None) -> pd.DataFrame:
    """A table with some images of each class; `groups` by id."""
    rows = [(f"{label}{k}", label, "train") for label, n in counts.items() for k in range(n)]
    rows += [(f"test{k}", None, "test") for k in range(test)]
    table = pd.DataFrame(rows, columns=["id", "label", "split"], dtype=object)
    table["path"] = table["id"] + ".jpg"
    return table if groups is None else table.assign(group=table["id"].map(groups).astype(object))


def test_folds_are_stratified_and_hold_every_labelled_image_out_once():
    table = image_table({"cat": 20, "dog": 10})
    folds = assign_folds(table, 5, seed=0)
    counts = pd.crosstab(folds, table["label"].fillna("?"))
    assert counts.loc[1:5, "cat"].tolist() == [4] * 5
    assert counts.loc[1:5, "dog"].tolist() == [2] * 5
    assert counts.loc[0].tolist() == [3, 0, 0]  # the test images, and no other
    for number in range(1, 6):
        own = fold_table(table, folds, number)
        assert (own["split"] == "valid").tolist() == (folds == number).tolist()
        assert (own["split"] == "test").sum() == 3


def test_folds_do_not_depend_on_the_order_of_rows_nor_on_an_earlier_split():
    table = image_table({"cat": 9, "dog": 8})
    mixed = split_valid(table, 0.3, 1).sample(frac=1, random_state=5)
    by_id = pd.Series(assign_folds(table, 4, 0), index=table["id"])
    again = pd.Series(assign_folds(mixed, 4, 0), index=mixed["id"])
    assert again.loc[by_id.index].equals(by_id)
    assert (assign_folds(table, 4, 1) != by_id.to_numpy()).any()


def test_images_of_one_group_are_in_one_fold():
    groups = {f"{label}{k}": f"{label} {k // 3}" for label in ("cat", "dog") for k in range(9)}
    table = image_table({"cat": 12, "dog": 12}, groups=groups)  # the last three of each class have no group
    folds = assign_folds(table, 3, 0)
    together = pd.Series(folds).groupby(table["group"]).nunique()
    assert (together == 1).all()
    assert set(folds[:24]) == {1, 2, 3}


def test_a_class_with_fewer_images_than_folds_is_never_held_out_whole():
    table = image_table({"cat": 12, "rare": 2})
    folds = assign_folds(table, 5, 0)
    assert len(set(folds[(table["label"] == "rare").to_numpy()])) == 2


@pytest.mark.parametrize(
    ("counts", "groups", "words"),
    [
        ({"cat": 9, "emu": 1}, None, "at least two images of each class; only one of: emu"),
        ({"cat": 3, "dog": 3}, None, r"no class has 4 images: at most 3 folds are possible\nuse --folds 3"),
        ({"cat": 8, "dog": 8}, {f"dog{k}": "one" for k in range(8)}, "two groups of images of each class.*of: dog"),
    ],
)
def test_too_few_images_for_folds_are_told(counts, groups, words):
    with pytest.raises(UserError, match=words):
        assign_folds(image_table(counts, groups=groups), 4, 0)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Eight pictures of two classes; two have a copy, one of them saved anew and one reduced."""
    folder = tmp_path_factory.mktemp("copies")
    rows = []
    for kind, label in enumerate(("cat", "dog")):
        for k in range(4):
            write_picture(folder / f"{label}{k}.jpg", 3 * kind + k % 2, f"{label} {k}", 90, 80)
            rows.append((f"{label}{k}", label, "train"))
    cat, dog = (cv2.imread(str(folder / name)) for name in ("cat0.jpg", "dog2.jpg"))
    cv2.imwrite(str(folder / "cat-again.jpg"), cat, [cv2.IMWRITE_JPEG_QUALITY, 60])
    cv2.imwrite(str(folder / "dog-less.jpg"), cv2.resize(dog, (72, 64), interpolation=cv2.INTER_AREA))
    rows += [("cat-again", "cat", "train"), ("dog-less", "dog", "train")]
    table = pd.DataFrame(rows, columns=["id", "label", "split"], dtype=object)
    return table.assign(path=[str(folder / f"{image}.jpg") for image in table["id"]])


def groups_in(table: pd.DataFrame) -> list[list[str]]:
    return sorted(sorted(part["id"]) for _, part in table.groupby("group"))


def test_copies_of_a_picture_become_a_group_and_others_do_not(copies):
    grouped, words = group_duplicates(copies, OURS)
    assert groups_in(grouped) == [["cat-again", "cat0"], ["dog-less", "dog2"]]
    assert words == "4 near-duplicates among 10 labelled images stay together in train or in valid"
    for seed in range(5):
        splits = split_valid(grouped, 0.3, seed).set_index("id")["split"]
        assert splits["cat0"] == splits["cat-again"]
        assert splits["dog2"] == splits["dog-less"]


def test_groups_that_were_there_grow_by_copies(copies):
    table = copies.assign(group=copies["id"].map({"cat0": "litter", "cat1": "litter"}).astype(object))
    assert groups_in(group_duplicates(table, OURS)[0]) == [["cat-again", "cat0", "cat1"], ["dog-less", "dog2"]]


def test_copies_are_found_in_files_that_only_the_competitions_reader_reads(copies, tmp_path: Path):
    for row in copies.itertuples():
        np.save(tmp_path / f"{row.id}.npy", 255 - cv2.imread(row.path))
    table = copies.assign(path=[str(tmp_path / f"{image}.npy") for image in copies["id"]])
    grouped, words = group_duplicates(table, Hooks(load(Site(tmp_path).write("inverted.py", INVERTED))))
    assert groups_in(grouped) == [["cat-again", "cat0"], ["dog-less", "dog2"]]
    assert words == "4 near-duplicates among 10 labelled images stay together in train or in valid"


def test_a_reader_of_the_competitions_own_is_asked_for_jpegs_too(copies, tmp_path: Path):
    blind = INVERTED.replace("255 - np.load(path)", "np.zeros((64, 64, 3), np.uint8)").replace(".npy", ".jpg")
    grouped, words = group_duplicates(copies, Hooks(load(Site(tmp_path).write("blind.py", blind))))
    assert groups_in(grouped) == []  # it shows black pictures, which are nobody's copies
    assert "0 near-duplicates among 10 labelled images" in words


def test_images_that_cannot_be_read_are_not_said_to_be_compared(copies, tmp_path: Path):
    table = copies.assign(path=[str(tmp_path / f"{image}.npy") for image in copies["id"]])
    grouped, words = group_duplicates(table, OURS)
    assert groups_in(grouped) == []
    assert "0 near-duplicates among 0 labelled images" in words
    assert f"10 of 10 images cannot be read and are not compared, for example {tmp_path}/cat0.npy" in words


def test_a_valid_image_whose_copy_is_in_train_joins_train(copies):
    given = copies.assign(split=["valid" if image in ("cat-again", "cat1") else "train" for image in copies["id"]])
    grouped, words = group_duplicates(given, OURS)
    splits = grouped.set_index("id")["split"]
    assert splits["cat-again"] == "train"
    assert splits["cat1"] == "valid"
    assert "1 of them moved from valid to train" in words


def test_copies_among_test_images_play_no_part(copies):
    given = copies.assign(split=["test" if image == "cat-again" else "train" for image in copies["id"]])
    assert groups_in(group_duplicates(given, OURS)[0]) == [["dog-less", "dog2"]]


def test_groups_of_nothing_are_nothing(tmp_path: Path):
    empty = pd.DataFrame({"id": [], "path": [], "label": [], "split": []}, dtype=object)
    assert np.asarray(group_duplicates(empty, OURS)[0]["group"]).tolist() == []
