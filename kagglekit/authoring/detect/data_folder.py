"""Detect the layout of an unknown data folder: labels, test images, the form of the CSV.

A reading of the folder must explain its images and the sample submission: a class for each image, classes that the
sample names, test images that its ids mean. Files that list images come before class folders, and these before file
names, unless the sample submission agrees with another one only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kagglekit.authoring.detect.asked import Asked
from kagglekit.authoring.detect.channels import join_channels
from kagglekit.authoring.detect.class_folders import ClassFolders, class_folder_readings
from kagglekit.authoring.detect.container_files import find_containers
from kagglekit.authoring.detect.container_labels import container_labels, member_tests
from kagglekit.authoring.detect.cut_off import cut_off_images
from kagglekit.authoring.detect.file_names import FileNames, find_names
from kagglekit.authoring.detect.find_sample import by_image, constant_sample, find_asked, unnamed_sample
from kagglekit.authoring.detect.hidden_images import Tests, find_tests, test_images, tests_listed
from kagglekit.authoring.detect.layout import DataLayout, Labels, TestImages, count_labelled, target_of
from kagglekit.authoring.detect.named_images import Images
from kagglekit.authoring.detect.notes import notes_of, with_helpers
from kagglekit.authoring.detect.row_columns import with_row_columns
from kagglekit.authoring.detect.sample_form import form_of
from kagglekit.authoring.detect.tables.label_tables import find_tables
from kagglekit.authoring.detect.tables.sources import Source, in_wide_form, read_sources
from kagglekit.authoring.detect.tables.table import Refused, Table, Tables
from kagglekit.authoring.detect.unexplained import Unexplained, content_of, no_labels, no_tests, reason_of, refused_task
from kagglekit.data.labels.containers import members
from kagglekit.data.listing import folders_below, image_names, what_is_there
from kagglekit.data.part_names import TEST, TRAIN, VALID, is_named, names_part
from kagglekit.eda.headers import read_header
from kagglekit.system.errors import UserError, listing

MOST_HEADERS = 200  # images whose size is read


@dataclass(frozen=True)
class _Folder:
    """A data folder, as far as it is read once."""

    data: Path
    images: Images
    sources: Sequence[Source]
    unread: Sequence[str]
    metric: str


def detect_layout(data: Path, metric: str = "") -> DataLayout:
    """Detect the layout of a data folder.

    Args:
        data: The folder.
        metric: The competition's, which may decide what the CSV holds; empty if it is unknown.

    Raises:
        UserError: There is no such folder, or a file in it is damaged.
        Unexplained: It holds no images, or no labels that explain images and sample submission.
    """
    try:
        images = Images(_image_folders(data))
    except Unexplained:
        if data.is_dir() and (inside := _in_containers(data, metric)):
            return inside
        raise
    try:
        return _of_images(data, images, metric)
    except Unexplained:
        joined = join_channels(images.files)
        if joined is None:
            raise
        with suppress(Unexplained):
            return _of_images(data, Images(joined), metric)
        raise


def _of_images(data: Path, images: Images, metric: str) -> DataLayout:
    sources, unread = read_sources(data)
    folder = _Folder(data, images, sources, unread, metric)
    asked, notes = find_asked(data, images)
    if asked is None and (constant := constant_sample(data, images, sources)):
        asked, notes = constant
    layout = _detect(folder, by_image(asked, images, sources, metric) if asked else None, notes)
    if asked is None and (found := unnamed_sample(data, images, layout)):
        return _detect(folder, by_image(found[0], images, sources, metric), found[1])
    return layout


def _in_containers(data: Path, metric: str) -> DataLayout | None:
    """Detect a layout without image files: all images are members of files."""
    asked, said = find_asked(data, Images({}))
    labels = container_labels(data, asked)
    if labels is None:
        return _labelled_beside(data, metric)
    if asked and labels.ids is None:
        what = f"the {len(asked.ids):,} ids in {asked.file.name} ({listing(asked.ids, 3)}) are none of the images"
        raise Unexplained(f"{what} in {listing(labels.test, 3) or data}", [content_of(data)], "labels_from_containers")
    test = TestImages(labels.test[0], more=labels.test[1:], ids=labels.ids) if labels.test else None
    name = asked.file.relative_to(data).as_posix() if asked else ""
    form = form_of(asked, labels, metric, name) if asked else None
    layout = DataLayout(labels, test, form, 0, tuple(said))
    return replace(layout, side=_short_side(data, labels.some), notes=notes_of(data, {}, layout, 1.0))


def _labelled_beside(data: Path, metric: str) -> DataLayout | None:
    """Detect a layout whose images are members of files, while a CSV or JSON file has their labels."""
    names = [name for found in find_containers(data) for some in found.files.values() for name in some]
    keys = {name: members(data / name) for name in names}
    if not keys:
        return None
    layout = _of_images(data, Images(keys), metric)
    return layout if isinstance(layout.labels, Table) else None


def _detect(folder: _Folder, asked: Asked | None, said: Sequence[str]) -> DataLayout:
    name = asked.file.relative_to(folder.data).as_posix() if asked else ""
    folder = replace(folder, sources=in_wide_form(folder.sources, asked))
    if asked:
        tests = find_tests(asked, name, folder.sources, folder.images)
    else:
        tests = tests_listed(folder.sources, folder.images)
    inside = member_tests(folder.data, asked) if asked and tests is None else None
    if asked and tests is None and inside is None:
        raise no_tests(folder.data, asked, folder.images)
    labels, notes = _labels(folder, tests, asked)
    test = test_images(tests, folder.images, labels)
    if inside:
        test = TestImages(inside[0][0], more=inside[0][1:], ids=inside[1])
    if tests and tests.listed.row_column:
        labels = with_row_columns(labels, folder.sources, tests.listed)
    form = form_of(asked, labels, folder.metric, name) if asked else None
    broken = cut_off_images(folder.data, _labelled(folder.images, tests, test))
    layout = DataLayout(labels, test, form, 0, (*said, *notes), cut_off=broken)
    share = tests.named.share if tests else 1.0
    notes = notes_of(folder.data, folder.images.files, layout, share)
    return replace(layout, side=_short_side(folder.data, folder.images.paths), notes=notes)


def _labelled(images: Images, tests: Tests | None, test: TestImages | None) -> list[str]:
    """Return the images that are no test images."""
    hidden = tests.paths if tests else set()
    if test and not tests and not test.ids:
        hidden = {path for folder in test.folders for path in images.below(folder)}
    return [path for path in images.paths if path not in hidden]


def _image_folders(data: Path) -> dict[str, list[str]]:
    """Return the names of the images in each folder that has some, by its path relative to `data` (``.`` is ``""``)."""
    if not data.is_dir():
        raise UserError(f"the data folder {data} does not exist", what_is_there(data))
    found = {_relative(folder, data): names for folder in folders_below(data) if (names := image_names(folder))}
    if not found:
        zipped = [path.name for path in sorted(data.glob("*.zip"))]
        hint = f"unzip {listing(zipped)} first" if zipped else ""
        helper = "" if zipped or not any(data.iterdir()) else "labels_from_csv"
        raise Unexplained(f"no images in {data}", [content_of(data)], helper, hint)
    return found


def _relative(folder: Path, data: Path) -> str:
    return "" if folder == data else folder.relative_to(data).as_posix()


def _labels(folder: _Folder, tests: Tests | None, asked: Asked | None) -> tuple[Labels, tuple[str, ...]]:
    """Find the labels that explain images and sample submission.

    Returns:
        The labels, and notes on other readings and on files that are of no use.
    """
    hidden = tests.paths if tests else set()
    tables = find_tables(folder.sources, folder.images, hidden, asked)
    readings = [(_agreement(each, asked), each) for each in _readings(folder, tables, hidden, asked)]
    asked_for = next((each for each in tables.refused if each.why.asked), None)
    best = max((agreement for agreement, _ in readings), default=-1)
    if asked_for and best < 1:
        raise refused_task(folder.data, asked_for, asked)
    if best < 0 and not (tables.best and asked and (asked.is_placeholder() or tables.best.named_by_sample)):
        if tables.refused and _names_most(tables.refused[0], folder.images, hidden):
            raise refused_task(folder.data, tables.refused[0], asked)
        raise no_labels(folder.data, tables, folder.unread, asked, with_helpers(folder.data, folder.images.files))
    labels = next(labels for agreement, labels in readings if agreement == best)
    notes = [
        *folder.unread,
        *_single_columns(folder.sources, asked),
        *(f"not used: {reason_of(each)}" for each in tables.refused),
    ]
    others = [*(each for _, each in readings if each is not labels), *tables.others]
    return labels, (*notes, *_other_readings(labels, others))


def _single_columns(sources: Sequence[Source], asked: Asked | None) -> Iterator[str]:
    """Name the tables of a single column, which are of no use, unless they repeat the sample submission's ids."""
    for source in sources:
        columns = list(map(str, source.rows.columns))
        if len(columns) == 1 and not (asked and set(source.rows[columns[0]]) == set(asked.ids)):
            yield f"{source.name} is not used: it has a single column, {columns[0]!r}"


