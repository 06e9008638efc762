"""Data folders in the ways of real competitions, each with something that is easily misread.

Each function writes one and returns the class of each labelled image, by its path.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import layouts
from odd_layouts import LEAVES, pictures, sample

Truth = dict[str, str]
N = 12  # labelled images
TESTS = [f"t{i}" for i in range(4)]


def leaf(i: int) -> str:
    return LEAVES[i % 3]


def table(data: Path, name: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    (data / name).parent.mkdir(parents=True, exist_ok=True)
    layouts.write_csv(data / name, [header, *rows])


def dump(data: Path, name: str, content: object) -> None:
    data.mkdir(exist_ok=True)
    (data / name).write_text(json.dumps(content))


def hidden(data: Path, folder: str = "test") -> None:
    pictures(data, [f"{folder}/{name}.jpg" for name in TESTS])


def one_hot(data: Path) -> Truth:
    """Columns of 0 and 1, and the test images in the same folder."""
    names = ("healthy", "rust", "scab")
    pictures(data, [f"images/Train_{i}.jpg" for i in range(N)] + [f"images/{t}.jpg" for t in TESTS])
    table(data, "train.csv", ("image_id", *names), [
        (f"Train_{i}", *("1" if i % 3 == k else "0" for k in range(3))) for i in range(N)
    ])  # fmt: skip
    table(data, "test.csv", ("image_id",), [(t,) for t in TESTS])
    sample(data, TESTS, ("image_id", *names), "0.3", "0.3", "0.4")
    return {f"images/Train_{i}.jpg": names[i % 3] for i in range(N)}


def flags_beside_the_label(data: Path) -> Truth:
    """Columns of 0 and 1 that merely describe the images; the sample has another column."""
    pictures(data, [f"train/{i}.jpg" for i in range(N)])
    hidden(data)
    rows = [(str(i), str(i % 2), str(i // 6), leaf(i)) for i in range(N)]
    table(data, "train.csv", ("id", "blurred", "indoor", "what"), rows)
    sample(data, TESTS, ("id", "Predicted"), "Fagus")
    return {f"train/{i}.jpg": leaf(i) for i in range(N)}


def coco(data: Path) -> Truth:
    """Annotations in COCO's JSON, camera places, test images in another one."""
    pictures(data, [f"train/a{i}.jpg" for i in range(N)])
    hidden(data)
    images = [{"id": f"a{i}", "file_name": f"a{i}.jpg", "location": i % 6, "width": 40} for i in range(N)]
    notes = [{"id": f"x{i}", "image_id": f"a{i}", "category_id": 7 * (i % 3), "count": 1} for i in range(N)]
    kinds = [{"id": 7 * k, "name": LEAVES[k], "supercategory": "tree"} for k in range(3)]
    dump(data, "train_annotations.json", {"images": images, "annotations": notes, "categories": kinds, "info": {}})
    unseen = [{"id": t, "file_name": f"{t}.jpg", "location": 40 + i % 2} for i, t in enumerate(TESTS)]
    dump(data, "test_information.json", {"images": unseen, "categories": kinds})
    dump(data, "detector_results.json", {"images": [], "info": {}})
    sample(data, TESTS, ("Id", "Category"), "0")
    return {f"train/a{i}.jpg": str(7 * (i % 3)) for i in range(N)}


def numbers_for_ids(data: Path) -> Truth:
    """The sample's ids are numbers in a JSON file; folders are not the classes; a file of its own for validation."""
    truth: Truth = {}
    files: dict[str, list[dict[str, object]]] = {"train": [], "val": []}
    for i in range(N):
        part, file = ("val" if i > 8 else "train"), f"{i % 2}/{i % 4}/h{i}.jpg"
        files[part].append({"id": i, "file_name": f"all/{file}"})
        truth[f"all/{file}"] = str(i % 3)
    pictures(data, list(truth))
    for part, images in files.items():
        notes = [{"id": each["id"], "image_id": each["id"], "category_id": int(str(each["id"])) % 3} for each in images]
        dump(data, f"{part}2019.json", {"images": images, "annotations": notes, "categories": []})
    hidden(data, "hidden/0")
    dump(data, "test2019.json", {"images": [{"id": i, "file_name": f"hidden/0/{t}.jpg"} for i, t in enumerate(TESTS)]})
    sample(data, [str(i) for i in range(4)], ("id", "predicted"), "0 1")
    return truth


