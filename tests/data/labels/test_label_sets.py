"""Label files with several labels an image, or with numbers: sets in a cell, several rows, a column a target."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from kagglekit import Competition, MultiLabel, Regression, UserError, labels_from_csv, labels_from_json


def images(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def test_a_cell_of_several_labels_is_a_tuple_of_names(tmp_path: Path) -> None:
    train, test = images(tmp_path / "train", "1.jpg", "2.jpg", "3.jpg"), images(tmp_path / "test", "9.jpg")
    csv = write(tmp_path / "train.csv", "image,labels\n1.jpg,scab rust\n2.jpg,healthy\n3.jpg, rust  scab rust\n")
    table = labels_from_csv(
        csv, images=train, id_column="image", label_column="labels", separator=" ", test=test, suffix=""
    )
    assert table["label"].tolist() == [("scab", "rust"), ("healthy",), ("rust", "scab"), None]
    assert table["id"].tolist() == ["1.jpg", "2.jpg", "3.jpg", "9.jpg"]


def test_names_between_other_separators_may_contain_blanks(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", 'id,label\n1.jpg,No Finding\n2.jpg,"Edema| Pleural Thickening|"\n')
    table = labels_from_csv(csv, images=images(tmp_path / "a", "1.jpg", "2.jpg"), separator="|")
    assert table["label"].tolist() == [("No Finding",), ("Edema", "Pleural Thickening")]


def test_an_empty_cell_is_an_unlabelled_image_or_on_request_one_without_labels(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "id,label\n1.jpg,a b\n2.jpg,\n")
    folder = images(tmp_path / "a", "1.jpg", "2.jpg")
    assert labels_from_csv(csv, images=folder, separator=" ")["label"].tolist() == [("a", "b"), None]
    assert labels_from_csv(csv, images=folder, separator=" ", empty_set=True)["label"].tolist() == [("a", "b"), ()]
    skipped = labels_from_csv(csv, images=folder, separator=" ", ignore_unlabelled=True)
    assert skipped["id"].tolist() == ["1.jpg"]


def test_several_rows_of_an_image_become_one_set(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "id,label,site\n1.jpg,cat,x\n2.jpg,dog,y\n1.jpg,dog,x\n1.jpg,cat,x\n3.jpg,,y\n")
    folder = images(tmp_path / "a", "1.jpg", "2.jpg", "3.jpg")
    table = labels_from_csv(csv, images=folder, label_column="label", several=True, group_column="site")
    assert table["id"].tolist() == ["1.jpg", "2.jpg", "3.jpg"]
    assert table["label"].tolist() == [("cat", "dog"), ("dog",), None]
    assert table["group"].tolist() == ["x", "y", "y"]


def test_annotations_of_coco_become_the_names_of_their_categories(tmp_path: Path) -> None:
    coco = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in (1, 2, 3)],
        "annotations": [{"image_id": 1, "category_id": k} for k in (7, 5, 7)] + [{"image_id": 2, "category_id": 5}],
        "categories": [{"id": 5, "name": "sea star"}, {"id": 7, "name": "crab"}],
    }
    file = write(tmp_path / "coco.json", json.dumps(coco))
    folder = images(tmp_path / "a", "1.jpg", "2.jpg", "3.jpg")
    how = {"images": folder, "file_column": "file_name", "label_column": "category.name", "several": True}
    table = labels_from_json(file, **how)  # type: ignore[arg-type]
    assert table["label"].tolist() == [("crab", "sea star"), ("sea star",), None]
    empty = labels_from_json(file, **how, empty_set=True)  # type: ignore[arg-type]
    assert empty["label"].tolist()[2] == ()


def test_lists_of_labels_in_json_are_sets(tmp_path: Path) -> None:
    content = {
        "images": [{"imageId": "1"}, {"imageId": "2"}],
        "annotations": [{"imageId": "1", "labelId": ["66", "95"]}, {"imageId": "2", "labelId": ["66"]}],
    }
    how = {"images": images(tmp_path / "a", "1.jpg", "2.jpg"), "suffix": ".jpg"}
    file = write(tmp_path / "ids.json", json.dumps(content))
    table = labels_from_json(file, **how, id_column="imageId", label_column="labelId", separator=" ")  # type: ignore[arg-type]
    assert table["label"].tolist() == [("66", "95"), ("66",)]
    names = [{"id": "1", "tags": ["sea star", "crab"], "box": [1, 2]}, {"id": "2", "tags": []}]
    file = write(tmp_path / "names.json", json.dumps(names))
    table = labels_from_json(file, **how, label_column="tags", separator="|", empty_set=True)  # type: ignore[arg-type]
    assert table["label"].tolist() == [("sea star", "crab"), ()]


def test_columns_of_targets_become_float_columns_without_a_label(tmp_path: Path) -> None:
    train, test = images(tmp_path / "train", "1.jpg", "2.jpg"), images(tmp_path / "test", "9.jpg")
    csv = write(tmp_path / "train.csv", "id,rust,scab,mass\n1,1,True,12.5\n2,0,,\n")
    table = labels_from_csv(csv, images=train, suffix=".jpg", target_columns=["rust", "scab", "mass"], test=test)
    assert "label" not in table
    assert [str(table[name].dtype) for name in ("rust", "scab", "mass")] == ["float64"] * 3
    assert table["rust"].tolist()[:2] == [1, 0]
    assert table["scab"].tolist()[0] == 1
    assert math.isnan(table["scab"].tolist()[1])
    assert table["mass"].tolist()[0] == 12.5
    assert table.loc[2, ["rust", "scab", "mass"]].isna().all()
    assert table["split"].tolist() == ["train", "train", "test"]


def test_the_tasks_read_these_tables(tmp_path: Path) -> None:
    folder = images(tmp_path / "train", "1.jpg", "2.jpg")
    csv = write(tmp_path / "train.csv", "id,rust,scab,mass\n1,1,0,12.5\n2,0,,40\n")
    facts = Competition(title="t", task="multi-label", targets=("rust", "scab"))
    table = labels_from_csv(csv, images=folder, suffix=".jpg", target_columns=["rust", "scab"])
    assert MultiLabel.read(table, facts) == ['{"rust": 1}', '{"scab": null}']
    one = labels_from_csv(csv, images=folder, suffix=".jpg", label_column="mass")
    assert Regression.read(one, Competition(title="t", task="regression")) == ['{"label": 12.5}', '{"label": 40}']


def test_a_target_that_is_no_number_is_refused(tmp_path: Path) -> None:
    csv = write(tmp_path / "train.csv", "id,mass\n1.jpg,12.5\n2.jpg,heavy\n")
    folder = images(tmp_path / "train", "1.jpg", "2.jpg")
    with pytest.raises(UserError, match=r"'mass' that are no numbers: 'heavy' of 2\.jpg"):
        labels_from_csv(csv, images=folder, target_columns=["mass"])


@pytest.mark.parametrize("name", ["weight", "group", "label"])
def test_a_target_named_like_a_column_of_the_table_is_refused(tmp_path: Path, name: str) -> None:
    csv = write(tmp_path / "train.csv", f"image,{name}\n1.jpg,1\n")
    with pytest.raises(UserError, match=f"target column '{name}' has the name") as error:
        labels_from_csv(csv, images=images(tmp_path / "a", "1.jpg"), id_column="image", target_columns=[name])
    assert "label_column" in error.value.hint


def test_unlabelled_repeated_and_contradicting_rows_of_targets_are_skipped_on_request(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "id,x,y\n1.jpg,1,\n2.jpg,,\n3.jpg,0,1\n3.jpg,0,1\n4.jpg,0,1\n4.jpg,1,1\n")
    folder = images(tmp_path / "a", *(f"{i}.jpg" for i in range(1, 5)))
    table = labels_from_csv(
        csv,
        images=folder,
        target_columns=["x", "y"],
        ignore_unlabelled=True,
        ignore_duplicates=True,
        ignore_conflicts=True,
    )
    assert table["id"].tolist() == ["1.jpg", "3.jpg"]


def test_rows_weights_and_metadata_are_kept(tmp_path: Path) -> None:
    text = "image_id,patient,side,w,age,cancer\n11,7,L,0.5,61,1\n12,7,L,2,,1\n13,8,R,1,40,0\n"
    csv = write(tmp_path / "train.csv", text)
    folder = images(tmp_path / "train", "11.png", "12.png", "13.png")
    table = labels_from_csv(
        csv,
        images=folder,
        suffix=".png",
        id_column="image_id",
        label_column="cancer",
        group_column="patient",
        row_column=["patient", "side"],
        weight_column="w",
        metadata=["age"],
    )
    assert table["label"].tolist() == ["1", "1", "0"]
    assert table["group"].tolist() == ["7", "7", "8"]
    assert table["row"].tolist() == ["7_L", "7_L", "8_R"]
    assert table["weight"].tolist() == [0.5, 2.0, 1.0]
    assert table["age"].tolist() == ["61", None, "40"]


def test_test_images_have_rows_but_no_targets(tmp_path: Path) -> None:
    csv = write(tmp_path / "test.csv", "image_id,prediction_id\n21,9_L\n22,9_L\n")
    folder = images(tmp_path / "test", "21.png", "22.png")
    how = {"images": folder, "suffix": ".png", "id_column": "image_id", "split": "test"}
    table = labels_from_csv(csv, row_column="prediction_id", **how)  # type: ignore[arg-type]
    assert table["row"].tolist() == ["9_L", "9_L"]
    assert table["label"].tolist() == [None, None]
    targets = labels_from_csv(csv, target_columns=["x"], **how)  # type: ignore[arg-type]
    assert targets["x"].isna().all()


def test_negative_weights_and_unknown_columns_are_refused(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "id,label,w\n1.jpg,a,-1\n")
    folder = images(tmp_path / "a", "1.jpg")
    with pytest.raises(UserError, match=r"negative weights in 'w', of 1\.jpg"):
        labels_from_csv(csv, images=folder, label_column="label", weight_column="w")
    with pytest.raises(UserError, match="unknown column 'age'"):
        labels_from_csv(csv, images=folder, label_column="label", metadata=["age"])


def test_several_ones_in_columns_of_classes_name_the_way_for_several_labels(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "id,x,y\n1.jpg,1,1\n")
    with pytest.raises(UserError, match="single 1") as error:
        labels_from_csv(csv, images=images(tmp_path / "a", "1.jpg"), label_columns=["x", "y"])
    assert "target_columns" in error.value.hint
