from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from kagglekit import (
    UserError,
    labels_from_csv,
    labels_from_folders,
    labels_from_list,
    labels_from_mat,
    labels_from_names,
    unlabelled_images,
    unpacked,
)


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def rows(table: pd.DataFrame) -> list[tuple[object, ...]]:
    return list(table[["id", "label", "split"]].itertuples(index=False, name=None))


def test_class_folders_give_labels_in_the_order_of_numbers(tmp_path: Path) -> None:
    files(tmp_path, "train/b/10.jpg", "train/b/2.jpg", "train/a/1.png", "valid/a/1.jpg", "test/3.jpg")
    table = labels_from_folders(tmp_path / "train", valid=tmp_path / "valid", test=tmp_path / "test")
    assert list(table.columns) == ["id", "path", "label", "split"]
    assert rows(table) == [
        ("train/a/1.png", "a", "train"),
        ("train/b/2.jpg", "b", "train"),
        ("train/b/10.jpg", "b", "train"),
        ("valid/a/1.jpg", "a", "valid"),
        ("3", None, "test"),
    ]
    assert [Path(path).is_file() for path in table["path"]] == [True] * 5


def test_folders_of_valid_and_test_images_may_be_missing(tmp_path: Path) -> None:
    files(tmp_path, "train/a/1.jpg")
    table = labels_from_folders(tmp_path / "train", valid=tmp_path / "valid", test=tmp_path / "test")
    assert rows(table) == [("train/a/1.jpg", "a", "train")]


def test_valid_and_test_folders_beside_the_class_folders_are_no_classes(tmp_path: Path) -> None:
    files(tmp_path, "a/1.jpg", "b/1.jpg", "valid/a/2.jpg", "test/3.jpg")
    table = labels_from_folders(tmp_path, valid=tmp_path / "valid", test=tmp_path / "test", suffix="")
    assert [label for _, label, split in rows(table) if split == "train"] == ["a", "b"]
    assert rows(table)[2:] == [("valid/a/2.jpg", "a", "valid"), ("3.jpg", None, "test")]


def test_a_test_folder_of_class_folders_has_known_labels(tmp_path: Path) -> None:
    files(tmp_path, "train/a/1.jpg", "test/a/7.jpg", "test/b/7.jpg")
    table = labels_from_folders(tmp_path / "train", test=tmp_path / "test")
    assert rows(table)[1:] == [("a/7", "a", "test"), ("b/7", "b", "test")]


def test_images_in_folders_below_a_class_are_of_that_class(tmp_path: Path) -> None:
    files(
        tmp_path,
        "train/a/1.jpg",
        "train/a/site/1.jpg",
        "train/b/site/deep/1.jpg",
        "test/a/site/1.2.jpg",
        "test/b/1.jpg",
    )
    table = labels_from_folders(tmp_path / "train", test=tmp_path / "test")
    assert rows(table) == [
        ("train/a/1.jpg", "a", "train"),
        ("train/a/site/1.jpg", "a", "train"),
        ("train/b/site/deep/1.jpg", "b", "train"),
        ("a/site/1.2", "a", "test"),
        ("b/1", "b", "test"),
    ]


def test_hidden_files_other_files_and_macosx_folders_do_not_count(tmp_path: Path) -> None:
    files(tmp_path, "a/1.JPG", "a/._1.jpg", "a/notes.txt", "a/Thumbs.db", "__MACOSX/2.jpg", ".git/3.jpg", "a/4.WebP")
    assert labels_from_folders(tmp_path)["id"].tolist() == [f"{tmp_path.name}/a/1.JPG", f"{tmp_path.name}/a/4.WebP"]


def test_a_missing_train_folder_is_named_with_what_is_there(tmp_path: Path) -> None:
    files(tmp_path, "Train/a/1.jpg")
    with pytest.raises(UserError, match=f"no folder {tmp_path}/train\n{tmp_path} contains: Train"):
        labels_from_folders(tmp_path / "train")


def test_a_train_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    files(tmp_path, "train/1.jpg", "train/empty/notes.txt")
    with pytest.raises(UserError, match=r"no class folders with images in them\n.*train contains: 1.jpg, empty"):
        labels_from_folders(tmp_path / "train")


def test_a_pattern_takes_the_label_from_the_file_name(tmp_path: Path) -> None:
    files(tmp_path, "images/great_pyrenees_10.jpg", "images/great_pyrenees_9.jpg", "images/pug_1.jpg")
    table = labels_from_names(tmp_path / "images", r"^(.+)_\d+")
    assert rows(table) == [
        ("great_pyrenees_10", "great_pyrenees", "train"),
        ("great_pyrenees_9", "great_pyrenees", "train"),
        ("pug_1", "pug", "train"),
    ]


