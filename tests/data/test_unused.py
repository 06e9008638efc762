"""What lies among the images and is not used is counted and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from kagglekit import labels_from_csv, labels_from_folders
from kagglekit.data.table import check_table


def write(data: Path, *names: str) -> None:
    for name in names:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(b"")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write(tmp_path, *(f"train/{kind}/{number}.jpg" for kind in ("ant", "bee") for number in range(3)), "test/1.jpg")
    return tmp_path


def warnings_of(data: Path) -> list[str]:
    return check_table(labels_from_folders(data / "train", test=data / "test"), data)[1]


def test_nothing_is_said_where_everything_is_used(data: Path) -> None:
    write(data, "train/ant/._1.jpg", "train/ant/Thumbs.db", "__MACOSX/train/cow/1.jpg", "labels.csv", "docs/read.me")
    assert warnings_of(data) == []


def test_files_of_unknown_suffixes_are_counted_by_suffix(data: Path) -> None:
    write(data, "train/ant/a.heic", "train/bee/b.HEIC", "test/c", "test/notes.txt")
    assert warnings_of(data) == ["not used, in the folders of the images: 4 other files (.heic 2, no suffix 1, .txt 1)"]


def test_classes_without_images_are_named_with_what_they_hold(data: Path) -> None:
    (data / "train" / "cow").mkdir()
    write(data, "train/dee/1.heic", "train/dee/deep/2.heic")
    (data / "valid").mkdir()
    assert warnings_of(data) == [
        "folders without an image that is used: train/cow (empty), train/dee (2 files: .heic 2), valid (empty)"
    ]


def test_test_images_that_no_plugin_can_take_are_named(data: Path) -> None:
    (data / "test" / "1.jpg").rename(data / "test" / "1.heic")
    with pytest.raises(Exception, match=r"no images in .*test\n.*test contains: 1.heic"):
        warnings_of(data)


def test_images_beside_those_of_the_table_are_named(tmp_path: Path) -> None:
    write(tmp_path, "train/1.jpg", "train/1.png", "train/2.jpg", "train/3.jpg", "test/4.jpg")
    (tmp_path / "labels.csv").write_text("id,label\n1,a\n2,b\n")
    table = labels_from_csv(
        tmp_path / "labels.csv",
        images=tmp_path / "train",
        suffix=".jpg",
        test=tmp_path / "test",
        ignore_unlabelled=True,
    )
    assert (
        "not used, in the folders of the images: 2 images (train/1.png, train/3.jpg)" in check_table(table, tmp_path)[1]
    )


def test_names_cannot_write_to_the_terminal(data: Path) -> None:
    (data / "train" / "cow\x1b[2J").mkdir()
    assert "train/cow\\x1b[2J (empty)" in warnings_of(data)[0]
