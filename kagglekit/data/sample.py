"""Find and read the sample submission, under whatever name a competition ships it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.containers.sniff import holds_pixels
from kagglekit.data.csv_file import read_csv
from kagglekit.data.listing import entries_of, is_hidden, subfolders
from kagglekit.data.long_form import split_ids
from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_NAMES = ("sample_submission.csv", "sampleSubmission.csv", "SampleSubmission.csv")
AGAIN = "download it again"
LEAST_SHARE = 0.5  # of a file's rows that must name training images
LARGEST = 500 * 10**6  # bytes of a CSV that is examined without being named a sample


@dataclass(frozen=True)
class Sample:
    """A sample submission.

    Attributes:
        file: Where it is.
        rows: Its rows, all as text; the first column holds the ids.
    """

    file: Path
    rows: pd.DataFrame


@dataclass(frozen=True)
class Wanted:
    """The images and classes that a sample submission must be about.

    Attributes:
        images: Names of each test image, any of which its id may be: id, path, file name, file name without suffix.
        classes: The class names.
        targets: Names of the columns that hold the labels of training images.
        metadata: Names of the other columns beside training images.
        itself: A file that is no sample, although it fits.
        n_rows: The number of the CSV's rows that several images share; 0 if none do.
    """

    images: Sequence[frozenset[str]]
    classes: frozenset[str]
    targets: frozenset[str] = field(default_factory=frozenset)
    metadata: frozenset[str] = field(default_factory=frozenset)
    itself: Path | None = None
    n_rows: int = 0


def is_sample_name(name: str) -> bool:
    """Return whether a file's name says that it is a sample submission, in any spelling."""
    plain = re.sub(r"[^a-z]", "", name.lower())
    return "samplesub" in plain and name.lower().endswith((".csv", ".csv.zip", ".zip"))


def samples_named(data: Path) -> list[Path]:
    """Return the files whose names say that they are sample submissions: the usual one alone, else all."""
    usual = _usual(data)
    return [usual] if usual else [file for file in _tables(data) if is_sample_name(file.name)]


def find_sample(data: Path, wanted: Wanted | None, asked: Path | None = None) -> Sample | None:
    """Find a folder's sample submission: the one asked for, else by its usual name, else by its content.

    A CSV fits if its first column names the test images, and its other columns are what is to be predicted.

    Args:
        data: The data folder.
        wanted: What it must be about; None to go by names alone.
        asked: A file, or its name in the data folder; None to look for one.

    Returns:
        None if there is none.

    Raises:
        UserError: Several files fit, or the file cannot be read.
    """
    if asked is not None:
        return sample_at(asked_sample(data, asked))
    if usual := _usual(data):
        return sample_at(usual)
    files = _tables(data)
    named = [file for file in files if is_sample_name(file.name)]
    fitting = [file for file in files if wanted is not None and _fits(file, wanted)]
    whole = [file for file in fitting if wanted is not None and _lists_exactly(file, wanted)]
    file = _alone(fitting or named) or _alone(whole)
    if file is None and (fitting or named):
        raise UserError(
            f"several files in {data} could be the sample submission: {listing([f.name for f in fitting or named])}",
            "name the right one with --sample FILE",
        )
    return sample_at(file) if file else None


def sample_for(table: pd.DataFrame, data: Path, classes: Sequence[str], asked: Path | None = None) -> Sample | None:
    """Return the sample submission for the test images of a table, if there are any: see `find_sample`."""
    if not (table["split"] == "test").any():
        return None
    return find_sample(data, wanted_of(table, data, classes), asked)


