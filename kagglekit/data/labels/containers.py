"""Build image tables from files that hold many images: TFRecord, HDF5, npy, npz, BSON, JSON, parquet and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.containers.opening import kind_of, naming_no_library, open_container
from kagglekit.containers.shapes import shape_text
from kagglekit.data.labels.rows import joined, rows_of
from kagglekit.data.listing import existing_file
from kagglekit.system.damage import naming_damage
from kagglekit.system.display.printable import printable
from kagglekit.system.errors import UserError, listing, unknown
from kagglekit.system.members import why_no_key

if TYPE_CHECKING:
    import pandas as pd

AGAIN = "download it again"


def labels_from_containers(
    train: Path | Sequence[Path],
    *,
    label_column: str | None = None,
    labels: Sequence[object] | None = None,
    id_column: str | None = None,
    group_column: str | None = None,
    valid: Path | Sequence[Path] = (),
    test: Path | Sequence[Path] = (),
    within: str = "",
    shape: Sequence[int] | None = None,
    first_test_id: int | None = None,
) -> pd.DataFrame:
    """Label the images in files that hold many: TFRecord, HDF5, npy, npz, BSON, JSON, parquet, CSV.

    Args:
        train: The file with the train images, or several.
        label_column: Where the labels are: a column of a CSV or parquet file, a feature of TFRecord, a field of JSON
            or BSON, an array of npz or a dataset of HDF5.
        labels: The labels themselves, in the order of the images; instead of `label_column`.
        id_column: Where the ids are, likewise; None takes the images' keys, after the file's name if there are
            several files.
        group_column: Where a value is that becomes the ``group``: images of one group stay together in train or valid.
        valid: The files with the valid images; none if a part of train is held out later.
        test: The files with the test images.
        within: The array, dataset or group that holds the train and valid images, if the file has others, too.
        shape: Height and width, px, of images whose pixels are a list of numbers; None for square ones.
        first_test_id: Number the test images from here instead of `id_column`.

    Raises:
        UserError: A file is missing or damaged, has no images, or lacks a column.
    """
    if (label_column is None) == (labels is None):
        raise UserError("the labels of images in containers are ambiguous", "give either label_column or labels")
    tables = []
    for split, files in (("train", _listed(train)), ("valid", _listed(valid))):
        columns = _Columns(id_column, label_column, group_column)
        tables.append(_rows(files, split, columns, within, shape))
    if labels is not None:
        if len(labels) != len(tables[0]):
            raise UserError(f"there are {len(labels)} labels for {len(tables[0])} images in {_names(_listed(train))}")
        tables[0]["label"] = [as_text(label) for label in labels]
    if _listed(test):
        tables.append(unlabelled_members(test, id_column=id_column, shape=shape, first_id=first_test_id))
    return joined(table for table in tables if len(table))


def unlabelled_members(
    files: Path | Sequence[Path],
    *,
    id_column: str | None = None,
    within: str = "",
    shape: Sequence[int] | None = None,
    first_id: int | None = None,
) -> pd.DataFrame:
    """List the test images in files that hold many.

    Args:
        files: The file, or several.
        id_column: Where the ids are; None takes the images' keys. See `labels_from_containers`.
        within: The array, dataset or group that holds them.
        shape: Height and width, px, of images whose pixels are a list of numbers; None for square ones.
        first_id: Number the images from here instead.

    Raises:
        UserError: A file is missing or damaged, has no images, or lacks a column.
    """
    columns = _Columns(None if first_id is not None else id_column)
    table = _rows(_listed(files), "test", columns, within, shape)
    if first_id is not None:
        table["id"] = [str(first_id + i) for i in range(len(table))]
    return table


def members(file: Path, within: str = "") -> list[str]:
    """Return the keys of the images in a file that holds many: ``FILE/KEY`` is the path of an image.

    Args:
        file: A TFRecord, HDF5, npy, npz, BSON, JSON, parquet or CSV file.
        within: The array, dataset or group that holds them; empty for all.

    Raises:
        UserError: The file is missing or damaged, or has no images.
    """
    with naming_damage(existing_file(file), AGAIN), naming_no_library():
        keys = list(open_container(file).keys(within))
    if not keys:
        raise UserError(f"there are no images in {file}", "name the array or dataset that holds them")
    if wrong := [printable(key) for key in keys if why_no_key(key)]:
        raise UserError(f"{file} has images whose names cannot be parts of a path: {listing(wrong)}", AGAIN)
    return keys


def with_members(paths: Sequence[Path]) -> list[Path]:
    """Return paths with the images of a container in its place; an npy file may be one image itself, and stays.

    Raises:
        UserError: A container is damaged, or has no images.
    """
    found: list[Path] = []
    for path in paths:
        holds_many = kind_of(path.name) not in ("", "npy") and path.is_file()
        found += [path / key for key in members(path)] if holds_many else [path]
    return found


def facts_of(file: Path, within: str = "") -> Mapping[str, Sequence[object]]:
    """Return what a file says of each of its images, by name: labels and ids, in the order of `members`.

    Raises:
        UserError: The file is missing or damaged.
    """
    with naming_damage(existing_file(file), AGAIN), naming_no_library():
        return open_container(file).facts(within)


def _listed(files: Path | Sequence[Path]) -> list[Path]:
    return [files] if isinstance(files, Path) else list(files)


def _names(files: Iterable[Path]) -> str:
    return listing([str(file) for file in files])


@dataclass(frozen=True)
class _Columns:
    """The names of ids, labels and groups in the files; None for nothing."""

    image: str | None = None
    label: str | None = None
    group: str | None = None


def _rows(
    files: Sequence[Path], split: str, columns: _Columns, within: str, shape: Sequence[int] | None
) -> pd.DataFrame:
    tables = [rows_of([], [], None, split)]
    start = f"{shape_text(shape)}/" if shape else ""
    for file in files:
        keys = members(file, within)
        facts = facts_of(file, within) if any((columns.image, columns.label, columns.group)) else {}
        own = [f"{file.name}/{key}" for key in keys] if len(files) > 1 else keys
        ids = _column(file, facts, columns.image) if columns.image else own
        labels = _column(file, facts, columns.label) if columns.label else [None] * len(keys)
        _check(file, split, columns.image, ids)
        rows = rows_of([str(image) for image in ids], [str(file / f"{start}{key}") for key in keys], labels, split)
        if columns.group:
            rows["group"] = _column(file, facts, columns.group)
        tables.append(rows)
    return joined(tables)


def _column(file: Path, facts: Mapping[str, Sequence[object]], name: str) -> list[str | None]:
    if name not in facts:
        raise UserError(f"{file}: {unknown('column', name, facts)}")
    return [as_text(value) for value in facts[name]]


def _check(file: Path, split: str, id_column: str | None, ids: Sequence[str | None]) -> None:
    if without := [i for i, image in enumerate(ids) if image is None]:
        raise UserError(f"{file} has {split} images without {id_column}, by position: {listing(without)}")


def as_text(value: object) -> str | None:
    """Return a label or an id as text; None for nothing, an empty text and NaN."""
    if value is None or value != value:  # NaN
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() or None
