from __future__ import annotations

from pathlib import Path

from kagglekit import labels_from_csv, unlabelled_images
from kagglekit.data.labels.channel_names import with_channels

SUFFIX = "_{red,green}.png"


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_files_of_one_image_are_one_name() -> None:
    names = ["1_green.png", "1_red.png", "2_red.png", "x.png"]
    assert with_channels(names, SUFFIX) == [f"1{SUFFIX}", "2_red.png", "x.png"]  # 2 lacks a channel
    assert with_channels(names, ".png") == names


def test_rows_name_images_of_several_files(tmp_path: Path) -> None:
    files(tmp_path, *(f"train/{n}_{colour}.png" for n in "ab" for colour in ("red", "green")))
    files(tmp_path, "test/c_red.png", "test/c_green.png", "test/readme.png")
    (tmp_path / "train.csv").write_text("id,label\na,x\nb,y\n")
    table = labels_from_csv(tmp_path / "train.csv", images=tmp_path / "train", suffix=SUFFIX, test=tmp_path / "test")
    assert table["id"].tolist() == ["a", "b", "c"]
    assert table["path"].tolist() == [str(tmp_path / f"{name}{SUFFIX}") for name in ("train/a", "train/b", "test/c")]
    assert unlabelled_images(tmp_path / "test", SUFFIX)["id"].tolist() == ["c"]


def test_an_image_without_a_row_is_named_once(tmp_path: Path) -> None:
    files(tmp_path, *(f"train/deep/{n}_{colour}.png" for n in "ab" for colour in ("red", "green")))
    (tmp_path / "train.csv").write_text("id,label\na,x\n")
    table = labels_from_csv(tmp_path / "train.csv", images=tmp_path / "train", suffix=SUFFIX, ignore_unlabelled=True)
    assert table["path"].tolist() == [str(tmp_path / f"train/deep/a{SUFFIX}")]