def test_names_that_the_pattern_does_not_fit_are_listed(tmp_path: Path) -> None:
    files(tmp_path, *(f"{number}.jpg" for number in range(7)), "cat.1.jpg")
    with pytest.raises(UserError, match=r"finds no label in the file names 0.jpg, 1.jpg, .* \(7 in all\)"):
        labels_from_names(tmp_path, r"^(cat|dog)\.")
    with pytest.raises(UserError, match="has no group"):
        labels_from_names(tmp_path, r"^cat")


def test_an_empty_folder_of_images_is_refused(tmp_path: Path) -> None:
    files(tmp_path, "images/notes.txt")
    with pytest.raises(UserError, match=r"there are no images in .*images\n.*images contains: notes.txt"):
        labels_from_names(tmp_path / "images", "(.+)")


def test_class_folders_may_lie_one_level_deeper(tmp_path: Path) -> None:
    files(tmp_path, "train/tree/oak/1.jpg", "train/bush/rose/wild/2.jpg", "test/tree/oak/3.jpg")
    table = labels_from_folders(tmp_path / "train", test=tmp_path / "test", level=2)
    assert rows(table) == [
        ("train/bush/rose/wild/2.jpg", "rose", "train"), ("train/tree/oak/1.jpg", "oak", "train"),
        ("tree/oak/3", "oak", "test"),
    ]  # fmt: skip


def test_a_csv_gives_ids_and_labels_and_the_suffix_makes_paths(tmp_path: Path) -> None:
    files(tmp_path, "train/007.jpg", "test/10.jpg", "test/9.jpg", "test/9.png")
    (tmp_path / "labels.csv").write_text("id,breed\n007,pug\n8,NA\n")
    table = labels_from_csv(tmp_path / "labels.csv", images=tmp_path / "train", suffix=".jpg", test=tmp_path / "test")
    assert rows(table) == [
        ("007", "pug", "train"),
        ("8", "NA", "train"),
        ("9", None, "test"),
        ("10", None, "test"),
    ]
    assert table["path"][1] == str(tmp_path / "train" / "8.jpg")


def test_images_without_a_row_are_named_and_counted_or_left_out_where_the_plugin_says_so(tmp_path: Path) -> None:
    files(tmp_path, *(f"train/{number}.jpg" for number in range(9)), "train/notes.txt", "test/1.jpg")
    (tmp_path / "labels.csv").write_text("id,breed\n0,pug\n8,beagle\n")
    given = {"images": tmp_path / "train", "suffix": ".jpg", "test": tmp_path / "test"}
    with pytest.raises(UserError) as caught:
        labels_from_csv(tmp_path / "labels.csv", **given)
    assert str(caught.value) == (
        f"{tmp_path}/labels.csv has no row for images in {tmp_path}/train: 1.jpg, 2.jpg, 3.jpg, 4.jpg, 5.jpg ... (7 in "
        "all)\nits rows name 0.jpg, 8.jpg; add rows, remove these images, or skip them in the plugin: "
        "labels_from_csv(..., ignore_unlabelled=True)"
    )
    table = labels_from_csv(tmp_path / "labels.csv", **given, ignore_unlabelled=True)
    assert rows(table) == [("0", "pug", "train"), ("8", "beagle", "train"), ("1", None, "test")]


def test_images_in_the_folders_that_a_csv_names_need_a_row_and_those_in_others_do_not(tmp_path: Path) -> None:
    files(tmp_path, "a/1.jpg", "a/2.jpg", "b/1.jpg", "c/3.jpg", "4.jpg")
    (tmp_path / "labels.csv").write_text("id,breed\na/1,pug\nb/1,beagle\n")
    with pytest.raises(UserError, match=r"has no row for images in \S+: a/2.jpg\n"):
        labels_from_csv(tmp_path / "labels.csv", images=tmp_path, suffix=".jpg")


def test_train_and_test_images_may_lie_in_one_folder(tmp_path: Path) -> None:
    files(tmp_path, *(f"images/{number}.jpg" for number in range(4)))
    (tmp_path / "labels.csv").write_text("id,breed\n1,pug\n2,beagle\n")
    images = tmp_path / "images"
    table = labels_from_csv(tmp_path / "labels.csv", images=images, suffix=".jpg", test=images)
    assert rows(table) == [("1", "pug", "train"), ("2", "beagle", "train"), ("0", None, "test"), ("3", None, "test")]


