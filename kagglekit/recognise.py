"""What a data folder that kagglekit has never seen holds: where the labels are, the test images, the CSV's form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kagglekit.errors import UserError, listing
from kagglekit.folder import image_names, subfolders, what_is_there
from kagglekit.recognise_csv import Table, find_table, match_files
from kagglekit.submission import read_sample

if TYPE_CHECKING:
    import pandas as pd

Form = Literal["a column a class", "probability of one class", "class names", "unknown"]
MOST_HEADERS = 200  # pictures whose size is looked at


@dataclass(frozen=True)
class ClassFolders:
    """Folders that are named after the class of the images in them.

    Attributes:
        train: The folder of them, relative to the data folder; empty for that itself.
        valid: Likewise; None where there is none.
        classes: Their names, sorted.
        counts: Number of labelled images of each class.
    """

    train: str
    valid: str | None
    classes: tuple[str, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class TestImages:
    """The test images.

    Attributes:
        folder: Where they are, relative to the data folder.
        suffix: What their ids lack of the file names; None for whatever image suffix each has.
        labelled: They lie in class folders.
        shared: The folder holds the train images, too.
    """

    folder: str
    suffix: str | None = None
    labelled: bool = False
    shared: bool = False


@dataclass(frozen=True)
class Sample:
    """What sample_submission.csv asks for.

    Attributes:
        form: How its columns are to be filled.
        columns: All of them, the ids' first.
        positive: The class whose probability is asked for, where the file says it.
        spelling: Its name of each class that is spelt otherwise in the labels.
        values: What stands in its second column, the first few.
    """

    form: Form
    columns: tuple[str, ...]
    positive: str | None
    spelling: Mapping[str, str]
    values: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """What was recognised in a data folder.

    Attributes:
        labels: Where the labels come from.
        test: The test images; None where none were found.
        sample: What sample_submission.csv asks for; None where there is none.
        side: The pictures' short side, px, in the middle; 0 where no picture could be read.
        notes: What a person should check.
    """

    labels: ClassFolders | Table
    test: TestImages | None
    sample: Sample | None
    side: int
    notes: tuple[str, ...]


def recognise(data: Path) -> Seen:
    """Look at a data folder.

    Raises:
        UserError: It holds no images, or no labels that are recognised; says what it holds and what is supported.
    """
    files = _image_folders(data)
    sample = read_sample(data)
    labels = _labels(data, files)
    test = _test_images(files, labels, sample)
    asked = None if sample is None else _sample(sample, labels.classes)
    notes = [
        *_labels_notes(labels),
        *_unlabelled_notes(labels, test),
        *_test_notes(test, sample, files),
        *_sample_notes(asked, labels.classes),
    ]
    return Seen(labels, test, asked, _short_side(data, files), tuple(notes))


def _image_folders(data: Path) -> dict[str, list[str]]:
    """Return the names of the images in each folder that has some, by its path relative to `data` (``.`` is ``""``)."""
    if not data.is_dir():
        raise UserError(f"there is no data folder {data}", what_is_there(data))
    waiting, found = [data], {}
    while waiting:
        folder = waiting.pop(0)
        if names := image_names(folder):
            found[_relative(folder, data)] = names
        waiting += subfolders(folder)
    if not found:
        zipped = [path.name for path in sorted(data.glob("*.zip"))]
        hint = f"unzip {listing(zipped)} first" if zipped else what_is_there(data / "*")
        raise UserError(f"there are no images in {data}", hint)
    return found


def _relative(folder: Path, data: Path) -> str:
    return "" if folder == data else folder.relative_to(data).as_posix()


def _labels(data: Path, files: Mapping[str, list[str]]) -> ClassFolders | Table:
    """Find the labels; a CSV that names the images says more than folders do."""
    folders = _class_folders(files)
    no_tests = {folder: names for folder, names in files.items() if not _named(folder, _TEST)}
    try:
        found = find_table(data, no_tests or files) or folders
    except UserError:
        if folders is None:
            raise
        found = folders
    if found is None:
        raise UserError(
            f"no labels were recognised in {data}: {what_is_there(data / '*')}",
            "recognised are folders of classes (train/CLASS/1.jpg), and a CSV file with a column of image names and "
            "one of labels; for anything else begin without --from-data and write kagglekit_labels yourself "
            "(labels in file names: labels_from_names)",
        )
    return found


def _class_folders(files: Mapping[str, list[str]]) -> ClassFolders | None:
    """Find the folder with most images in folders of classes; one called train is preferred."""
    groups: dict[str, dict[str, int]] = {}
    for folder, names in files.items():
        above, _, name = folder.rpartition("/")
        if folder and not _named(folder, _TEST) and not _named(folder, _VALID):
            groups.setdefault(above, {})[name] = len(names)
    groups = {above: counts for above, counts in groups.items() if len(counts) >= 2}
    if not groups:
        return None
    train = max(groups, key=lambda above: (_named(above, _TRAIN), sum(groups[above].values())))
    beside = [folder.rpartition("/")[0] for folder in files if folder.rpartition("/")[2] in groups[train]]
    valid = next((folder for folder in beside if _named(folder, _VALID)), None)
    return ClassFolders(train, valid, tuple(sorted(groups[train])), groups[train])


_MORE = r"(images?|imgs?|data|set|jpg|png|\d+)?"
_TRAIN, _VALID, _TEST = (
    re.compile(rf"{_MORE}[\W_]*({word})[\W_]*{_MORE}")
    for word in ("train|training", "valid|val|validation", "test|testing")
)


def _named(folder: str, kind: re.Pattern[str]) -> bool:
    """Tell whether a part of a folder's path says what it holds: ``test1``, ``train_images``."""
    return any(kind.fullmatch(part.lower()) for part in folder.split("/"))


