"""Data folders in the ways of real competitions that ask for several labels, numbers, grades or several targets.

Each function writes one and returns what a plugin must say of it: the task, and the targets of a few labelled images.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import layouts
from odd_layouts import pictures, sample

N = 16  # labelled images
TESTS = [f"t{i}" for i in range(4)]
LABELS = ("mould", "rust", "scab")


class Expected(NamedTuple):
    """What a plugin says.

    Attributes:
        task: `Competition.task`.
        columns: The columns of its predictions.
        truth: The targets of labelled images, by their path.
    """

    task: str
    columns: tuple[str, ...]
    truth: dict[str, tuple[float, ...]]


def folders(data: Path, suffix: str = ".jpg") -> None:
    pictures(data, [f"train/{i}{suffix}" for i in range(N)] + [f"test/{t}{suffix}" for t in TESTS])


def table(data: Path, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    layouts.write_csv(data / name, [tuple(header), *map(tuple, rows)])


def flags_of(i: int) -> tuple[float, ...]:
    """Return the labels of image i: several, one or none."""
    return (float(i % 2), float(i // 2 % 2), float(i // 4 % 2))


def names_of(i: int) -> list[str]:
    return [name for name, there in zip(LABELS, flags_of(i), strict=True) if there]


def several(first: int = 0) -> Expected:
    """Return the labels of all images, or, from the first one on, of those that have some."""
    truth = {f"train/{i}.jpg": flags_of(i) for i in range(first, N) if first == 0 or names_of(i)}
    return Expected("multi-label", LABELS, truth)


def numbers(columns: tuple[str, ...], of: Callable[[int], tuple[float, ...]]) -> Expected:
    return Expected("regression", columns, {f"train/{i}.jpg": of(i) for i in range(N)})


def columns_of_flags(data: Path) -> Expected:
    """A column a label in train and sample; patients; the annotations' table has several rows an image."""
    folders(data)
    rows = [(str(i), *(f"{each:.0f}" for each in flags_of(i)), f"p{i // 2}") for i in range(N)]
    table(data, "train.csv", ("id", *LABELS, "PatientID"), rows)
    notes = [(str(i), name, f"[[{i}, 2]]") for i in range(6) for name in names_of(i)]
    table(data, "train_annotations.csv", ("id", "label", "points"), notes)
    sample(data, TESTS, ("id", *LABELS), "0", "0", "0")
    return several()


def flags_with_gaps(data: Path) -> Expected:
    """Some labels of some images are unknown."""
    folders(data)
    rows = [[str(i), *(f"{each:.1f}" for each in flags_of(i))] for i in range(N)]
    for i in range(0, N, 5):
        rows[i][2] = ""
    table(data, "train.csv", ("id", *LABELS), rows)
    sample(data, TESTS, ("id", *LABELS), "0.5", "0.5", "0.5")
    unknown = {f"train/{i}.jpg": (flags_of(i)[0], float("nan"), flags_of(i)[2]) for i in range(0, N, 5)}
    return several()._replace(truth={**several().truth, **unknown})


def flags_asked_for_in_a_cell(data: Path) -> Expected:
    """A column a label in train, and their names in one cell of the sample."""
    folders(data)
    table(data, "train.csv", ("id", *LABELS), [(str(i), *(f"{each:.0f}" for each in flags_of(i))) for i in range(N)])
    sample(data, TESTS, ("id", "labels"), "rust scab")
    return several()


def flags_without_a_sample(data: Path) -> Expected:
    folders(data)
    table(data, "train.csv", ("id", *LABELS), [(str(i), *(f"{each:.0f}" for each in flags_of(i))) for i in range(N)])
    return several()


def labels_in_a_cell(data: Path) -> Expected:
    """Sets of labels that occur alone, too; the sample has one of them."""
    folders(data)
    rows = [(f"{i}.jpg", " ".join(names_of(i))) for i in range(N) if names_of(i)]
    table(data, "train.csv", ("image", "labels"), rows)
    sample(data, [f"{t}.jpg" for t in TESTS], ("image", "labels"), "rust")
    return several(first=1)


def numbers_of_labels(data: Path) -> Expected:
    """Labels are numbers; the sample has a placeholder under another name."""
    folders(data)
    rows = [(str(i), " ".join(str(7 * k) for k in range(3) if flags_of(i)[k])) for i in range(N) if names_of(i)]
    table(data, "train.csv", ("Id", "Target"), rows)
    sample(data, TESTS, ("Id", "Predicted"), "0")
    truth = {f"train/{i}.jpg": (flags_of(i)[0], flags_of(i)[2], flags_of(i)[1]) for i in range(N) if names_of(i)}
    return Expected("multi-label", ("0", "14", "7"), truth)


def tags(data: Path) -> Expected:
    """No label occurs alone; the sample has a set that no image has."""
    folders(data)
    sets = ("clear road", "cloudy water", "clear water", "haze road")
    table(data, "train.csv", ("image_name", "tags"), [(str(i), sets[i % 4]) for i in range(N)])
    sample(data, TESTS, ("image_name", "tags"), "clear road water")
    names = ("clear", "cloudy", "haze", "road", "water")
    truth = {f"train/{i}.jpg": tuple(float(name in sets[i % 4].split()) for name in names) for i in range(N)}
    return Expected("multi-label", names, truth)


