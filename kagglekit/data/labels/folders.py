"""Build image tables from what competitions ship: class folders, file names, list files, test folders.

Each function returns a pandas DataFrame with the columns ``id``, ``path`` (str), ``label`` (None where
unknown) and ``split``. Files of a folder are in the order of their names, numbers by value.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.labels.channel_names import with_channels
from kagglekit.data.labels.containers import unlabelled_members
from kagglekit.data.labels.image_files import files_of
from kagglekit.data.labels.rows import joined, rows_of, stems_of
from kagglekit.data.listing import (
    IMAGE_SUFFIXES,
    existing_file,
    image_names,
    images_below,
    stem_of,
    subfolders,
    what_is_there,
)
from kagglekit.data.part_names import TRAIN, is_named, names_any_part
from kagglekit.system.damage import naming_damage
from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd


def labels_from_folders(
    train: Path, *, valid: Path | None = None, test: Path | None = None, suffix: str | None = None, level: int = 1
) -> pd.DataFrame:
    """Label each image with its folder's name: ``train/CLASS/*.jpg``, and ``train/CLASS/SITE/*.jpg``.

    Args:
        train: The folder of class folders. Ids are ``train/CLASS/name.jpg``. `valid` and `test` may lie in it.
        valid: Another folder of class folders, which need not exist; without it a part of train is held out later.
        test: A folder, which need not exist: of test images, or of class folders (known test labels).
        suffix: What is taken off the file names of test images to make their ids: a suffix, empty for nothing, None
            for each file's own image suffix.
        level: How many levels below `train` the class folders are: 2 for ``train/GENUS/SPECIES/*.jpg``.

    Raises:
        UserError: `train` is missing, its class folders hold no image, or all are named after parts of the data.
    """
    tables = [_class_folders(train, "train", (valid, test), level)]
    if valid is not None and valid.is_dir():
        tables.append(_class_folders(valid, "valid", (), level))
    if test is not None and test.is_dir() and not image_names(test) and subfolders(test):
        return joined([*tables, _class_folders(test, "test", (), level)])
    return joined([*tables, _test_rows(test, suffix)])


def labels_from_names(images: Path, pattern: str, *, test: Path | None = None) -> pd.DataFrame:
    r"""Label each image of a folder with the first group of a regular expression over its file name.

    Args:
        images: The folder of train images. Ids are file names without suffix.
        pattern: Searched in the file name: ``r"^(.+)_\d+"`` takes ``great_pyrenees`` from
            ``great_pyrenees_12.jpg``.
        test: The folder of test images, which need not exist.

    Raises:
        UserError: The folder is missing or empty, or some file names do not match the pattern.
    """
    names = _require_some(image_names(images), images)
    table = rows_of(stems_of(names), [str(images / name) for name in names], _matches(names, pattern), "train")
    return joined([table, _test_rows(test, None)])


def labels_from_list(
    lists: Mapping[str, Path], *, images: Path, suffix: str = "", pattern: str | None = None
) -> pd.DataFrame:
    """Read labels from list files: a line an image, its name first, fields separated by blanks.

    Args:
        lists: The list file of each split: ``{"train": ..., "test": ...}``. Empty lines and lines that begin
            with ``#`` are skipped.
        images: The folder of the images; each is named by the line's first field and `suffix`.
        suffix: What the names lack of the file names. Ids are names without suffix.
        pattern: As in `labels_from_names`; None takes the line's second field as the label.

    Raises:
        UserError: A list file is missing or empty, or a line has no label.
    """
    tables = []
    for split, file in lists.items():
        with naming_damage(existing_file(file), "save it as text in UTF-8"):
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        fields = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        names = _require_some([line[0] for line in fields], file)
        labels = _second_fields(fields, file) if pattern is None else _matches(names, pattern)
        ids = names if suffix else stems_of(names)
        tables.append(rows_of(ids, files_of(names, [images], suffix)[0], labels, split))
    return joined(tables)


def unlabelled_images(folder: Path | Sequence[Path], suffix: str | None = None) -> pd.DataFrame:
    """List the test images of a folder, or of several.

    Args:
        folder: Where they are: a folder, or a file that holds many images, whose keys are the ids.
        suffix: What is taken off the file names to make the ids; empty for nothing; None for each file's own image
            suffix. Images with another image suffix lose that; if `suffix` is none, they are skipped. Braces name the
            channels of an image that lie in a file each: ``_{red,green}.png``.

    Raises:
        UserError: A folder is missing, or holds no such image.
    """
    if not isinstance(folder, Path):
        return joined([unlabelled_images(each, suffix) for each in folder])
    if folder.is_file():
        return unlabelled_members(folder)
    names = with_channels(image_names(folder), suffix or "")
    if suffix and suffix.lower() not in IMAGE_SUFFIXES:
        names = [name for name in names if name.endswith(suffix)]
        ids = [name.removesuffix(suffix) for name in names]
    elif suffix:
        own = {stem_of(name) for name in names if name.endswith(suffix)}
        names = [name for name in names if name.endswith(suffix) or stem_of(name) not in own]
        ids = stems_of(names)
    else:
        ids = stems_of(names) if suffix is None else names
    return rows_of(ids, [str(folder / name) for name in _require_some(names, folder)], None, "test")


def _class_folders(folder: Path, split: str, no_classes: Sequence[Path | None], level: int) -> pd.DataFrame:
    groups = [group for group in subfolders(folder) if group not in no_classes]
    for _ in range(level - 1):
        groups = [below for group in groups for below in subfolders(group)]
    below = [(group.name, group.relative_to(folder).as_posix(), images_below(group)) for group in groups]
    labels = [label for label, _, found in below for _ in found]
    if not labels:
        raise UserError(f"{folder} has no class folders with images in them", what_is_there(folder / "CLASS"))
    if split == "train" and all(names_any_part(label) for label in set(labels)):
        raise _parts_not_classes(folder, sorted(set(labels)))
    names = [f"{place}/{name}" for _, place, found in below for name in found]
    # of test images only the ids appear in a CSV: the part that identifies each
    ids = stems_of(names) if split == "test" else [f"{folder.name}/{name}" for name in names]
    return rows_of(ids, [str(folder / name) for name in names], labels, split)


def _parts_not_classes(folder: Path, parts: Sequence[str]) -> UserError:
    train = next((part for part in parts if is_named(part, TRAIN)), "")
    hint = f"the class folders seem to be in {folder / train}: that is the folder to name" if train else ""
    what = f"the folders in {folder} are named after parts of the data, not after classes: {listing(parts)}"
    return UserError(what, hint or "name the folder that holds the class folders")


def _test_rows(test: Path | None, suffix: str | None) -> pd.DataFrame:
    return rows_of([], [], None, "test") if test is None or not test.exists() else unlabelled_images(test, suffix)


def _matches(names: Sequence[str], pattern: str) -> list[str]:
    expression = re.compile(pattern)
    if not expression.groups:
        raise UserError(f"the pattern {pattern!r} has no group", "put parentheses around the part that is the label")
    found = [expression.search(name) for name in names]
    without = [name for name, match in zip(names, found, strict=True) if match is None or not match[1]]
    if without:
        raise UserError(f"the pattern {pattern!r} finds no label in the file names {listing(without)}")
    return [match[1] for match in found if match is not None]


def _second_fields(lines: Sequence[Sequence[str]], file: Path) -> list[str]:
    without = [line[0] for line in lines if len(line) < 2]
    if without:
        raise UserError(f"{file} has lines without a label: {listing(without)}", "write each line as: NAME LABEL")
    return [line[1] for line in lines]


def _require_some(names: list[str], where: Path) -> list[str]:
    if not names:
        raise UserError(f"there are no images in {where}", what_is_there(where / "*"))
    return names