def _test_images(
    files: Mapping[str, list[str]], labels: ClassFolders | Table, sample: pd.DataFrame | None
) -> TestImages | None:
    """Find the test images by the ids of sample_submission.csv, else by their folder's name."""
    own = labels.images if isinstance(labels, Table) else None
    named = [folder for folder in files if _named(folder, _TEST)]
    if sample is not None:
        candidates = {f: n for f, n in files.items() if f in named or isinstance(labels, Table)}
        match = match_files(sample.iloc[:, 0], candidates, first=[*named, *(f for f in files if f != own)])
        if match is not None:
            return TestImages(match.images, match.suffix, shared=match.images == own)
    if len(named) > 1 and isinstance(labels, ClassFolders):
        above = {folder.rpartition("/")[0] for folder in named}
        if len(above) == 1 and {folder.rpartition("/")[2] for folder in named} <= set(labels.classes):
            return TestImages(above.pop(), labelled=True)
    return TestImages(named[0], labels.suffix if isinstance(labels, Table) else None) if named else None


def _sample(sample: pd.DataFrame, classes: Sequence[str]) -> Sample:
    import pandas as pd

    columns = tuple(map(str, sample.columns))
    values = tuple(dict.fromkeys(sample.iloc[:, 1]))
    form: Form = "unknown"
    positive = None
    spelling = _spelling(classes, columns[1:] if len(columns) > 2 else values)
    renamed = {spelling.get(name, name) for name in classes}
    numeric = bool(pd.to_numeric(pd.Series(values), errors="coerce").notna().all())
    if set(columns[1:]) == renamed:
        form = "a column a class"
    elif len(columns) == 2 and set(values) <= renamed:
        form = "class names"
    elif len(columns) == 2 and len(classes) == 2 and numeric:
        form, positive = "probability of one class", columns[1] if columns[1] in classes else None
    return Sample(form, columns, positive, spelling, values[:5])


def _spelling(classes: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Match names that differ in case, blanks, hyphens and underscores only."""
    plain = {re.sub(r"[\W_]+", "", name).lower(): name for name in wanted}
    found = {name: plain.get(re.sub(r"[\W_]+", "", name).lower(), name) for name in classes}
    return {name: other for name, other in found.items() if other != name} if len(set(found.values())) > 1 else {}


def _labels_notes(labels: ClassFolders | Table) -> list[str]:
    """Say what is odd about the labels."""
    notes = list(labels.notes) if isinstance(labels, Table) else []
    fewest, most = min(labels.counts.values()), max(labels.counts.values())
    if fewest < 2:
        single = [name for name, n in labels.counts.items() if n < 2]
        notes.append(f"classes with one image: {listing(single)}; none of it can be held out for validation")
    if most > 10 * fewest:
        notes.append(f"classes have {fewest:,} to {most:,} images: oversample=1.0 in the stages draws classes evenly")
    parts = {name: [part for part in re.split(r"[\s,|;]+", name) if part] for name in labels.classes}
    several = [name for name in labels.classes if len(parts[name]) > 1 and set(parts[name]) & set(labels.classes)]
    if isinstance(labels, Table) and several:
        notes.append(f"is {several[0]!r} one class or several? An image has one label; several are not supported")
    return notes


def _unlabelled_notes(labels: ClassFolders | Table, test: TestImages | None) -> list[str]:
    if isinstance(labels, ClassFolders) or not labels.unlabelled or (test and test.shared):
        return []
    where = labels.images or "the folder"
    return [f"images in {where} without a row in {labels.csv} are left out: {listing(labels.unlabelled)}"]


def _test_notes(test: TestImages | None, sample: pd.DataFrame | None, files: Mapping[str, list[str]]) -> list[str]:
    if test is None:
        return ["no test images were found, so that no submission.csv can be written"]
    notes = []
    if sample is not None and not test.labelled:
        matched = match_files(sample.iloc[:, 0], {test.folder: files[test.folder]}, first=[])
        if matched is None or matched.share < 1:
            share = matched.share if matched else 0
            notes.append(
                f"{share:.0%} of the ids in sample_submission.csv are names of images in {test.folder or 'the folder'}"
            )
    return notes


def _sample_notes(sample: Sample | None, classes: Sequence[str]) -> list[str]:
    if sample is None:
        return ["there is no sample_submission.csv, so that the form of the CSV is a guess from the metric"]
    if sample.form == "unknown":
        return [
            f"sample_submission.csv has the columns {listing(sample.columns)} with values such as "
            f"{listing(sample.values, 3)}, which are not the classes {listing(classes)}"
        ]
    if sample.form == "probability of one class" and sample.positive is None:
        return [f"whose probability does {sample.columns[1]!r} take, that of {classes[0]!r} or of {classes[1]!r}?"]
    return []


def _short_side(data: Path, files: Mapping[str, list[str]]) -> int:
    from PIL import Image

    paths = [data / folder / name for folder, names in files.items() for name in names]
    sides = []
    for path in paths[:: -(-len(paths) // MOST_HEADERS)]:
        try:
            with Image.open(path) as image:
                sides.append(min(image.size))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # `kagglekit look` names the broken ones
    return sorted(sides)[len(sides) // 2] if sides else 0
