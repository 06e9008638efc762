"""Doubts about a detected layout, as notes for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from kagglekit.authoring.detect.class_folders import ClassFolders
from kagglekit.authoring.detect.cut_off import MOST_NAMED
from kagglekit.authoring.detect.file_names import FileNames
from kagglekit.authoring.detect.layout import DataLayout, Labels, Sample, TestImages, target_of
from kagglekit.authoring.detect.named_images import Images, for_train, name_images
from kagglekit.authoring.detect.tables.table import Table
from kagglekit.system.errors import listing

_COUNTED = {"single-label": "classes", "multi-label": "labels"}
LINES = 50  # of a text file that are read
NO_TEST_IMAGES = "no test images found: submission.csv cannot be written"


def notes_of(data: Path, files: Mapping[str, Sequence[str]], layout: DataLayout, share: float) -> tuple[str, ...]:
    """Return the doubts that a person should resolve.

    Args:
        data: The data folder.
        files: The names of the images in each folder, by its path relative to `data`.
        layout: The layout detected so far.
        share: The share of the sample submission's ids that mean an image.
    """
    return (
        *layout.notes,
        *_labels_notes(layout.labels),
        *_unlabelled_notes(layout.labels, layout.test),
        *_test_notes(layout, share),
        *_sample_notes(layout.sample, layout.labels.classes),
        *_cut_off_notes(layout.cut_off),
        *_list_notes(data, files, layout.labels),
        *_unused_notes(files, layout),
    )


def with_helpers(data: Path, files: Mapping[str, Sequence[str]]) -> str:
    """Return the end of a sentence: the functions that read label files which `kagglekit new` does not support."""
    helpers = [f"kagglekit's {helper} reads {listing(names)}" for helper, names in _unread(data, files).items()]
    return f": {'; '.join(helpers)}" if helpers else " (docs/how-to/competition.md shows how)"


def _labels_notes(labels: Labels) -> list[str]:
    """Return what is unusual about the labels."""
    notes = [] if isinstance(labels, ClassFolders) else list(labels.notes)
    task = target_of(labels).task
    notes += _count_notes(labels.counts, task) if task in _COUNTED else []
    if isinstance(labels, Table) and labels.group:
        one = "pair" if labels.group.pattern else repr(labels.group.column)
        notes.append(f"{labels.group.why}: images of one {one} stay together in train or in valid")
    return notes


def _count_notes(counts: Mapping[str, int], task: str) -> Iterator[str]:
    """Name classes or labels with few images."""
    fewest, most = min(counts.values()), max(counts.values())
    if fewest < 2:
        single = [name for name, n in counts.items() if n < 2]
        yield f"{_COUNTED[task]} with a single image cannot be validated: {listing(single)}"
    if most > 10 * fewest and task == "single-label":
        yield f"classes have {fewest:,} to {most:,} images: oversample=1.0 in the stages balances them"


def _unlabelled_notes(labels: Labels, test: TestImages | None) -> list[str]:
    if not isinstance(labels, Table) or not labels.unlabelled or (test and test.shared):
        return []
    where = labels.images or "the folder"
    return [f"images in {where} without a row in {labels.csv} are left out: {listing(labels.unlabelled)}"]


def _test_notes(layout: DataLayout, share: float) -> Iterator[str]:
    test, sample = layout.test, layout.sample
    if test is None:
        yield NO_TEST_IMAGES
    elif sample and share < 1:
        yield f"{share:.0%} of the ids in {sample.name} are names of images in {test.folder or 'the folder'}"
    if test and test.more and not test.listed:
        yield f"test images are taken from several folders: {listing(test.folders)}"


def _sample_notes(sample: Sample | None, classes: Sequence[str]) -> list[str]:
    if sample is None:
        return ["no sample_submission.csv: the form of the submission is guessed from the metric"]
    if sample.form == "unknown":
        return [
            f"{sample.name} has the columns {listing(sample.columns)} with values such as "
            f"{', '.join(map(repr, sample.values[:3]))}, which do not match the classes {listing(classes)}"
        ]
    if sample.doubtful:
        return [_doubt(sample)]
    if sample.unlabelled:
        return [f"{sample.name} has columns of classes without a labelled image: {listing(sample.unlabelled)}"]
    if sample.form == "probability of one class" and sample.positive is None:
        return [f"does {sample.columns[1]!r} hold the probability of {classes[0]!r} or of {classes[1]!r}?"]
    if sample.form == "class names":
        return list(_name_notes(sample, classes))
    return []


def _doubt(sample: Sample) -> str:
    """Return the note about a column of 0 and 1, which may be names of classes or stand for probabilities."""
    column, values = repr(sample.columns[1]), " and ".join(sample.values)
    if sample.form == "class names":
        return (
            f"does {column} hold class names or the probability of 1? {sample.name} has "
            f"{values} there, so class names are written; for a metric such as AUC or log loss set metric and positive"
        )
    return (
        f"does {column} hold the probability of {sample.positive!r} or class names? {sample.name} has only "
        f"{values} there, so probabilities are written; for a metric such as accuracy set it, and remove positive"
    )


def _name_notes(sample: Sample, classes: Sequence[str]) -> Iterator[str]:
    if not any(sample.values):
        yield f"{sample.name} leaves {sample.columns[1]!r} empty: class names are written there"
    if sample.spelling and len(sample.spelling) < len(classes):
        ours, theirs = next(iter(sample.spelling.items()))
        yield f"{sample.name} spells {ours!r} as {theirs!r}: how does it spell the other classes?"


def _cut_off_notes(broken: Sequence[str]) -> Iterator[str]:
    if not broken:
        return
    images = "1 image is" if len(broken) == 1 else f"{len(broken):,} images are"
    end = "left out" if len(broken) <= MOST_NAMED else "to be left out with kagglekit run --skip-bad-images"
    yield f"{images} cut off and cannot be decoded, and {end}: {listing(broken, 3)}"


def _list_notes(data: Path, files: Mapping[str, Sequence[str]], labels: Labels) -> list[str]:
    """Name the files that may hold labels or splits, if the labels are taken from file names."""
    if not isinstance(labels, FileNames):
        return []
    return [
        f"{listing(names)} may list the train and test images, but is not used: {helper} reads such files"
        for helper, names in _unread(data, files).items()
    ]


def _unread(data: Path, files: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the files that may hold labels in other forms, by the function that reads them."""
    texts = [path for path in _beside(data, "*.txt") if _names_images(path, files)]
    matlab = [path for path in _beside(data, "*.mat") if path.parent.relative_to(data).as_posix() not in files]
    found = {"labels_from_list": texts, "labels_from_mat": matlab}
    return {helper: [path.relative_to(data).as_posix() for path in paths] for helper, paths in found.items() if paths}


def _beside(data: Path, name: str) -> list[Path]:
    return sorted([*data.glob(name), *data.glob(f"*/{name}")])


def _names_images(text: Path, files: Mapping[str, Sequence[str]]) -> bool:
    with text.open(encoding="utf-8-sig", errors="replace") as lines:
        head = [line.split()[0] for line in islice(lines, LINES) if line.strip() and not line.startswith("#")]
    return bool(head) and name_images(head, Images(files), for_train) is not None


def _unused_notes(files: Mapping[str, Sequence[str]], layout: DataLayout) -> Iterator[str]:
    """Count the images in folders without a labelled or test image, by suffix."""
    labels, test = layout.labels, layout.test
    roots = {labels.train, labels.valid} if isinstance(labels, ClassFolders) else {labels.images}
    if isinstance(labels, Table):
        roots |= {*labels.folders, *(labels.valid.folders if labels.valid else ())}
    roots |= set(test.folders) if test else set()
    used = tuple(f"{root}/" for root in roots if root)
    unused = [folder for folder in files if "" not in roots and not f"{folder}/".startswith(used)]
    if unused:
        n = sum(len(files[folder]) for folder in unused)
        yield f"{n:,} images are in unused folders: {listing([folder or '.' for folder in unused])}"