def bars(data: Path) -> Expected:
    """Names with blanks between bars, no sample."""
    folders(data)
    names = ("Cardiac enlargement", "Edema", "No Finding")
    rows = [
        (f"{i}.jpg", "|".join(names[k] for k in range(3) if flags_of(i)[k]), f"p{i}") for i in range(N) if names_of(i)
    ]
    table(data, "labels.csv", ("Image Index", "Finding Labels", "View"), rows)
    truth = {f"train/{i}.jpg": flags_of(i) for i in range(N) if names_of(i)}
    return Expected("multi-label", names, truth)


def a_row_a_label(data: Path) -> Expected:
    """A row for each image and label; the sample has a column a label."""
    folders(data)
    rows = [(f"{i}.jpg", name) for i in range(N) for name in names_of(i)]
    table(data, "train.csv", ("image", "class"), rows)
    sample(data, [f"{t}.jpg" for t in TESTS], ("image", *LABELS), "0.3", "0.3", "0.3")
    return several(first=1)


def coco_with_several_annotations(data: Path) -> Expected:
    folders(data)
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 40} for i in range(N) if names_of(i)]
    notes = [{"id": 10 * i + k, "image_id": i, "category_id": k} for i in range(N) for k in range(3) if flags_of(i)[k]]
    categories = [{"id": k, "name": name} for k, name in enumerate(LABELS)]
    content = {"images": images, "annotations": notes, "categories": categories}
    (data / "train.json").write_text(json.dumps(content))
    sample(data, [f"{t}.jpg" for t in TESTS], ("file_name", *LABELS), "0", "0", "0")
    return several(first=1)


def lists_in_json(data: Path) -> Expected:
    """COCO's form without ids of annotations, a list of labels in each; ids are numbers in both folders."""
    pictures(data, [f"train/{i}.jpg" for i in range(N)] + [f"test/{i}.jpg" for i in range(4)])
    there = [i for i in range(N) if names_of(i)]
    content = {
        "images": [{"url": f"http://x/{i}.jpg", "imageId": str(i)} for i in there],
        "annotations": [{"imageId": str(i), "labelId": names_of(i)} for i in there],
    }
    (data / "train.json").write_text(json.dumps(content))
    sample(data, [str(i) for i in range(4)], ("image_id", "label_id"), "rust scab")
    return several(first=1)


def findings_of_readers(data: Path) -> Expected:
    """A row for each image, label and reader, with the number of the label beside its name."""
    folders(data)
    rows = [
        (f"{i}", name, str(LABELS.index(name)), reader) for i in range(N) for reader in "ab" for name in names_of(i)
    ]
    table(data, "train.csv", ("image_id", "class_name", "class_id", "rad_id"), rows)
    sample(data, TESTS, ("image_id", *LABELS), "0.5", "0.5", "0.5")
    return several(first=1)


def a_row_a_target_in_the_id(data: Path) -> Expected:
    """Ids of image and label in train and sample, some rows twice."""
    pictures(data, [f"stage_train/ID_{i}.jpg" for i in range(N)] + [f"stage_test/ID_{t}.jpg" for t in TESTS])
    rows = [(f"ID_{i}_{name}", f"{flags_of(i)[k]:.0f}") for i in range(N) for k, name in enumerate(LABELS)]
    table(data, "stage_train.csv", ("ID", "Label"), [*rows, *rows[:3]])
    sample(data, [f"ID_{t}_{name}" for t in TESTS for name in LABELS], ("ID", "Label"), "0.5")
    return Expected("multi-label", LABELS, {f"stage_train/ID_{i}.jpg": flags_of(i) for i in range(N)})


def biomass_of(i: int) -> tuple[float, ...]:
    return (0.25 * i, 3 + i / 2)


def a_row_a_number(data: Path) -> Expected:
    """Ids of image and target with a target's column and a path beside; facts of each image."""
    folders(data)
    names = ("Dry_Clover_g", "Dry_Total_g")
    rows = [
        (f"{i}__{name}", f"train/{i}.jpg", f"2015/9/{1 + i // 4}", name, str(biomass_of(i)[k]))
        for i in range(N)
        for k, name in enumerate(names)
    ]
    table(data, "train.csv", ("sample_id", "image_path", "Sampling_Date", "target_name", "target"), rows)
    tests = [(f"{t}__{name}", f"test/{t}.jpg", name) for t in TESTS for name in names]
    table(data, "test.csv", ("sample_id", "image_path", "target_name"), tests)
    sample(data, [each[0] for each in tests], ("sample_id", "target"), "0.0")
    return numbers(names, biomass_of)


def long_table_wide_sample(data: Path) -> Expected:
    """A row for each image and target in train, a column a target in the sample."""
    folders(data)
    rows = [(f"{i}.jpg", name, str(biomass_of(i)[k])) for k, name in enumerate(("wet", "dry")) for i in range(N)]
    table(data, "train.csv", ("image", "what", "grams"), rows)
    sample(data, [f"{t}.jpg" for t in TESTS], ("image", "dry", "wet"), "0", "0")
    return numbers(("dry", "wet"), lambda i: biomass_of(i)[::-1])