def mapping(data: Path) -> Truth:
    """A JSON object from file names to classes."""
    pictures(data, [f"train/{i}.jpg" for i in range(N)])
    hidden(data)
    dump(data, "labels.json", {f"{i}.jpg": leaf(i) for i in range(N)})
    sample(data, [f"{t}.jpg" for t in TESTS], ("file", "label"), "Fagus")
    return {f"train/{i}.jpg": leaf(i) for i in range(N)}


def drivers(data: Path) -> Truth:
    """Bare names of images in class folders, and a column of persons."""
    truth = {f"imgs/train/c{i % 3}/img_{i}.jpg": f"c{i % 3}" for i in range(N)}
    pictures(data, list(truth))
    hidden(data, "imgs/test")
    rows = [(f"p{i % 5}", f"c{i % 3}", f"img_{i}.jpg") for i in range(N)]
    table(data, "driver_list.csv", ("subject", "classname", "img"), rows)
    sample(data, [f"{t}.jpg" for t in TESTS], ("img", "c0", "c1", "c2"), "0.3", "0.3", "0.4")
    return truth


def chains(data: Path) -> Truth:
    """Folders of hotel chains; the hotels are in a column that has the sample's words."""
    truth = {f"train_images/{i % 2}/{i}.jpg": str(100 + i % 3) for i in range(N)}
    pictures(data, list(truth))
    hidden(data, "test_images")
    rows = [(f"{i}.jpg", str(i % 2), str(100 + i % 3), f"2015-0{1 + i % 9}") for i in range(N)]
    table(data, "train.csv", ("image", "chain", "hotel_id", "timestamp"), rows)
    sample(data, [f"{t}.jpg" for t in TESTS], ("image", "hotel_id"), "100 101 102")
    return truth


def individuals(data: Path) -> Truth:
    """The species has the better name for labels, but the sample asks for individuals."""
    pictures(data, [f"train/{i}.jpg" for i in range(N)])
    hidden(data)
    rows = [(f"{i}.jpg", ("beluga", "orca")[i % 2], f"w_{i % 3}") for i in range(N)]
    table(data, "train.csv", ("image", "species", "individual_id"), rows)
    sample(data, [f"{t}.jpg" for t in TESTS], ("image", "predictions"), "w_0 w_1")
    return {f"train/{i}.jpg": f"w_{i % 3}" for i in range(N)}


def two_stages(data: Path) -> Truth:
    """Test images in two folders, those of the second one with it in their ids; a sample for each stage."""
    truth = {f"train/{leaf(i)}/img_{i}.jpg": leaf(i) for i in range(N)}
    pictures(data, [*truth, *(f"test_stg1/{t}.jpg" for t in TESTS), *(f"test_stg2/{t}.jpg" for t in TESTS)])
    first = [f"{t}.jpg" for t in TESTS]
    even = ("0.3", "0.3", "0.4")
    for name, ids in {"stg1": first, "stg2": [*first, *(f"test_stg2/{t}" for t in first)]}.items():
        rows = [(image, *even) for image in ids]
        table(data, f"fish_sample_submission_{name}.csv", ("image", *LEAVES), rows)
    return truth


def unscored(data: Path) -> Truth:
    """Test images that the sample does not ask for."""
    pictures(data, [f"train/{i}.jpg" for i in range(N)] + [f"test/u{i}.jpg" for i in range(3)])
    hidden(data)
    table(data, "train.csv", ("id", "label"), [(str(i), leaf(i)) for i in range(N)])
    sample(data, TESTS, ("id", "label"), "Fagus")
    return {f"train/{i}.jpg": leaf(i) for i in range(N)}