@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_csv_may_begin_with_a_byte_order_mark(tmp_path: Path, bom: str) -> None:
    (tmp_path / "labels.csv").write_text(f"{bom}id,breed\n1,Münsterländer\n", encoding="utf-8")
    assert rows(labels_from_csv(tmp_path / "labels.csv", images=tmp_path)) == [("1", "Münsterländer", "train")]


def test_ids_of_a_csv_may_be_whole_file_names(tmp_path: Path) -> None:
    files(tmp_path, "test/b.png")
    (tmp_path / "labels.csv").write_text("file,score,kind\na.jpg,3,x\n")
    table = labels_from_csv(
        tmp_path / "labels.csv", images=tmp_path, id_column="file", label_column="kind", test=tmp_path / "test"
    )
    assert rows(table) == [("a.jpg", "x", "train"), ("b.png", None, "test")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ID,breed\n1,pug\n", "unknown column 'id': choose from ID, breed"),
        ("id,breed,size\n1,pug,3\n", "has the columns id, breed, size: the labels' column is ambiguous"),
        ("id\n1\n", "the labels' column is ambiguous"),
        ("", "cannot read .*labels.csv"),
    ],
)
def test_a_csv_with_other_columns_is_refused_with_their_names(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        labels_from_csv(tmp_path / "labels.csv", images=tmp_path)


def test_a_missing_csv_is_named_with_what_is_there(tmp_path: Path) -> None:
    files(tmp_path, "train.csv")
    with pytest.raises(UserError, match=r"no file .*labels.csv\n.* contains: train.csv"):
        labels_from_csv(tmp_path / "labels.csv", images=tmp_path)


def test_a_csv_that_is_a_folder_is_told(tmp_path: Path) -> None:
    files(tmp_path, "labels.csv/part.csv")
    with pytest.raises(UserError, match=r"labels.csv is a folder, not a file\n.*labels.csv contains: part.csv"):
        labels_from_csv(tmp_path / "labels.csv", images=tmp_path)


def test_list_files_give_splits_and_the_second_word_as_the_label(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("# name class\n\na/1.jpg  cat 3\nb/2.jpg dog 4\n")
    (tmp_path / "test.txt").write_text("c/3.jpg cat\n")
    table = labels_from_list({"train": tmp_path / "train.txt", "test": tmp_path / "test.txt"}, images=tmp_path)
    assert rows(table) == [("a/1", "cat", "train"), ("b/2", "dog", "train"), ("c/3", "cat", "test")]
    assert table["path"][0] == str(tmp_path / "a" / "1.jpg")


def test_a_list_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\ufeffa.jpg cat\n", encoding="utf-8")
    assert rows(labels_from_list({"train": tmp_path / "list.txt"}, images=tmp_path)) == [("a", "cat", "train")]


def test_list_files_take_a_suffix_and_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("pug_1 34 2 25\nSt._Bernard_2 35 2 26\n")
    table = labels_from_list({"train": tmp_path / "list.txt"}, images=tmp_path, suffix=".jpg", pattern=r"^(.+)_\d+")
    assert rows(table) == [("pug_1", "pug", "train"), ("St._Bernard_2", "St._Bernard", "train")]
    assert table["path"][1] == str(tmp_path / "St._Bernard_2.jpg")


def test_list_lines_without_a_label_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("1.jpg cat\n2.jpg\n")
    with pytest.raises(UserError, match=r"lines without a label: 2.jpg"):
        labels_from_list({"train": tmp_path / "list.txt"}, images=tmp_path)


def mat_files(folder: Path) -> Path:
    savemat(folder / "labels.mat", {"labels": np.array([[1, 2, 1, 2]], np.uint8)})
    savemat(folder / "setid.mat", {"trnid": np.array([[3, 2]], np.uint16), "tstid": np.array([[1]], np.uint16)})
    return folder


SPLITS = {"trnid": "train", "tstid": "test"}


def test_mat_files_give_labels_and_splits_by_number(tmp_path: Path) -> None:
    folder = mat_files(tmp_path)
    table = labels_from_mat(
        folder / "labels.mat", folder / "setid.mat", images=folder / "jpg", name="image_{:05d}.jpg", variables=SPLITS
    )
    assert rows(table) == [("image_00003", "1", "train"), ("image_00002", "2", "train"), ("image_00001", "1", "test")]
    assert table["path"][0] == str(folder / "jpg" / "image_00003.jpg")


def test_class_names_must_name_every_number_once(tmp_path: Path) -> None:
    folder = mat_files(tmp_path)

    def labels(names: dict[str, str]) -> list[object]:
        table = labels_from_mat(
            folder / "labels.mat",
            folder / "setid.mat",
            images=folder,
            name="{}.jpg",
            variables=SPLITS,
            class_names=names,
        )
        return table["label"].tolist()

    assert labels({"1": "rose", "2": "daisy"}) == ["rose", "daisy", "rose"]
    with pytest.raises(UserError, match="without a name: 2"):
        labels({"1": "rose"})
    with pytest.raises(UserError, match="several class numbers have the same name: rose"):
        labels({"1": "rose", "2": "rose"})


def test_missing_mat_variables_and_labels_are_named(tmp_path: Path) -> None:
    folder = mat_files(tmp_path)
    mats = folder / "labels.mat", folder / "setid.mat"
    with pytest.raises(UserError, match="unknown variable 'trainid': did you mean 'trnid'"):
        labels_from_mat(*mats, images=folder, name="{}.jpg", variables={"trainid": "train"})
    savemat(folder / "setid.mat", {"trnid": np.array([[3, 5, 0]])})
    with pytest.raises(UserError, match="outside 1 to 4, the labelled images: 5, 0"):
        labels_from_mat(*mats, images=folder, name="{}.jpg", variables={"trnid": "train"})
    mats[0].write_text("no MATLAB file at all, but long enough to have a header of 128 bytes" * 3)
    with pytest.raises(UserError, match=r"cannot read .*labels.mat as a MATLAB file"):
        labels_from_mat(*mats, images=folder, name="{}.jpg", variables={"trnid": "train"})


def test_mat_variables_that_are_no_whole_numbers_are_named(tmp_path: Path) -> None:
    folder = mat_files(tmp_path)
    mats = folder / "labels.mat", folder / "setid.mat"
    for values in (np.array([[1.5, 2, 3, 4]]), np.array(["a", "b"]), np.array([[np.nan]]), {"a": 1}):
        savemat(folder / "labels.mat", {"labels": values})
        with pytest.raises(UserError, match=r"labels.mat: labels does not hold whole numbers"):
            labels_from_mat(*mats, images=folder, name="{}.jpg", variables=SPLITS)


def refusal(call: Callable[[], object]) -> str | None:
    try:
        call()
    except UserError as error:
        return error.what
    return None


def damaged_mat(folder: Path, where: int, new: bytes, compressed: bool = False) -> str | None:
    """Return what is said of a file with other bytes at one place; the reader is a process of its own."""
    savemat(folder / "labels.mat", {"labels": np.array([[1, 2, 1, 2]])}, do_compression=compressed)
    savemat(folder / "setid.mat", {"trnid": np.array([[1, 2]]), "tstid": np.array([[3, 4]])})
    raw = bytearray((folder / "labels.mat").read_bytes())
    raw[where : where + len(new)] = new
    (folder / "labels.mat").write_bytes(raw)
    mats = folder / "labels.mat", folder / "setid.mat"
    return refusal(lambda: labels_from_mat(*mats, images=folder, name="{}.jpg", variables=SPLITS))


def test_a_mat_file_that_crashes_its_reader_is_named(tmp_path: Path) -> None:
    said = damaged_mat(tmp_path, 184, b"\x70\x11\x01")  # the type of the numbers, an index into a table of scipy's
    assert said is not None
    assert said.startswith(f"cannot read {tmp_path}/labels.mat as a MATLAB file: ")


@settings(max_examples=6, deadline=None)  # each starts a process
@given(where=st.integers(0, 400), new=st.binary(min_size=1, max_size=8), compressed=st.booleans())
def test_damage_anywhere_in_a_mat_file_is_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, where: int, new: bytes, compressed: bool
) -> None:
    what = damaged_mat(tmp_path_factory.mktemp("mat"), where, new, compressed)
    assert what is None or "labels.mat" in what or "setid.mat" in what  # numbers beyond the labels


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=100))
def test_any_list_file_is_read_or_refused_by_name(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("list") / "train.txt"
    file.write_bytes(content)
    what = refusal(lambda: labels_from_list({"train": file}, images=file.parent, suffix=".jpg"))
    assert what is None or "train.txt" in what


def test_a_list_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes("käfer ant\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"cannot read .*train.txt: it is not UTF-8 text \(byte 0xe4\)"):
        labels_from_list({"train": tmp_path / "train.txt"}, images=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,label,label\n1,a,b\n", "labels.csv has 2 columns named 'label'"),
        ("id;label\n1;a\n", r"unknown column 'id'.*\nit looks separated by semicolons"),
        ("id,label\n1,a,x\n", "more fields than its header"),
    ],
)
def test_columns_that_nobody_can_guess_are_named(tmp_path: Path, text: str, message: str) -> None:
    files(tmp_path, "train/1.jpg")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        labels_from_csv(tmp_path / "labels.csv", images=tmp_path / "train", suffix=".jpg", label_column="label")


def test_commas_at_the_end_of_all_rows_are_ignored(tmp_path: Path) -> None:
    files(tmp_path, "train/1.jpg", "train/2.jpg")
    (tmp_path / "labels.csv").write_text("id,label\n1,a,\n2,b,\n")
    table = labels_from_csv(tmp_path / "labels.csv", images=tmp_path / "train", suffix=".jpg")
    assert table[["id", "label"]].to_numpy().tolist() == [["1", "a"], ["2", "b"]]


def test_test_images_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    files(tmp_path, "10.jpg", "9.jpg", "1.jpg", "hashes/9e1.jpg", "hashes/10a.jpg", "hashes/9.jpg")
    assert unlabelled_images(tmp_path)["id"].tolist() == ["1", "9", "10"]
    assert unlabelled_images(tmp_path / "hashes")["id"].tolist() == ["10a", "9", "9e1"]


def test_labels_stay_none_where_unknown(tmp_path: Path) -> None:
    files(tmp_path, "train/a/1.jpg", "test/1.jpg")
    table = labels_from_folders(tmp_path / "train", test=tmp_path / "test")
    assert table["label"].tolist() == ["a", None]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def zip_file(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_an_archive_is_unpacked_into_the_cache_once(tmp_path: Path, cache: Path) -> None:
    archive = zip_file(tmp_path / "data" / "train.zip", {"train/1.jpg": b"one"})
    archive.parent.chmod(0o555)  # the data folder may be read-only
    folder = unpacked(archive)
    assert (folder / "train" / "1.jpg").read_bytes() == b"one"
    assert folder.is_relative_to(cache)
    (folder / "train" / "1.jpg").write_bytes(b"still here")
    assert unpacked(archive) == folder
    assert (folder / "train" / "1.jpg").read_bytes() == b"still here"
    archive.parent.chmod(0o755)


def test_a_changed_archive_is_unpacked_anew(tmp_path: Path, cache: Path) -> None:
    archive = zip_file(tmp_path / "train.zip", {"1.jpg": b"one"})
    first = unpacked(archive)
    second = unpacked(zip_file(archive, {"1.jpg": b"another"}))
    assert first != second
    assert (second / "1.jpg").read_bytes() == b"another"


def test_what_a_stopped_run_left_is_unpacked_again(tmp_path: Path, cache: Path) -> None:
    archive = zip_file(tmp_path / "train.zip", {"1.jpg": b"one"})
    folder = unpacked(archive)
    folder.rename(folder.with_name(f"{folder.name}.part"))
    (folder.with_name(f"{folder.name}.part") / "1.jpg").write_bytes(b"o")
    assert (unpacked(archive) / "1.jpg").read_bytes() == b"one"
    assert not [path for path in folder.parent.iterdir() if path.name.endswith(".part")]


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/outside.txt", "a/../../outside.txt", "C:/outside.txt"])
def test_an_archive_that_leads_outside_is_refused(tmp_path: Path, cache: Path, name: str) -> None:
    archive = zip_file(tmp_path / "bad.zip", {"fine.txt": b"", name: b"gotcha"})
    with pytest.raises(UserError, match=r"would write outside its folder.*outside.txt"):
        unpacked(archive)
    assert not [path for path in tmp_path.rglob("*") if path.name in ("outside.txt", "fine.txt")]


def test_an_archive_with_links_is_refused(tmp_path: Path, cache: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="or holds links: link"):
        unpacked(tmp_path / "bad.zip")


def test_a_broken_archive_is_named_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    archive = zip_file(tmp_path / "train.zip", {"1.jpg": bytes(range(256)) * 40, "2.jpg": b"two"})
    content = bytearray(archive.read_bytes())
    content[60] ^= 255
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot unpack .*train.zip.*\ndownload it again"):
        unpacked(archive)
    archive.write_bytes(content[:100])
    with pytest.raises(UserError, match=r"cannot unpack .*train.zip: File is not a zip file"):
        unpacked(archive)
    assert not [path for path in (cache / "unpacked").iterdir() if path.suffix not in (".lock", ".used")]


def test_a_missing_archive_is_named(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        unpacked(tmp_path / "train.zip")