def sample_at(file: Path) -> Sample:
    """Read a sample submission.

    Raises:
        UserError: The file cannot be read as a CSV, has a single column, no rows, or an id twice.
    """
    rows = read_csv(file, AGAIN)
    columns = list(rows.columns)
    if len(columns) < 2 or rows.empty:
        raise UserError(f"{file} has {len(columns)} columns and {len(rows)} rows", AGAIN)
    if len(set(columns)) < len(columns):
        twice = dict.fromkeys(name for name in columns if columns.count(name) > 1)
        raise UserError(f"{file} has duplicate columns: {listing(list(twice))}", AGAIN)
    ids = rows.iloc[:, 0]
    if not ids.is_unique:
        raise UserError(f"{file} has duplicate ids: {listing(list(ids[ids.duplicated()].unique()))}", AGAIN)
    return Sample(file, rows)


def checked_against(sample: Sample | None) -> str:
    """Return the end of the message that a CSV is written: what it was checked against."""
    return f", checked against {sample.file.name}" if sample else ", without a sample submission to check it against"


def no_sample(data: Path) -> str:
    """Return the warning that a data folder has no sample submission."""
    return (
        f"no sample submission in {data}: the CSV's columns are a guess; compare them with the competition's page, or "
        "name the sample with --sample FILE"
    )


def wanted_of(table: pd.DataFrame, data: Path, classes: Sequence[str]) -> Wanted:
    """Return what a sample submission for an image table must be about; empty without test images."""
    test = table[table["split"] == "test"]
    images = [names_of(str(image), Path(str(path)), data) for image, path in zip(test["id"], test["path"], strict=True)]
    n_rows = 0
    if "row" in test:  # the CSV's rows are named so, and may have several images each
        n_rows = test["row"].nunique()
        images = [names | {str(row)} for names, row in zip(images, test["row"], strict=True)]
    targets, metadata = _columns_of_training(table, data) if images and not _usual(data) else ((), ())
    return Wanted(images, frozenset(classes), frozenset(targets), frozenset(metadata), n_rows=n_rows)


def names_of(image: str, path: Path, data: Path) -> frozenset[str]:
    """Return the names under which a sample submission may list a test image."""
    names = {image, path.name, path.stem}
    if path.is_relative_to(data):
        names |= {path.relative_to(data).as_posix(), path.relative_to(data).with_suffix("").as_posix()}
    return frozenset(names)


def _usual(data: Path) -> Path | None:
    names = [name + ending for ending in ("", ".zip") for name in SAMPLE_NAMES]
    return next((data / name for name in names if (data / name).is_file()), None)


def _alone(files: Sequence[Path]) -> Path | None:
    return files[0] if len(files) == 1 else None


def _tables(data: Path) -> list[Path]:
    """Return the CSV files in a folder, in order; in its subfolders those named samples, or all if it has none."""
    own = _tables_in(data)
    below = [file for folder in subfolders(data) for file in _tables_in(folder)]
    return [*own, *(file for file in below if not own or is_sample_name(file.name))]


def _tables_in(folder: Path) -> list[Path]:
    """Return the CSV files right in a folder, in order; a zipped one only if it is not unpacked beside."""
    files = [Path(entry.path) for entry in entries_of(folder) if _is_file(entry)]
    plain = [file for file in files if file.suffix.lower() == ".csv"]
    names = {file.stem for file in plain}
    zipped = [file for file in files if file.suffix.lower() == ".zip" and _is_table(file.stem, file.name)]
    return sorted([*plain, *(file for file in zipped if file.stem.partition(".")[0] not in names)])


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower().endswith((".csv", ".zip")) and not is_hidden(entry.name) and entry.is_file()


def _is_table(stem: str, name: str) -> bool:
    """Return whether a zip file holds a CSV, by its name: the training images may have gigabytes."""
    return stem.lower().endswith(".csv") or is_sample_name(name)


def asked_sample(data: Path, asked: Path) -> Path:
    """Return the sample submission that the user named: a file, or its name in the data folder.

    Raises:
        UserError: There is no such file.
    """
    places = [asked, data / asked, data / asked.name]
    if found := next((place for place in places if place.is_file()), None):
        return found
    raise UserError(f"there is no sample submission {asked}", f"CSV files in {data}: {_names(_tables(data))}")