def all_in_a_folder(data: Path) -> Truth:
    """Everything lies in a folder, the sample, too."""
    truth = flags_beside_the_label(data / "leaves-2024")
    return {f"leaves-2024/{path}": label for path, label in truth.items()}


def a_benchmark(data: Path) -> Truth:
    """The sample is called a benchmark."""
    pictures(data, [f"train/{i}.jpg" for i in range(N)])
    hidden(data)
    table(data, "train.csv", ("id", "label"), [(str(i), str(i % 2)) for i in range(N)])
    table(data, "all_zeros_benchmark.csv", ("id", "label"), [(t, "0") for t in TESTS])
    return {f"train/{i}.jpg": str(i % 2) for i in range(N)}


def a_zipped_sample(data: Path) -> Truth:
    """The sample is zipped, and its name in another case."""
    truth = mapping(data)
    plain = data / "sample_submission.csv"
    with zipfile.ZipFile(data / "SAMPLE_SUBMISSION.CSV.zip", "w") as archive:
        archive.write(plain, "SAMPLE_SUBMISSION.CSV")
    plain.unlink()
    return truth


def labels_spelt_thrice(data: Path) -> Truth:
    """Three columns spell the label; the test images have all others; patients."""
    pictures(data, [f"jpeg/train/I{i}.jpg" for i in range(24)])
    hidden(data, "jpeg/test")
    facts = [(f"P{i % 8}", ("male", "female")[i // 2 % 2], str(40 + 5 * (i % 5))) for i in range(28)]
    named = [("melanoma", "malignant", "1") if i % 3 == 0 else ("nevus", "benign", "0") for i in range(24)]
    header = ("image_name", "patient_id", "sex", "age", "diagnosis", "benign_malignant", "target")
    table(data, "train.csv", header, [(f"I{i}", *facts[i], *named[i]) for i in range(24)])
    table(data, "test.csv", header[:4], [(t, *facts[24 + i]) for i, t in enumerate(TESTS)])
    sample(data, TESTS, ("image_name", "target"), "0")
    return {f"jpeg/train/I{i}.jpg": named[i][2] for i in range(24)}


def features(data: Path) -> Truth:
    """Train and test images in one folder, and columns of numbers that both have."""
    pictures(data, [f"images/{i}.jpg" for i in range(1, N + 5)])
    facts = [(f"{i / 7:.4f}", str(i % 4)) for i in range(N + 5)]
    table(data, "train.csv", ("id", "species", "margin1", "shape1"), [
        (str(i), leaf(i), *facts[i]) for i in range(1, N + 1)
    ])  # fmt: skip
    table(data, "test.csv", ("id", "margin1", "shape1"), [(str(i), *facts[i]) for i in range(N + 1, N + 5)])
    sample(data, [str(i) for i in range(N + 1, N + 5)], ("id", *LEAVES), "0.3", "0.3", "0.4")
    return {f"images/{i}.jpg": leaf(i) for i in range(1, N + 1)}


def same_numbers(data: Path) -> Truth:
    """The ids are the same numbers in both folders, neither of which is called train or test."""
    pictures(data, [f"seen/{i}.jpg" for i in range(1, N + 1)] + [f"unseen/{i}.jpg" for i in range(1, 5)])
    table(data, "key.csv", ("no", "kind"), [(str(i), leaf(i)) for i in range(1, N + 1)])
    sample(data, [str(i) for i in range(1, 5)], ("no", "kind"), "Fagus")
    return {f"seen/{i}.jpg": leaf(i) for i in range(1, N + 1)}


def rows_for_all(data: Path) -> Truth:
    """One table for all images; those of the test have no label in it."""
    pictures(data, [f"images/{i}.jpg" for i in range(N)] + [f"images/{t}.jpg" for t in TESTS])
    rows = [(f"{i}.jpg", leaf(i)) for i in range(N)] + [(f"{t}.jpg", "") for t in TESTS]
    table(data, "images.csv", ("file", "label"), rows)
    sample(data, [f"{t}.jpg" for t in TESTS], ("file", "label"), "Fagus")
    return {f"images/{i}.jpg": leaf(i) for i in range(N)}


def repeated_rows(data: Path) -> Truth:
    """Rows that are there twice."""
    pictures(data, [f"train/{i}.jpg" for i in range(N)])
    hidden(data)
    rows = [(str(i), leaf(i)) for i in range(N)]
    table(data, "train.csv", ("id", "label"), [*rows, *rows[:3]])
    sample(data, TESTS, ("id", "label"), "Fagus")
    return {f"train/{i}.jpg": leaf(i) for i in range(N)}


def a_split_column(data: Path) -> Truth:
    """A column says which images are for training, validation and test."""
    pictures(data, [f"images/{i}.jpg" for i in range(N)] + [f"images/{t}.jpg" for t in TESTS])
    rows = [(str(i), leaf(i), "train" if i < 9 else "validation") for i in range(N)] + [(t, "", "test") for t in TESTS]
    table(data, "all.csv", ("id", "label", "subset"), rows)
    sample(data, TESTS, ("id", "label"), "Fagus")
    return {f"images/{i}.jpg": leaf(i) for i in range(N)}


def a_split_column_without_tests(data: Path) -> Truth:
    """A column says which labelled images are for validation; the test images are in a folder of their own."""
    pictures(data, [f"train/{i}.jpg" for i in range(N)])
    hidden(data)
    table(
        data, "train.csv", ("id", "label", "split"), [(str(i), leaf(i), "train" if i < 9 else "val") for i in range(N)]
    )
    sample(data, TESTS, ("id", "label"), "Fagus")
    return {f"train/{i}.jpg": leaf(i) for i in range(N)}


def train_and_valid_tables(data: Path) -> Truth:
    """A table for validation, and one that names the test images before all others."""
    pictures(data, [f"train/{i}.jpg" for i in range(9)] + [f"val/{i}.jpg" for i in range(9, N)])
    hidden(data)
    for name, numbers in (("train.csv", range(9)), ("val.csv", range(9, N))):
        table(data, name, ("id", "label"), [(str(i), leaf(i)) for i in numbers])
    table(data, "a_test.csv", ("id", "source"), [(t, "web" if i % 2 else "book") for i, t in enumerate(TESTS)])
    sample(data, TESTS, ("id", "label"), "Fagus")
    return {f"train/{i}.jpg": leaf(i) for i in range(9)} | {f"val/{i}.jpg": leaf(i) for i in range(9, N)}


def a_row_without_an_image(data: Path) -> Truth:
    """A row that names a file of a file manager."""
    pictures(data, [f"train/{i}.jpg" for i in range(60)])
    hidden(data)
    rows = [(".DS_Store", "Fagus"), *((f"{i}.jpg", leaf(i)) for i in range(60))]
    table(data, "train_mapping.csv", ("image", "cultivar"), rows)
    sample(data, [f"{t}.jpg" for t in TESTS], ("filename", "cultivar"), "Fagus")
    return {f"train/{i}.jpg": leaf(i) for i in range(60)}


def eyes(data: Path) -> Truth:
    """The left and the right eye of one person."""
    names = [f"{i // 2}_{('left', 'right')[i % 2]}" for i in range(N)]
    pictures(data, [f"train/{name}.jpeg" for name in names])
    pictures(data, [f"test/{t}_left.jpeg" for t in TESTS])
    table(data, "trainLabels.csv", ("image", "level"), [(name, str(i % 3)) for i, name in enumerate(names)])
    table(data, "sampleSubmission.csv", ("image", "level"), [(f"{t}_left", "0") for t in TESTS])
    return {f"train/{name}.jpeg": str(i % 3) for i, name in enumerate(names)}


def two_levels(data: Path) -> Truth:
    """Folders in folders: the sample names the lower ones."""
    truth = {
        f"train_val/{('Plants', 'Birds')[k % 2]}/{k}/{i}{'abcd'[k]}.jpg": str(k) for k in range(4) for i in range(4)
    }
    pictures(data, list(truth))
    hidden(data)
    sample(data, TESTS, ("id", "predicted"), "0 3")
    return truth


def facts_and_truth(data: Path) -> Truth:
    """A table of facts before the table of labels, which the sample names."""
    pictures(data, [f"train/{i}.jpg" for i in range(N)])
    hidden(data)
    table(data, "train_facts.csv", ("image", "sex"), [(str(i), "fm"[i % 2]) for i in range(N)])
    rows = [(str(i), *(str(float(i % 3 == k)) for k in range(3))) for i in range(N)]
    table(data, "train_truth.csv", ("image", "MEL", "NV", "BCC"), rows)
    sample(data, TESTS, ("image", "MEL", "NV", "BCC"), "0.3", "0.3", "0.4")
    return {f"train/{i}.jpg": ("MEL", "NV", "BCC")[i % 3] for i in range(N)}


def two_numbers(data: Path) -> Truth:
    """A number of the row, which also names images, before the images' numbers; another case and leading zeros."""
    pictures(data, [f"train/{i:04}.jpg" for i in range(1, N + 1)] + [f"test/{i:04}.jpg" for i in range(101, 105)])
    rows = [(str(i), str(i), "ab"[i % 2], str(i % 3)) for i in range(1, N + 1)]
    table(data, "train.csv", ("row", "image_id", "country", "species_id"), rows)
    table(data, "test.csv", ("row", "image_id", "country"), [(str(i), str(100 + i), "ab"[i % 2]) for i in range(1, 5)])
    sample(data, [str(i) for i in range(101, 105)], ("image_id", "prediction"), "0")
    return {f"train/{i:04}.jpg": str(i % 3) for i in range(1, N + 1)}


def a_valid_folder(data: Path) -> Truth:
    """One table for the images in train and in valid."""
    truth = {f"{'train' if i < 9 else 'valid'}/IMG_{i}.jpg": leaf(i) for i in range(N)}
    pictures(data, list(truth))
    hidden(data)
    table(data, "labels.csv", ("id", "label"), [(f"img_{i}", leaf(i)) for i in range(N)])
    sample(data, TESTS, ("id", "label"), "Fagus")
    return truth


def names_of_classes(data: Path) -> Truth:
    """A table of the classes' names, whose numbers are also names of images, beside a table of labels."""
    pictures(data, [f"train/{i}.jpg" for i in range(N)])
    hidden(data)
    table(data, "train.csv", ("id", "class"), [(str(i), leaf(i)) for i in range(N)])
    table(data, "a_classes.csv", ("number", "what"), [(str(k), LEAVES[k % 2]) for k in range(4)])
    sample(data, TESTS, ("id", "label"), "Fagus")
    return {f"train/{i}.jpg": leaf(i) for i in range(N)}


def boxes(data: Path) -> Truth:
    """Class folders, and JSON files of boxes that name no class."""
    truth = {f"train/{leaf(i)}/{i}.jpg": leaf(i) for i in range(N)}
    pictures(data, list(truth))
    hidden(data)
    box = [{"class": "rect", "x": 1.5, "y": 2}]
    dump(data, "boxes.json", [{"class": "image", "filename": f"{i}.jpg", "annotations": box} for i in range(N)])
    sample(data, [f"{t}.jpg" for t in TESTS], ("image", *LEAVES), "0.3", "0.3", "0.4")
    return truth


TRAPS: list[Callable[[Path], Truth]] = [
    one_hot, flags_beside_the_label, coco, numbers_for_ids, mapping, drivers, chains, individuals, two_stages, unscored,
    all_in_a_folder, a_benchmark, a_zipped_sample, labels_spelt_thrice, features, same_numbers, rows_for_all,
    repeated_rows, a_split_column, a_split_column_without_tests, train_and_valid_tables, boxes,
    a_row_without_an_image, eyes, two_levels, facts_and_truth, two_numbers,
    a_valid_folder, names_of_classes,
]  # fmt: skip
GROUPS = {coco: "location", drivers: "subject", labels_spelt_thrice: "patient_id", eyes: "group"}
