"""CSV files with a row for each image and target."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from kagglekit import UserError, labels_from_long_csv


def images(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def test_ids_that_end_with_the_target_are_taken_apart(tmp_path: Path) -> None:
    csv = write(
        tmp_path / "a.csv", "ID,Label\nID_1_epidural,1\nID_1_any,1\nID_2_epidural,0\nID_2_any,0\nID_1_any,1.0\n"
    )
    train, test = images(tmp_path / "a", "ID_1.png", "ID_2.png"), images(tmp_path / "b", "ID_9.png")
    table = labels_from_long_csv(csv, images=train, suffix=".png", id_column="ID", value_column="Label", test=test)
    assert table["id"].tolist() == ["ID_1", "ID_2", "ID_9"]
    assert table["epidural"].tolist()[:2] == [1, 0]
    assert table["any"].tolist()[:2] == [1, 0]
    assert table.loc[2, ["epidural", "any"]].isna().all()
    assert "label" not in table


def test_known_targets_may_contain_the_separator(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "id,v\np_1_dry_g,2.5\np_1_g,4\n")
    folder = images(tmp_path / "a", "p_1.jpg")
    table = labels_from_long_csv(csv, images=folder, suffix=".jpg", value_column="v", targets=["g", "dry_g"])
    assert table[["id", "g", "dry_g"]].to_numpy().tolist() == [["p_1", 4, 2.5]]
    assert list(table.columns) == ["id", "path", "split", "g", "dry_g"]


def test_a_path_groups_and_metadata_of_an_image_are_kept(tmp_path: Path) -> None:
    rows = ["s__Clover_g,train/s.jpg,Tas,4.5,1.5", "s__Total_g,train/s.jpg,Tas,4.5,", "t__Clover_g,train/t.jpg,WA,3,7"]
    csv = write(tmp_path / "train.csv", "\n".join(["sample_id,image_path,State,Height,target", *rows, ""]))
    images(tmp_path / "train", "s.jpg", "t.jpg")
    table = labels_from_long_csv(
        csv,
        images=tmp_path,
        id_column="sample_id",
        separator="__",
        value_column="target",
        file_column="image_path",
        group_column="State",
        metadata=["Height"],
    )
    assert table["id"].tolist() == ["s", "t"]
    assert [Path(path).name for path in table["path"]] == ["s.jpg", "t.jpg"]
    assert table["group"].tolist() == ["Tas", "WA"]
    assert table["Height"].tolist() == ["4.5", "3"]
    assert table["Clover_g"].tolist() == [1.5, 7]
    assert all(map(math.isnan, table["Total_g"]))


def test_a_column_may_name_the_target(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "image,name,value\nx.jpg,height,2\ny.jpg,width,3\nx.jpg,width,1\n")
    folder = images(tmp_path / "a", "x.jpg", "y.jpg")
    table = labels_from_long_csv(
        csv, images=folder, id_column="image", target_column="name", value_column="value", targets=["width", "height"]
    )
    assert list(table.columns[-2:]) == ["width", "height"]
    assert table["width"].tolist() == [1, 3]
    assert table["height"].tolist()[0] == 2
    assert math.isnan(table["height"].tolist()[1])


def test_test_images_are_listed_once_without_values(tmp_path: Path) -> None:
    csv = write(tmp_path / "test.csv", "sample_id,image_path\ns__a,test/s.jpg\ns__b,test/s.jpg\n")
    images(tmp_path / "test", "s.jpg")
    table = labels_from_long_csv(
        csv, images=tmp_path, id_column="sample_id", separator="__", file_column="image_path", split="test"
    )
    assert table["id"].tolist() == ["s"]
    assert table["split"].tolist() == ["test"]
    assert table[["a", "b"]].isna().all().all()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1_x,0\n1_x,1\n", r"contradict each other: 1 \(x\)"),
        ("1_x,0\nplain,1\n", "rows without a known target: plain"),
        ("1_x,much\n", "'v' that are no numbers: 'much' of 1_x"),
    ],
)
def test_contradictions_and_rows_without_target_are_refused(tmp_path: Path, rows: str, said: str) -> None:
    csv = write(tmp_path / "a.csv", f"id,v\n{rows}")
    with pytest.raises(UserError, match=said):
        labels_from_long_csv(csv, images=images(tmp_path / "a", "1.jpg"), suffix=".jpg", value_column="v")


def test_a_kept_column_that_varies_within_an_image_is_refused(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "id,v,site\n1_x,0,a\n1_y,1,b\n")
    folder = images(tmp_path / "a", "1.jpg")
    with pytest.raises(UserError, match="different values in 'site': 1"):
        labels_from_long_csv(csv, images=folder, suffix=".jpg", value_column="v", group_column="site")


def test_images_without_a_row_are_refused_unless_ignored(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "id,v\n1_x,0\n2_x,1\n")
    folder = images(tmp_path / "a", "1.jpg", "2.jpg", "3.jpg")
    with pytest.raises(UserError, match=r"no row for images in .*: 3\.jpg"):
        labels_from_long_csv(csv, images=folder, suffix=".jpg", value_column="v")
    skipped = labels_from_long_csv(csv, images=folder, suffix=".jpg", value_column="v", ignore_unlabelled=True)
    assert skipped["x"].tolist() == [0, 1]
