"""Detect the layout of an unknown data folder: labels, test images, the form of the CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.class_folders import (
    TEST,
    TRAIN,
    VALID,
    ClassFolders,
    class_folders,
    is_class_folder,
    is_named,
)
from kagglekit.authoring.detect.csv_labels import Table, find_tables, match_files
from kagglekit.authoring.detect.file_names import FileNames, find_names
from kagglekit.authoring.detect.layout import DataLayout, Labels, TestImages
from kagglekit.authoring.detect.notes import notes_of, with_helpers
from kagglekit.authoring.detect.sample_form import sample_form
from kagglekit.data.listing import folders_below, image_names, what_is_there
from kagglekit.data.sample import read_sample
from kagglekit.eda.headers import read_header
from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    import pandas as pd

MOST_HEADERS = 200  # images whose size is read


def detect_layout(data: Path, metric: str = "") -> DataLayout:
    """Detect the layout of a data folder.

    Args:
        data: The folder.
        metric: The competition's, which may decide what the CSV holds; empty if it is unknown.

    Raises:
        UserError: It holds no images, or no labels in a supported layout; the message says which are supported.
    """
    files = _image_folders(data)
    sample = read_sample(data)
    labels, unread = _labels(data, _without_tests(files, sample), sample)
    test = _test_images(files, labels, sample)
    asked = None if sample is None else sample_form(sample, labels.classes, metric)
    notes = notes_of(data, files, DataLayout(labels, test, asked, 0, unread), sample)
    return DataLayout(labels, test, asked, _short_side(data, files), notes)


def _image_folders(data: Path) -> dict[str, list[str]]:
    """Return the names of the images in each folder that has some, by its path relative to `data` (``.`` is ``""``)."""
    if not data.is_dir():
        raise UserError(f"the data folder {data} does not exist", what_is_there(data))
    found = {_relative(folder, data): names for folder in folders_below(data) if (names := image_names(folder))}
    if not found:
        zipped = [path.name for path in sorted(data.glob("*.zip"))]
        hint = f"unzip {listing(zipped)} first" if zipped else what_is_there(data / "*")
        raise UserError(f"no images in {data}", hint)
    return found


def _without_tests(files: Mapping[str, list[str]], sample: pd.DataFrame | None) -> dict[str, list[str]]:
    """Leave out the folders whose images are exactly those of sample_submission.csv, whether called test or not."""
    ids = set() if sample is None else {PurePosixPath(image).stem for image in sample.iloc[:, 0]}
    left = {f: names for f, names in files.items() if {PurePosixPath(name).stem for name in names} != ids}
    return left or dict(files)


def _relative(folder: Path, data: Path) -> str:
    return "" if folder == data else folder.relative_to(data).as_posix()


def _labels(data: Path, files: Mapping[str, list[str]], sample: pd.DataFrame | None) -> tuple[Labels, tuple[str, ...]]:
    """Find the labels: a CSV that names images comes before class folders, and these before file names.

    Returns:
        The labels, and the tables that are of no use, each with the reason.
    """
    folders = class_folders(files)
    no_tests = {folder: names for folder, names in files.items() if not is_named(folder, TEST)}
    tables = find_tables(data, no_tests or files, _asked_names(sample))
    if tables.refused and not (tables.best or folders):
        raise tables.refused
    unread = (*tables.unread, *([f"not used: {tables.refused.what}"] if tables.refused else []))
    if labels := tables.best or folders or names_with_labels(files):
        return labels, unread
    raise UserError(
        "; ".join([f"no labels detected in {data}: {what_is_there(data / '*')}", *unread]),
        "supported are class folders (train/CLASS/1.jpg), a CSV file with a column of image names and one of labels, "
        "and file names with the class (birch_12.jpg); for anything else leave out --from-data and write "
        f"kagglekit_labels yourself{with_helpers(data, files)}",
    )


def _asked_names(sample: pd.DataFrame | None) -> frozenset[str]:
    """Return the column names and values of sample_submission.csv that may be class names."""
    return frozenset() if sample is None else frozenset((*map(str, sample.columns[1:]), *sample.iloc[:, 1]))


def names_with_labels(files: Mapping[str, list[str]]) -> FileNames | None:
    """Find the folder whose file names hold labels, preferably one called train, then the one with most images."""
    own = [folder for folder in files if not (is_named(folder, TEST) or is_named(folder, VALID))]
    likely = sorted(own, key=lambda folder: (not is_named(folder, TRAIN), -len(files[folder])))
    parts = (TRAIN, VALID, TEST)
    return find_names({f: files[f] for f in likely}, lambda name: not any(is_named(name, part) for part in parts))


def _test_images(files: Mapping[str, list[str]], labels: Labels, sample: pd.DataFrame | None) -> TestImages | None:
    """Find the test images by the ids in sample_submission.csv, else by the folder's name."""
    own = None if isinstance(labels, ClassFolders) else labels.images
    named = [folder for folder in files if is_named(folder, TEST)]
    if sample is not None:
        folders = {
            f: n for f, n in files.items() if not isinstance(labels, ClassFolders) or not is_class_folder(f, labels)
        }
        first = [*named, *(folder for folder in files if folder != own)]
        for prefix, ids in _readings_of_ids(sample.iloc[:, 0]):
            if match := match_files(ids, folders, first):
                return TestImages(match.images, match.suffix, shared=match.images == own, prefix=prefix)
    if len(named) > 1 and isinstance(labels, ClassFolders):
        above = {folder.rpartition("/")[0] for folder in named}
        if len(above) == 1 and {folder.rpartition("/")[2] for folder in named} <= set(labels.classes):
            return TestImages(above.pop(), labelled=True)
    return TestImages(named[0], labels.suffix if isinstance(labels, Table) else None) if named else None


def _readings_of_ids(ids: pd.Series[str]) -> Iterator[tuple[str, pd.Series[str]]]:
    """Yield no prefix and the ids; then, if all ids begin with the same folder, this prefix and the rest of each id."""
    yield "", ids
    parts = ids.str.rpartition("/")
    if parts[0].nunique() == 1 and parts[0].iloc[0]:
        yield f"{parts[0].iloc[0]}/", parts[2]


def _short_side(data: Path, files: Mapping[str, list[str]]) -> int:
    """Return the median short side of some images, px; unreadable ones do not count (`kagglekit look` names them)."""
    paths = [data / folder / name for folder, names in files.items() for name in names]
    sides = []
    for path in paths[:: -(-len(paths) // MOST_HEADERS)]:
        with suppress(ValueError):
            header = read_header(str(path))
            sides.append(min(header.width, header.height))
    return sorted(sides)[len(sides) // 2] if sides else 0
