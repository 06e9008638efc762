"""One rule for what an image is; walks end, whatever links there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kagglekit import UserError, labels_from_csv, labels_from_folders, labels_from_list, unlabelled_images
from kagglekit.data.listing import (
    IMAGE_SUFFIXES,
    MEDICAL_SUFFIXES,
    folders_below,
    image_files,
    image_names,
    images_below,
    is_image,
)
from kagglekit_reader import kagglekit_read_image

# What Pillow can write and the reader read, but no data set has as its images: icons, layers, textures, raw planes, ...
NOT_TAKEN = {".blp", ".bw", ".icb", ".icns", ".ico", ".im", ".msp", ".pfm", ".rgb", ".rgba", ".vda", ".vst", ".xbm"}
OLD_JPEG = {".jif": "JPEG", ".jfi": "JPEG", ".ras": ""}  # Pillow has no writer of this name


def readable(folder: Path, suffix: str, form: str) -> bool:
    """Write an image and read it back by the built-in reader."""
    pixels = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8))
    for mode in ("RGB", "L", "1", "P"):
        try:
            pixels.convert(mode).save(folder / f"x{suffix}", form)
            return kagglekit_read_image(folder / f"x{suffix}").shape == (32, 32, 3)
        except (OSError, ValueError, KeyError, UserError):  # no Ghostscript
            continue
    return False


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_the_lister_knows_every_suffix_that_the_reader_reads(tmp_path: Path) -> None:
    forms = {**Image.registered_extensions(), **{suffix: form for suffix, form in OLD_JPEG.items() if form}}
    found = {suffix for suffix, form in forms.items() if readable(tmp_path, suffix, form)}
    assert found - IMAGE_SUFFIXES <= NOT_TAKEN
    assert IMAGE_SUFFIXES - found <= {".ras", *MEDICAL_SUFFIXES}  # Pillow does not write them
    assert Image.registered_extensions()[".ras"] in Image.OPEN  # Sun raster: read only


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("a.JPG", True), ("a.jfif", True), ("a.b.Tiff", True), ("._a.jpg", False), (".jpg", False), ("a", False),
     ("a.heic", False), ("a.jpg.txt", False)],
)  # fmt: skip
def test_a_name_says_whether_a_file_is_an_image(name: str, is_one: bool) -> None:
    assert is_image(name) is is_one


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_test_images_with_another_suffix_or_case_are_taken(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg", "2.JPG", "3.png", "1.png", "4.txt")
    table = unlabelled_images(tmp_path, ".jpg")
    assert dict(zip(table["id"], table["path"], strict=True)) == {
        image: str(tmp_path / name) for image, name in (("1", "1.jpg"), ("2", "2.JPG"), ("3", "3.png"))
    }


def test_a_suffix_that_is_more_than_a_suffix_leaves_other_images_out(tmp_path: Path) -> None:
    write(tmp_path, "1_rgb.png", "1_depth.png", "2_rgb.png")
    assert unlabelled_images(tmp_path, "_rgb.png")["id"].tolist() == ["1", "2"]


@pytest.mark.parametrize("suffix", [".jpg", ""])
def test_rows_find_their_images_under_several_suffixes(tmp_path: Path, suffix: str) -> None:
    files = ["1.jpg", "2.png", "3.JPG", "sub/4.jpeg"]
    write(tmp_path, *(f"train/{name}" for name in files))
    ids = ["1", "2", "3", "sub/4"] if suffix else ["1.jpg", "2.jpg", "3.jpg", "sub/4.jpg"]
    (tmp_path / "labels.csv").write_text("id,label\n" + "".join(f"{image},a\n" for image in ids))
    table = labels_from_csv(tmp_path / "labels.csv", images=tmp_path / "train", suffix=suffix)
    assert table["id"].tolist() == ids
    assert table["path"].tolist() == [str(tmp_path / "train" / name) for name in files]
    (tmp_path / "train.txt").write_text("".join(f"{image} a\n" for image in ids))
    listed = labels_from_list({"train": tmp_path / "train.txt"}, images=tmp_path / "train", suffix=suffix)
    assert listed["path"].tolist() == table["path"].tolist()


def test_two_files_for_one_id_are_not_guessed_at(tmp_path: Path) -> None:
    write(tmp_path, "train/1.png", "train/1.gif", "train/2.jpg", "train/2.png")
    (tmp_path / "labels.csv").write_text("id,label\n1,a\n2,b\n")
    table = labels_from_csv(tmp_path / "labels.csv", images=tmp_path / "train", suffix=".jpg")
    assert table["path"].tolist() == [str(tmp_path / "train" / name) for name in ("1.jpg", "2.jpg")]  # 1.jpg is missing


def loops(root: Path) -> None:
    """Links to the folder itself, above it, across, and through a folder outside."""
    write(root, "train/ant/1.jpg", "train/bee/2.jpg", "outside/3.jpg")
    (root / "train" / "self").symlink_to(".")
    (root / "train" / "ant" / "up").symlink_to("..")
    (root / "train" / "bee" / "top").symlink_to(root)
    (root / "train" / "ant" / "out").symlink_to(root / "outside")
    (root / "outside" / "back").symlink_to(root / "train" / "ant")
    (root / "train" / "circle").symlink_to(root / "train" / "circle")


def test_links_that_lead_back_are_not_followed(tmp_path: Path) -> None:
    loops(tmp_path)
    assert images_below(tmp_path / "train") == ["ant/1.jpg", "ant/out/3.jpg", "bee/2.jpg"]
    table = labels_from_folders(tmp_path / "train")
    assert dict(zip(table["id"], table["label"], strict=True)) == {
        "train/ant/1.jpg": "ant",
        "train/ant/out/3.jpg": "ant",
        "train/bee/2.jpg": "bee",
    }
    assert [file.name for file in image_files([tmp_path / "train"])] == ["1.jpg", "3.jpg", "2.jpg"]


def test_folders_that_link_to_each_other_are_listed_once(tmp_path: Path) -> None:
    for number in range(12):  # in every order there are 12! ways through them
        write(tmp_path, f"{number}/{number}.jpg")
    for number in range(12):
        for other in {*range(12)} - {number}:
            (tmp_path / str(number) / f"to-{other}").symlink_to(tmp_path / str(other))
    assert sorted(Path(name).name for name in images_below(tmp_path)) == sorted(f"{n}.jpg" for n in range(12))


def test_folders_nested_too_deep_are_refused_in_one_message(tmp_path: Path) -> None:
    (tmp_path / "/".join("d" * 150)).mkdir(parents=True)
    with pytest.raises(UserError, match=r"folders nested more than 100 deep, such as .*\.\.\..*/d\n"):
        list(folders_below(tmp_path))


def test_a_folder_called_like_an_image_is_none(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg/1.jpg", "b.jpg")
    assert image_names(tmp_path) == ["b.jpg"]