def _readings(folder: _Folder, tables: Tables, tests: set[str], asked: Asked | None) -> Iterator[Labels]:
    """Yield each way to read the labels, the likelier first."""
    doubtful = tables.best is not None and tables.best.target.task != "single-label" and not tables.best.target.sure
    if tables.best and not doubtful:
        yield tables.best
    files = _without(folder.images.files, tests)
    for folders in class_folder_readings(files):
        if _are_classes(folders, _agreement(folders, asked)):
            yield folders
    if tables.best and doubtful:
        yield tables.best
    listed = [tables.best] if tables.best else tables.refused
    if not listed and (names := names_with_labels(files)) and not _names_of_tests(names, folder.images, tests):
        yield names


def _without(files: Mapping[str, Sequence[str]], tests: set[str]) -> dict[str, list[str]]:
    """Leave out the test images, and the folders that have no others."""
    left = {
        folder: [name for name in names if (f"{folder}/{name}" if folder else name) not in tests]
        for folder, names in files.items()
    }
    return {folder: names for folder, names in left.items() if names}


def _are_classes(folders: ClassFolders, agreement: int) -> bool:
    """Return whether folders may be classes: not parts of the data, and of more than one image on average."""
    parts = [name for name in folders.classes if any(names_part(name, part) for part in (TRAIN, VALID, TEST))]
    named = not parts or agreement == 1 or (len(parts) == 1 and len(folders.classes) > 3)  # a train is a vehicle, too
    return named and sum(folders.counts.values()) >= 2 * len(folders.classes)