def _names(files: Sequence[Path]) -> str:
    return listing([file.name for file in files], 8) or "none"


def _read(file: Path) -> pd.DataFrame | None:
    """Read a CSV that may be anything; None if it is too large or damaged, or has no two columns."""
    try:
        rows = read_csv(file) if file.stat().st_size <= LARGEST and not holds_pixels(file) else None
    except UserError:  # of another kind: a sample that nobody names is not worth an error
        return None
    return None if rows is None or rows.empty or len(rows.columns) < 2 else rows


def _fits(file: Path, wanted: Wanted) -> bool:
    rows = _read(file)
    if rows is None or not wanted.images or (wanted.itself and file.samefile(wanted.itself)):
        return False
    ids, named = _ids_in(rows, wanted), is_sample_name(file.name)
    listed = sum(not names.isdisjoint(ids) for names in wanted.images)
    if not named and (listed < len(wanted.images) or len(ids) > listed):
        return False
    return listed > 0 and _predicts(rows, wanted, named)


def _ids_in(rows: pd.DataFrame, wanted: Wanted) -> set[str]:
    """Return the ids in the first column of a CSV; of a row for each image and target, those of the images."""
    ids = rows.iloc[:, 0].tolist()
    if len(rows.columns) != 2 or not frozenset(ids).isdisjoint(frozenset().union(*wanted.images)):
        return set(ids)
    pairs = split_ids(ids, sorted(wanted.classes))
    return {image for image, _ in pairs} if pairs else set(ids)


def _lists_exactly(file: Path, wanted: Wanted) -> bool:
    """Return whether a CSV has a row for each test image and no other one."""
    rows = _read(file)
    if rows is None:
        return False
    ids = _ids_in(rows, wanted)
    if len(ids) not in (len(wanted.images), wanted.n_rows):
        return False
    return ids <= frozenset().union(*wanted.images) and all(not names.isdisjoint(ids) for names in wanted.images)


def _predicts(rows: pd.DataFrame, wanted: Wanted, named: bool) -> bool:
    """Return whether the columns after the first one are what is to be predicted."""
    columns = [str(name) for name in rows.columns[1:]]
    if len(columns) > 1:
        return 2 * len(wanted.classes.intersection(columns)) >= len(columns)
    if columns[0] in wanted.targets | wanted.classes:
        return True
    if columns[0] in wanted.metadata:
        return False
    values = set(rows.iloc[:, 1])
    words = {word for value in values for word in value.split()}
    return named or values <= wanted.classes or (bool(words) and words <= wanted.classes)


def _columns_of_training(table: pd.DataFrame, data: Path) -> tuple[set[str], set[str]]:
    """Return the names of the columns that hold the labels of the training images, and of those beside them."""
    known = table[table["split"] != "test"]
    labels: dict[str, str] = {}
    for image, path, label in zip(known["id"], known["path"], known["label"], strict=True):
        labels |= dict.fromkeys(names_of(str(image), Path(str(path)), data), str(label))
    targets: set[str] = set()
    others: set[str] = set()
    for file in _tables(data):
        rows = _read(file)
        truth = None if rows is None else _truth(rows, labels)
        if rows is None or truth is None:
            continue
        for i, name in enumerate(map(str, rows.columns)):
            same = rows.iloc[:, i].str.strip()[truth.notna()] == truth.dropna()
            (targets if same.all() else others).add(name)
    return targets, others - targets


def _truth(rows: pd.DataFrame, labels: dict[str, str]) -> pd.Series[str] | None:
    """Return each row's label by the column that names training images; None if no column names most of them."""
    found = [rows.iloc[:, i].map(labels) for i in range(len(rows.columns))]
    best = max(found, key=lambda truth: float(truth.notna().mean()))
    return best if best.notna().mean() >= LEAST_SHARE else None
