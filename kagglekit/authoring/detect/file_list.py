"""Guess a layout from the names of a competition's files, as Kaggle lists them before a download."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from kagglekit.authoring.detect.class_folders import class_folders
from kagglekit.authoring.detect.data_folder import names_with_labels
from kagglekit.authoring.detect.layout import DataLayout, Labels, TestImages
from kagglekit.authoring.detect.tables.table import Table
from kagglekit.authoring.scaffold import USUAL
from kagglekit.data.listing import in_order, is_image
from kagglekit.data.part_names import TEST, TRAIN, VALID, is_named
from kagglekit.data.sample import is_sample_name
from kagglekit.system.errors import listing


def guess_layout(names: Sequence[str]) -> DataLayout:
    """Guess where labels and test images will be after downloading and unpacking.

    Args:
        names: File names with their folders; a zip file stands for the folder that it unpacks to.
    """
    names = [name for name in names if not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts]
    files = _folders(names)
    known = {folder: images for folder, images in files.items() if images}
    labels = _table(names, files) or class_folders(known) or names_with_labels(known) or USUAL.labels
    suffix = labels.suffix if isinstance(labels, Table) else None
    test = next((TestImages(folder, suffix) for folder in files if is_named(folder, TEST)), None)
    return DataLayout(labels, test, None, 0, tuple(_notes(names, labels)), guessed=True)


def _folders(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the images of each folder; a zip file becomes a folder of unknown images."""
    found: dict[str, list[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        folder = "" if str(path.parent) == "." else path.parent.as_posix()
        if is_image(path.name):
            found.setdefault(folder, []).append(path.name)
        elif path.suffix.lower() == ".zip" and not PurePosixPath(path.stem).suffix:
            found.setdefault(path.with_suffix("").as_posix(), [])
    return {folder: in_order(images) for folder, images in found.items()}


def _table(names: Sequence[str], files: Mapping[str, list[str]]) -> Table | None:
    """Take a CSV file other than the sample for the labels; its columns are unknown."""
    plain = [name.removesuffix(".zip") for name in names]
    tables = [name for name in plain if name.endswith(".csv") and not is_sample_name(PurePosixPath(name).name)]
    tables = [name for name in tables if not is_named(name.removesuffix(".csv"), TEST)]
    if not tables:
        return None
    csv = max(tables, key=lambda name: is_named(name.removesuffix(".csv"), TRAIN) or "label" in name.lower())
    others = [folder for folder in files if not (is_named(folder, TEST) or is_named(folder, VALID))]
    images = max(others, key=lambda folder: is_named(folder, TRAIN), default="train")
    suffixes = Counter(PurePosixPath(name).suffix for name in files.get(images, ()))
    suffix = suffixes.most_common(1)[0][0] if suffixes else ".jpg"
    return Table(csv, images, suffix, "id", "label", ("one", "other"), {}, (), ())


def _notes(names: Sequence[str], labels: Labels) -> list[str]:
    notes = [f"nothing was downloaded: labels are guessed from the names of Kaggle's files ({listing(names, 6)})"]
    if isinstance(labels, Table):
        notes.append(
            f"the columns of {labels.csv} are unknown: id (file names without {labels.suffix}) and label are guesses"
        )
    return notes
