"""Build image tables from what competitions ship: class folders, file names, CSV, MATLAB and list files.

Each function returns a pandas DataFrame with the columns ``id``, ``path`` (str), ``label`` (None where
unknown) and ``split``. Files of a folder are in the order of their names, numbers by value.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.csv_file import read_csv, separator_hint
from kagglekit.data.label_rows import joined, rows_of, stems_of
from kagglekit.data.listing import (
    IMAGE_SUFFIXES,
    existing_file,
    image_names,
    images_below,
    images_beside,
    stem_of,
    subfolders,
    suffix_of,
    what_is_there,
)
from kagglekit.system.damage import naming_damage
from kagglekit.system.errors import UserError, listing, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd


def labels_from_folders(
    train: Path, *, valid: Path | None = None, test: Path | None = None, suffix: str | None = None
) -> pd.DataFrame:
    """Label each image with its folder's name: ``train/CLASS/*.jpg``, and ``train/CLASS/SITE/*.jpg``.

    Args:
        train: The folder of class folders. Ids are ``train/CLASS/name.jpg``. `valid` and `test` may lie in it.
        valid: Another folder of class folders, which need not exist; without it a part of train is held out later.
        test: A folder, which need not exist: of test images, or of class folders (known test labels).
        suffix: What is taken off the file names of test images to make their ids: a suffix, empty for nothing, None
            for each file's own image suffix.

    Raises:
        UserError: `train` is missing, or its class folders hold no image.
    """
    tables = [_class_folders(train, "train", no_classes=(valid, test))]
    if valid is not None and valid.is_dir():
        tables.append(_class_folders(valid, "valid"))
    if test is not None and test.is_dir() and not image_names(test) and subfolders(test):
        return joined([*tables, _class_folders(test, "test")])
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


def labels_from_csv(
    csv: Path,
    *,
    images: Path,
    suffix: str = "",
    id_column: str = "id",
    label_column: str | None = None,
    test: Path | None = None,
    ignore_unlabelled: bool = False,
) -> pd.DataFrame:
    """Read labels from a CSV file with an id and a label a row.

    Args:
        csv: The file.
        images: The folder of train images; each is named by its id and `suffix`.
        suffix: What the ids lack of the file names, for example ``.jpg``.
        id_column: Name of the ids' column.
        label_column: Name of the labels' column; None for the only other one.
        test: The folder of test images, which need not exist. Their ids lack `suffix`, too. If it is `images`, the
            images without a row are the test images.
        ignore_unlabelled: Skip train images without a row instead of refusing them.

    Raises:
        UserError: The file or one of the columns is missing, or images have no row.
    """
    ids, labels = _csv_columns(csv, id_column, label_column)
    names, unlabelled = _files_of(ids, images, suffix)
    if unlabelled and not ignore_unlabelled and test != images:
        raise UserError(
            f"{csv} has no row for images in {images}: {listing(unlabelled)}",
            f"its rows name {listing(names, 2) or 'none'}; add rows, remove these images, or skip them in the plugin: "
            "labels_from_csv(..., ignore_unlabelled=True)",
        )
    table, tests = rows_of(ids, [str(images / name) for name in names], labels, "train"), _test_rows(test, suffix)
    return joined([table, tests[~tests["path"].isin(table["path"])] if test == images else tests])


def _csv_columns(csv: Path, id_column: str, label_column: str | None) -> tuple[list[str], list[str | None]]:
    """Return ids and labels; an empty label is None."""
    rows = read_csv(csv)
    columns = [str(column) for column in rows.columns]
    others = [column for column in columns if column != id_column]
    for column in (id_column, label_column or id_column):
        if column not in columns:
            raise UserError(f"{csv}: {unknown('column', column, columns)}", separator_hint(columns))
        if columns.count(column) > 1:
            raise UserError(f"{csv} has {columns.count(column)} columns named {column!r}", "rename all but one")
    if label_column is None and len(others) != 1:
        what = f"{csv} has the columns {listing(columns, 20)}: the labels' column is ambiguous"
        raise UserError(what, "name it in the plugin: labels_from_csv(..., label_column=NAME)")
    labels = [label.strip() or None for label in rows[label_column or others[0]]]
    return rows[id_column].tolist(), labels


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
        tables.append(rows_of(ids, [str(images / file) for file in _files_of(names, images, suffix)[0]], labels, split))
    return joined(tables)


def _files_of(ids: Sequence[str], folder: Path, suffix: str) -> tuple[list[str], list[str]]:
    """Return the file of each id, and the other images of those folders that no id names.

    A file is named by its id and `suffix`. If there is none and `suffix` is an image's or empty, the one image with
    the same stem is taken, whatever its suffix: ``1.png`` or ``1.JPG`` for ``1.jpg``.
    """
    names = [f"{image}{suffix}" for image in ids]
    if not folder.is_dir():
        return names, []
    there = images_beside(folder, names)
    known = set(there)
    if not suffix or suffix.lower() in IMAGE_SUFFIXES:
        by_stem: dict[str, list[str]] = {}
        for name in there:
            by_stem.setdefault(stem_of(name), []).append(name)
        names = [name if name in known else _alone(by_stem.get(stem_of(name), []), name) for name in names]
        named = {stem_of(name) for name in names}
        return names, [name for name in there if stem_of(name) not in named]
    named = set(names)
    return names, [name for name in there if name not in named]


def _alone(found: Sequence[str], name: str) -> str:
    """Return the one file that was found, or the one whose suffix differs in case only; else `name`."""
    alike = [file for file in found if suffix_of(file).lower() == suffix_of(name).lower()] or found
    return alike[0] if len(alike) == 1 else name


def unlabelled_images(folder: Path, suffix: str | None = None) -> pd.DataFrame:
    """List the test images of a folder.

    Args:
        folder: Where they are.
        suffix: What is taken off the file names to make the ids; empty for nothing; None for each file's own image
            suffix. Images with another image suffix lose that; if `suffix` is none, they are skipped.

    Raises:
        UserError: The folder is missing, or holds no such image.
    """
    names = image_names(folder)
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


def _class_folders(folder: Path, split: str, no_classes: Sequence[Path | None] = ()) -> pd.DataFrame:
    groups = [group for group in subfolders(folder) if group not in no_classes]
    images = [(group.name, name) for group in groups for name in images_below(group)]
    if not images:
        raise UserError(f"{folder} has no class folders with images in them", what_is_there(folder / "CLASS"))
    ids = [f"{folder.name}/{label}/{name}" for label, name in images]
    if split == "test":  # only their ids appear in a CSV: the part that identifies each
        ids = [f"{label}/{stem}" for (label, _), stem in zip(images, stems_of(name for _, name in images), strict=True)]
    paths = [str(folder / label / name) for label, name in images]
    return rows_of(ids, paths, [label for label, _ in images], split)


def _test_rows(test: Path | None, suffix: str | None) -> pd.DataFrame:
    return rows_of([], [], None, "test") if test is None or not test.is_dir() else unlabelled_images(test, suffix)


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
