"""Label files with a row an image, in CSV and JSON: their columns, the files that they name, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from kagglekit import UserError, labels_from_csv, labels_from_json, unlabelled_images
from kagglekit.data.labels.image_lookup import ImageLookup
from kagglekit.data.labels.json_rows import read_records


def images(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def rows(table: pd.DataFrame, data: Path) -> list[tuple[str, str, str | None, str]]:
    """Return id, path below the data folder, label and split of each row."""
    below = [Path(path).relative_to(data).as_posix() for path in table["path"]]
    return list(zip(table["id"], below, table["label"], table["split"], strict=True))


def test_one_column_of_0_and_1_a_class_is_one_label(tmp_path: Path) -> None:
    images(tmp_path / "train", "1.jpg", "2.jpg")
    csv = write(tmp_path / "train.csv", "id,rust,scab,site\n1,0,1,a\n2,1.0,0,b\n")
    table = labels_from_csv(csv, images=tmp_path / "train", suffix=".jpg", label_columns=["rust", "scab"])
    assert table["label"].tolist() == ["scab", "rust"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("2,1,1", "more or less than a single 1 in rust, scab, first for '2'"),
        ("2,0,0", "single 1"),
        ("2,0.3,0.7", "0 and 1"),
    ],
)
def test_a_row_of_several_labels_or_none_is_refused(tmp_path: Path, row: str, said: str) -> None:
    images(tmp_path / "train", "1.jpg", "2.jpg")
    csv = write(tmp_path / "train.csv", f"id,rust,scab\n1,0,1\n{row}\n")
    with pytest.raises(UserError, match=said):
        labels_from_csv(csv, images=tmp_path / "train", suffix=".jpg", label_columns=["rust", "scab"])


def test_bare_names_are_found_in_subfolders_and_in_several_folders(tmp_path: Path) -> None:
    images(tmp_path, "a/x/1.jpg", "b/y/2.JPG", "c/1.jpg")
    csv = write(tmp_path / "train.csv", "id,label\n1.jpg,ant\n2.jpg,bee\n")
    table = labels_from_csv(csv, images=[tmp_path / "a", tmp_path / "b"])
    assert rows(table, tmp_path) == [("1.jpg", "a/x/1.jpg", "ant", "train"), ("2.jpg", "b/y/2.JPG", "bee", "train")]


def test_a_bare_name_of_two_images_is_refused(tmp_path: Path) -> None:
    images(tmp_path / "train", "x/1.jpg", "y/1.jpg", "y/2.jpg")
    csv = write(tmp_path / "train.csv", "id,label\n1,ant\n2,bee\n")
    with pytest.raises(UserError, match=r"the name 1.jpg fits 2 images: .*x/1.jpg"):
        labels_from_csv(csv, images=tmp_path / "train", suffix=".jpg")


def test_missing_images_are_not_looked_for_in_subfolders(tmp_path: Path) -> None:
    """Most images lie in the folder itself: then a missing one is missing, not the one in a subfolder."""
    images(tmp_path / "all", "1.jpg", "2.jpg", "test/3.jpg")
    csv = write(tmp_path / "train.csv", "id,label\n1,ant\n2,bee\n3,ant\n")
    table = labels_from_csv(csv, images=tmp_path / "all", suffix=".jpg")
    assert table["path"].tolist()[2] == str(tmp_path / "all" / "3.jpg")


def test_a_column_of_files_a_column_of_groups_and_another_split(tmp_path: Path) -> None:
    images(tmp_path, "pics/one.png", "pics/two.png")
    csv = write(tmp_path / "list.csv", "no,file,who,label\n7,one.png,Ann,ant\n8,two.png,,bee\n")
    how = {"images": tmp_path / "pics", "id_column": "no", "file_column": "file"}
    table = labels_from_csv(csv, **how, label_column="label", group_column="who", split="valid")
    assert rows(table, tmp_path) == [("7", "pics/one.png", "ant", "valid"), ("8", "pics/two.png", "bee", "valid")]
    assert table["group"].tolist() == ["Ann", None]
    tests = labels_from_csv(csv, **how, split="test")
    assert rows(tests, tmp_path) == [("7", "pics/one.png", None, "test"), ("8", "pics/two.png", None, "test")]


def test_a_column_of_splits_and_rows_without_label(tmp_path: Path) -> None:
    images(tmp_path, "1.jpg", "2.jpg", "3.jpg", "4.jpg")
    csv = write(tmp_path / "all.csv", "id,label,part\n1,ant,Train\n2,bee,validation\n3,bee,test\n4,,train\n")
    table = labels_from_csv(
        csv, images=tmp_path, suffix=".jpg", label_column="label", split_column="part", ignore_unlabelled=True
    )
    assert table[["label", "split"]].to_numpy().tolist() == [["ant", "train"], ["bee", "valid"], [None, "test"]]
    write(csv, "id,label,part\n1,ant,first\n2,bee,train\n")
    with pytest.raises(UserError, match="the column 'part' has first, not only train, val and test"):
        labels_from_csv(csv, images=tmp_path, suffix=".jpg", label_column="label", split_column="part")


def test_repeated_rows_count_once_and_contradicting_ones_can_be_left_out(tmp_path: Path) -> None:
    images(tmp_path / "train", "1.jpg", "2.jpg")
    csv = write(tmp_path / "train.csv", "id,label\n1,ant\n2,bee\n1,ant\n2,ant\n")
    how = {"images": tmp_path / "train", "suffix": ".jpg"}
    assert labels_from_csv(csv, **how)["id"].tolist() == ["1", "2", "1", "2"]  # which the check of the table refuses
    assert labels_from_csv(csv, **how, ignore_duplicates=True)["id"].tolist() == ["1", "2", "2"]
    assert labels_from_csv(csv, **how, ignore_conflicts=True, ignore_duplicates=True)["id"].tolist() == ["1"]


COCO = {
    "images": [{"id": 5, "file_name": "a/1.jpg", "location": 3}, {"id": 6, "file_name": "2.jpg", "location": None}],
    "annotations": [{"id": 9, "image_id": 5, "category_id": 2, "bbox": [0, 0, 1, 1]}],
    "categories": [{"id": 2, "name": "ant", "supercategory": "insect"}, {"id": 4, "name": "bee"}],
}


def test_coco_is_a_row_an_annotation_with_the_fields_of_image_and_category(tmp_path: Path) -> None:
    file = write(tmp_path / "coco.json", json.dumps(COCO))
    table = read_records(file)
    assert table.columns.tolist() == [
        "id", "file_name", "location", "annotation.id", "category_id", "category.id", "category.name",
        "category.supercategory",
    ]  # fmt: skip
    assert table.to_numpy().tolist() == [
        ["5", "a/1.jpg", "3", "9", "2", "2", "ant", "insect"],
        ["6", "2.jpg", "", "", "", "", "", ""],
    ]
    images(tmp_path / "train", "a/1.jpg", "2.jpg")
    how = {"images": tmp_path / "train", "file_column": "file_name", "label_column": "category.name"}
    assert rows(labels_from_json(file, **how, ignore_unlabelled=True), tmp_path) == [
        ("5", "train/a/1.jpg", "ant", "train")
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([{"x": "1.jpg", "label": 3, "box": [1]}, {"x": "2.jpg"}], {"x": ["1.jpg", "2.jpg"], "label": ["3", ""]}),
        ({"1.jpg": "ant", "2.jpg": "bee"}, {"name": ["1.jpg", "2.jpg"], "label": ["ant", "bee"]}),
        ({"1": {"kind": "ant", "ok": True}}, {"name": ["1"], "kind": ["ant"], "ok": ["true"]}),
        ({"images": [{"image_id": "x"}], "annotations": [{"image_id": "x", "category_id": 0}]},
         {"image_id": ["x"], "category_id": ["0"]}),
    ],
    ids=["records", "mapping", "mapping to records", "other names of ids"],
)  # fmt: skip
def test_json_of_several_forms_is_a_table_of_text(tmp_path: Path, content: object, expected: dict) -> None:
    assert read_records(write(tmp_path / "x.json", json.dumps(content))).to_dict("list") == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"images": []}', "is not a table of images: an object with images"),
        ("[1, 2]", "a list of 2 entries, none of which is a record"),
        ("3", "one value"),
        ("{", "cannot read .*x.json as JSON"),
    ],
)
def test_other_json_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_records(write(tmp_path / "x.json", text))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("1", ["a/1.jpg", "a/1.PNG", "b/1.jpg"]),
        ("1.png", ["a/1.PNG"]),
        ("b/1", ["b/1.jpg"]),
        ("./b/1.jpg", ["b/1.jpg"]),
        ("c/1.jpg", []),
        ("1.2.826", ["b/1.2.826.jpg"]),
        ("x.png", ["b/x.png.jpg"]),
        ("other", []),
    ],
)
def test_a_name_means_the_images_that_it_fits_best(name: str, found: list[str]) -> None:
    lookup = ImageLookup(["a/1.jpg", "a/1.PNG", "b/1.jpg", "b/1.2.826.jpg", "b/x.png.jpg"])
    assert lookup.find(name) == found


def test_an_image_that_one_name_means_for_certain_is_none_for_another_name() -> None:
    lookup = ImageLookup(["one/1.jpg", "two/1.jpg"])
    assert lookup.find_all(["1.jpg", "two/1.jpg"]) == [["one/1.jpg"], ["two/1.jpg"]]
    assert lookup.find_all(["here/1.jpg"]) == [["one/1.jpg", "two/1.jpg"]]


def test_test_images_of_several_folders_are_listed_in_their_order(tmp_path: Path) -> None:
    images(tmp_path, "two/1.jpg", "one/2.jpg")
    assert unlabelled_images([tmp_path / "two", tmp_path / "one"])["id"].tolist() == ["1", "2"]
