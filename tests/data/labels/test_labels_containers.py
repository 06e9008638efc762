"""Image tables of files that hold many images."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from container_files import drawn, jpeg, write_tfrecord

from kagglekit import UserError, labels_from_containers, members, unlabelled_members
from kagglekit.data.table import check_table
from kagglekit.types.image_table import with_joined_keys


def records(file: Path, numbers: range, labelled: bool = True) -> Path:
    rows = [
        {"image": jpeg(drawn(i)), "id": f"f{i}".encode(), **({"class": i % 2} if labelled else {})} for i in numbers
    ]
    return write_tfrecord(file, rows)


def test_features_of_records_are_ids_and_labels(tmp_path: Path) -> None:
    train = [records(tmp_path / f"{i}.tfrec", range(4 * i, 4 * i + 4)) for i in range(2)]
    test = records(tmp_path / "test.tfrec", range(8, 10), labelled=False)
    table = labels_from_containers(train, label_column="class", id_column="id", test=test)
    assert table["id"].tolist() == [f"f{i}" for i in range(10)]
    assert table["label"].tolist() == [*"01010101", None, None]
    assert table["path"].tolist()[3:5] == [str(train[0] / "3"), str(train[1] / "0")]
    assert table["split"].tolist() == ["train"] * 8 + ["test"] * 2
    assert check_table(table, tmp_path)[0]["path"].tolist() == table["path"].tolist()


def test_rows_of_pixels_are_numbered_from_one_where_the_sample_does_so(tmp_path: Path) -> None:
    pixels = pd.DataFrame(np.stack([drawn(i)[..., 0].ravel() for i in range(5)]))
    pixels.columns = [f"pixel{i}" for i in range(576)]
    pixels.assign(label=[3, 7, 3, 7, 3]).to_csv(tmp_path / "train.csv", index=False)
    pixels.to_csv(tmp_path / "test.csv", index=False)
    table = labels_from_containers(
        tmp_path / "train.csv", label_column="label", test=tmp_path / "test.csv", first_test_id=1
    )
    assert table["label"].tolist() == [*"37373", *[None] * 5]
    assert table["id"].tolist() == [*"01234", *"12345"]


def test_labels_may_be_given_and_the_shape_too(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 12, 20), np.uint8))
    table = labels_from_containers(tmp_path / "x.npy", labels=np.array([0, 1, 1, 0]))
    assert table["label"].tolist() == [*"0110"]
    pd.DataFrame(np.zeros((2, 240), np.uint8)).to_csv(tmp_path / "x.csv", index=False)
    rows = unlabelled_members(tmp_path / "x.csv", shape=(12, 20))
    assert rows["path"].tolist() == [str(tmp_path / "x.csv" / "12x20" / str(i)) for i in range(2)]
    with pytest.raises(UserError, match="there are 3 labels for 4 images"):
        labels_from_containers(tmp_path / "x.npy", labels=[0, 1, 1])
    with pytest.raises(UserError, match="give either label_column or labels"):
        labels_from_containers(tmp_path / "x.npy")


def test_arrays_beside_the_images_are_labels(tmp_path: Path) -> None:
    images = np.stack([drawn(i) for i in range(4)])
    np.savez(tmp_path / "a.npz", x_train=images, y_train=[0, 1, 0, 1], x_test=images[:2])
    table = labels_from_containers(tmp_path / "a.npz", within="x_train", label_column="y_train")
    assert table["label"].tolist() == [*"0101"]
    assert unlabelled_members(tmp_path / "a.npz", within="x_test")["id"].tolist() == ["x_test/0", "x_test/1"]
    with pytest.raises(UserError, match="unknown column 'y': choose from y_train"):
        labels_from_containers(tmp_path / "a.npz", within="x_train", label_column="y")


def test_a_container_without_images_or_with_odd_names_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["labels"] = np.arange(3)
    with pytest.raises(UserError, match=r"there are no images in .*a\.h5"):
        members(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_group("..")["x"] = drawn(1)
    with pytest.raises(UserError, match="names cannot be parts of a path"):
        members(tmp_path / "b.h5")
    with pytest.raises(UserError, match=r"there is no file .*c\.h5"):
        members(tmp_path / "c.h5")


def test_paths_and_keys_become_paths(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["a", "b"], "path": ["x.npy", "b.jpg"], "key": [5, None], "label": ["0", "1"]})
    assert with_joined_keys(table)["path"].tolist() == ["x.npy/5", "b.jpg"]
    with pytest.raises(UserError, match=r"keys that cannot name a member of a file: '\.\./5' \(with an empty part"):
        with_joined_keys(table.assign(key="../5"))


def test_a_table_of_members_needs_their_file_only(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 12, 20), np.uint8))
    rows = {"id": ["0", "1", "2"], "path": ["x.npy", "x.npy", "gone.npy"], "label": ["a", "b", "a"], "split": "train"}
    table = pd.DataFrame({**rows, "key": ["0", "99", "0"]})
    with pytest.raises(UserError, match=r"missing files: .*gone\.npy/0\n") as raised:
        check_table(table, tmp_path)
    assert "99" not in raised.value.what
    checked, warnings = check_table(table[:2], tmp_path)
    assert checked["path"].tolist() == [str(tmp_path / "x.npy" / key) for key in ("0", "99")]
    assert not any("not used" in each for each in warnings)