def shared_folder_of_rows(data: Path) -> Expected:
    """Train and test images in one folder; the sample has a row for each image and target."""
    pictures(data, [f"images/{i}.jpg" for i in range(N)] + [f"images/{t}.jpg" for t in TESTS])
    table(data, "train.csv", ("id", "dry", "wet"), [(str(i), *map(str, biomass_of(i))) for i in range(N)])
    sample(data, [f"{t}_{name}" for t in TESTS for name in ("dry", "wet")], ("id_target", "value"), "0.0")
    return Expected("regression", ("dry", "wet"), {f"images/{i}.jpg": biomass_of(i) for i in range(N)})


def one_number(data: Path) -> Expected:
    """A number that repeats, flags beside it that the test images have, too."""
    folders(data)
    facts = [(str(i % 2), str(i // 6 % 2)) for i in range(N)]
    rows = [(str(i), *facts[i], str(20 + i % 5)) for i in range(N)]
    table(data, "train.csv", ("Id", "Eyes", "Face", "Score"), rows)
    table(data, "test.csv", ("Id", "Eyes", "Face"), [(t, "0", "1") for t in TESTS])
    sample(data, TESTS, ("Id", "Score"), "31.5")
    return numbers(("label",), lambda i: (20 + i % 5,))


def a_number_under_another_name(data: Path) -> Expected:
    folders(data)
    table(data, "train.csv", ("image", "kind", "bone_age"), [(str(i), "mf"[i % 2], str(10 + 3 * i)) for i in range(N)])
    table(data, "test.csv", ("image", "kind"), [(t, "mf"[i % 2]) for i, t in enumerate(TESTS)])
    sample(data, TESTS, ("image", "predicted"), "100.5")
    return numbers(("label",), lambda i: (10 + 3 * i,))


def shares(data: Path) -> Expected:
    """Columns of shares in train and sample."""
    folders(data)
    names = ("Class1.1", "Class1.2", "Class2.1")
    table(data, "train.csv", ("GalaxyID", *names), [(str(i), *(str(x) for x in share_of(i))) for i in range(N)])
    sample(data, TESTS, ("GalaxyID", *names), "0", "0", "0")
    return numbers(names, share_of)


def share_of(i: int) -> tuple[float, ...]:
    return (i / N, 1 - i / N, (i % 4) / 8)


def a_benchmark_of_numbers(data: Path) -> Expected:
    """The sample is called a benchmark, and holds the same numbers for each test image."""
    pictures(data, [f"images_training/{i}.jpg" for i in range(N)] + [f"images_test/{t}.jpg" for t in TESTS])
    names = ("Class1.1", "Class1.2", "Class2.1")
    rows = [(str(i), *(str(x) for x in share_of(i))) for i in range(N)]
    table(data, "training_solutions.csv", ("GalaxyID", *names), rows)
    table(data, "all_zeros_benchmark.csv", ("GalaxyID", *names), [(t, "0", "0", "0") for t in TESTS])
    return Expected("regression", names, {f"images_training/{i}.jpg": share_of(i) for i in range(N)})


def numbers_without_a_sample(data: Path) -> Expected:
    folders(data)
    table(data, "t.csv", ("id", "age"), [(str(i), f"{i / 7:.3f}") for i in range(N)])
    return numbers(("label",), lambda i: (float(f"{i / 7:.3f}"),))


def breasts(data: Path) -> None:
    """A row of the CSV is a patient's side; the test's table has its id, the train's table has its parts."""
    pictures(data, [f"train/{i // 4}/{i}.jpg" for i in range(N)] + [f"test/{8 + i // 2}/t{i}.jpg" for i in range(4)])
    rows = [(str(i // 4), str(i), "LR"[i // 2 % 2], str(i // 2 % 2)) for i in range(N)]
    layouts.write_csv(data / "train.csv", [("patient_id", "image_id", "laterality", "cancer"), *rows])
    tests = [(str(8 + i // 2), f"t{i}", "LR"[i // 2], f"{8 + i // 2}_{'LR'[i // 2]}") for i in range(4)]
    layouts.write_csv(data / "test.csv", [("patient_id", "image_id", "laterality", "prediction_id"), *tests])
    sample(data, ["8_L", "9_R"], ("prediction_id", "cancer"), "0.02")


TARGET_LAYOUTS = (
    columns_of_flags,
    flags_with_gaps,
    flags_asked_for_in_a_cell,
    flags_without_a_sample,
    labels_in_a_cell,
    numbers_of_labels,
    tags,
    bars,
    a_row_a_label,
    coco_with_several_annotations,
    lists_in_json,
    findings_of_readers,
    a_row_a_target_in_the_id,
    a_row_a_number,
    long_table_wide_sample,
    shared_folder_of_rows,
    one_number,
    a_number_under_another_name,
    shares,
    a_benchmark_of_numbers,
    numbers_without_a_sample,
)