def _names_of_tests(names: FileNames, images: Images, tests: set[str]) -> bool:
    """Return whether the test images' names hold the same classes: then these are no secret, and no labels."""
    tests = tests or {path for path in images.paths if is_named(path.rpartition("/")[0], TEST)}
    found = [re.search(names.pattern, path.rpartition("/")[2]) for path in tests]
    return bool(found) and all(match is not None and match[1] in names.counts for match in found)


def _agreement(labels: Labels, asked: Asked | None) -> int:
    if isinstance(labels, Table):
        return labels.agreement(asked)
    return asked.agrees_with(labels.classes) if asked else 0


def _names_most(refused: Refused, images: Images, tests: set[str]) -> bool:
    return 2 * refused.n >= len(images.paths) - len(tests)


def _other_readings(labels: Labels, others: Sequence[Labels]) -> Iterator[str]:
    """Say which other labels were found, where they differ."""
    for other in others:
        if set(other.classes) == set(labels.classes):
            if isinstance(other, Table):
                yield f"{other.csv} labels {count_labelled(other):,} images, too, and is not used"
            continue
        kind = {"single-label": "classes", "multi-label": "labels"}.get(target_of(other).task, "targets")
        what = f"{len(other.classes)} {kind} ({listing(other.classes, 3)}) in {_where(other)}"
        yield f"another reading, not used: {what}; the labels are taken from {_where(labels)}"


def _where(labels: Labels) -> str:
    if isinstance(labels, Table):
        return f"{labels.csv} ({listing(labels.target.columns, 3)})"
    return f"the folders in {labels.train or '.'}" if isinstance(labels, ClassFolders) else "the file names"


def names_with_labels(files: Mapping[str, Sequence[str]]) -> FileNames | None:
    """Find the folder whose file names hold labels, preferably one called train, then the one with most images."""
    own = [folder for folder in files if not (is_named(folder, TEST) or is_named(folder, VALID))]
    likely = sorted(own, key=lambda folder: (not is_named(folder, TRAIN), -len(files[folder])))
    parts = (TRAIN, VALID, TEST)
    named = {folder: list(files[folder]) for folder in likely}
    return find_names(named, lambda name: not any(is_named(name, part) for part in parts))


def _short_side(data: Path, images: Sequence[str]) -> int:
    """Return the median short side of some images, px; unreadable ones do not count (`kagglekit look` names them)."""
    sides = []
    for path in images[:: -(-len(images) // MOST_HEADERS)]:
        with suppress(ValueError):
            header = read_header(str(data / path))
            sides.append(min(header.width, header.height))
    return sorted(sides)[len(sides) // 2] if sides else 0
