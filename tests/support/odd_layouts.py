"""Data folders in layouts that no plugin of ours has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import layouts

from kagglekit.authoring.detect.data_folder import detect_layout
from kagglekit.authoring.detect.layout import DataLayout
from kagglekit.authoring.plugin_facts import Facts
from kagglekit.authoring.scaffold import plugin_text
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load

LEAVES = ("Acer rubrum", "Betula pendula", "Fagus")


def pictures(data: Path, files: list[str]) -> None:
    for number, file in enumerate(files):
        layouts.write_picture(data / file, number % 3, file, width=40, height=32)


def class_folders(data: Path, names: tuple[str, ...] = LEAVES, n: int = 4) -> None:
    pictures(data, [f"{name}/{i}{'abc'[k]}.jpg" for k, name in enumerate(names) for i in range(n)])


def sample(data: Path, ids: list[str], columns: tuple[str, ...], *values: str) -> None:
    layouts.write_csv(data / "sample_submission.csv", [columns, *((image, *values) for image in ids)])


def classes_beside_test(data: Path) -> None:
    class_folders(data)
    pictures(data, [f"test/{i}.png" for i in range(5)])
    sample(data, [f"{i}.png" for i in range(5)], ("file", *LEAVES), "0.3", "0.3", "0.4")


def train_valid_nested_test(data: Path) -> None:
    class_folders(data / "archive" / "training_set")
    class_folders(data / "archive" / "validation", n=2)
    pictures(data, [f"archive/test/unknown/{i}.jpg" for i in range(4)])
    sample(data, [str(i) for i in range(4)], ("id", "species"), "Fagus")


def labelled_test(data: Path) -> None:
    class_folders(data / "train")
    class_folders(data / "test", n=2)


def odd_columns(data: Path) -> None:
    names = [f"p{i:03}" for i in range(12)]
    pictures(data, [f"train_images/{name}.jpg" for name in names] + [f"test_images/q{i}.jpg" for i in range(4)])
    rows = [(f"{name}.jpg", str(i % 5), LEAVES[i % 3]) for i, name in enumerate(names)]
    layouts.write_csv(data / "meta.csv", [("Bild", "site", "Art"), *rows])
    sample(data, [f"q{i}" for i in range(4)], ("Bild", "Art"), "Fagus")


def paths_in_the_table(data: Path) -> None:
    pictures(data, [f"images/a/{i}.png" for i in range(6)] + [f"images/b/{i}.png" for i in range(6)])
    rows = [(f"{'ab'[i % 2]}/{i // 2}.png", LEAVES[i % 3]) for i in range(12)]
    layouts.write_csv(data / "list.csv", [("path", "what"), *rows])


def one_folder_for_all(data: Path) -> None:
    pictures(data, [f"images/{i}.jpg" for i in range(16)])
    layouts.write_csv(data / "train.csv", [("image_id", "label"), *((str(i), LEAVES[i % 3]) for i in range(12))])
    sample(data, [str(i) for i in range(12, 16)], ("image_id", "label"), "Fagus")


def one_folder_and_other_ids(data: Path) -> None:
    one_folder_for_all(data)
    sample(data, [f"{i}.jpg" for i in range(12, 16)], ("image_id", "label"), "Fagus")


def images_without_a_row(data: Path) -> None:
    pictures(data, [f"train/{i}.jpg" for i in range(15)] + [f"test/{i}.jpg" for i in range(4)])
    layouts.write_csv(data / "train.csv", [("image_id", "label"), *((str(i), LEAVES[i % 3]) for i in range(12))])
    sample(data, [str(i) for i in range(4)], ("image_id", "label"), "Fagus")


def spelt_otherwise(data: Path) -> None:
    class_folders(data / "train", ("acer_rubrum", "betula-pendula", "fagus"))
    pictures(data, [f"test/{i}.jpg" for i in range(4)])
    sample(data, [str(i) for i in range(4)], ("id", *LEAVES), "0.3", "0.3", "0.4")


def placeholder(data: Path) -> None:
    class_folders(data / "train")
    pictures(data, [f"test/{i}.jpg" for i in range(4)])
    sample(data, [str(i) for i in range(4)], ("id", "species"), "?")


def other_columns(data: Path) -> None:
    class_folders(data / "train")
    pictures(data, [f"test/{i}.jpg" for i in range(4)])
    sample(data, [str(i) for i in range(4)], ("id", "p0", "p1", "p2"), "0.3", "0.3", "0.4")


def two_classes(data: Path) -> None:
    class_folders(data / "train", ("healthy", "ill"))
    pictures(data, [f"test/{i}.jpg" for i in range(4)])
    sample(data, [str(i) for i in range(4)], ("id", "ill"), "0.5")


def labels_in_names(data: Path) -> None:
    pictures(data, [f"images/{LEAVES[i % 3]}_{i}.jpg" for i in range(12)] + [f"to_predict/{i}.jpg" for i in range(4)])
    sample(data, [str(i) for i in range(4)], ("id", "label"), "Fagus")


def whole_file_names(data: Path) -> None:
    pictures(data, [f"train/{LEAVES[i % 3]} ({i}).png" for i in range(12)] + [f"test/{i}.jpg" for i in range(4)])
    sample(data, [f"{i}.jpg" for i in range(4)], ("file", "label"), "Fagus")


def sites_in_classes(data: Path) -> None:
    files = [f"{name}/site-{i % 2}/{i}.jpg" for name in LEAVES for i in range(4)]
    pictures(data, [f"set/train/{file}" for file in files] + [f"set/valid/{file}" for file in files[::2]])
    pictures(data, [f"set/holdout/{i}.jpg" for i in range(5)])
    sample(data, [f"holdout/{i}.jpg" for i in range(5)], ("Id", "Category"), "Fagus")


def blank_sample(data: Path) -> None:
    pictures(data, [f"all/p{i}.png" for i in range(16)])
    rows = [(f"p{i}", "ab"[i % 2], LEAVES[i % 3]) for i in range(12)]
    (data / "meta").mkdir()
    layouts.write_csv(data / "meta" / "v2.csv", [("No", "type", "what"), *rows])
    sample(data, [f"p{i}" for i in range(12, 16)], ("Id", "Category"), "")


def one_spelling(data: Path) -> None:
    class_folders(data / "train")
    pictures(data, [f"test/{i}.jpg" for i in range(4)])
    sample(data, [str(i) for i in range(4)], ("Id", "Category"), "acer_rubrum")


def names_as_paths(data: Path) -> None:
    pictures(data, [f"train/{LEAVES[i % 3]}-{i}.JPG" for i in range(12)] + [f"test_set/{i}.JPG" for i in range(4)])
    sample(data, [f"test_set/{i}.JPG" for i in range(4)], ("Id", "Category"), "Fagus Fagus")


def the_sample_tells_the_column(data: Path) -> None:
    pictures(data, [f"train/{i}.jpg" for i in range(12)] + [f"test/{i}.jpg" for i in range(4)])
    rows = [(str(i), "ab"[i % 2], LEAVES[i % 3]) for i in range(12)]
    layouts.write_csv(data / "train.csv", [("id", "type", "what"), *rows])
    sample(data, [str(i) for i in range(4)], ("id", "guess"), "Fagus")


LAYOUTS: dict[Callable[[Path], None], tuple[dict[str, int], list[str] | None]] = {  # images by split, and the CSV's
    classes_beside_test: ({"train": 12, "test": 5}, ["file", *LEAVES]),  # columns
    train_valid_nested_test: ({"train": 12, "valid": 6, "test": 4}, ["id", "species"]),
    labelled_test: ({"train": 12, "test": 6}, None),
    odd_columns: ({"train": 12, "test": 4}, ["Bild", "Art"]),
    paths_in_the_table: ({"train": 12}, None),
    one_folder_for_all: ({"train": 12, "test": 4}, ["image_id", "label"]),
    one_folder_and_other_ids: ({"train": 12, "test": 4}, ["image_id", "label"]),
    images_without_a_row: ({"train": 12, "test": 4}, ["image_id", "label"]),
    spelt_otherwise: ({"train": 12, "test": 4}, ["id", *LEAVES]),
    placeholder: ({"train": 12, "test": 4}, ["id", "species"]),
    other_columns: ({"train": 12, "test": 4}, ["id", "p0", "p1", "p2"]),
    labels_in_names: ({"train": 12, "test": 4}, ["id", "label"]),
    whole_file_names: ({"train": 12, "test": 4}, ["file", "label"]),
    sites_in_classes: ({"train": 12, "valid": 6, "test": 5}, ["Id", "Category"]),
    blank_sample: ({"train": 12, "test": 4}, ["Id", "Category"]),
    one_spelling: ({"train": 12, "test": 4}, ["Id", "Category"]),
    names_as_paths: ({"train": 12, "test": 4}, ["Id", "Category"]),
    the_sample_tells_the_column: ({"train": 12, "test": 4}, ["id", "guess"]),
    two_classes: ({"train": 8, "test": 4}, ["id", "ill"]),
}


def begun(folder: Path, write: Callable[[Path], object], metric: str = "") -> tuple[DataLayout, Hooks, str]:
    """Return what is detected in a data folder, and the plugin that is written for it."""
    write(folder / "data")
    layout = detect_layout(folder / "data", metric)
    text = plugin_text(Facts("leaves", metric=metric), layout)
    (folder / "leaves.py").write_text(text)
    return layout, Hooks(load(str(folder / "leaves.py"))), text
