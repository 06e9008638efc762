"""Build image tables from label files with a row an image, or several: CSV and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.csv_file import read_csv
from kagglekit.data.labels.json_rows import read_records
from kagglekit.data.labels.label_columns import Columns, Sets
from kagglekit.data.labels.label_file import Ignored, LabelFile

if TYPE_CHECKING:
    import pandas as pd


def labels_from_csv(
    csv: Path,
    *,
    images: Path | Sequence[Path],
    suffix: str = "",
    id_column: str = "id",
    label_column: str | None = None,
    label_columns: Sequence[str] = (),
    target_columns: Sequence[str] = (),
    separator: str | None = None,
    several: bool = False,
    empty_set: bool = False,
    file_column: str | None = None,
    group_column: str | None = None,
    row_column: str | Sequence[str] | None = None,
    weight_column: str | None = None,
    split_column: str | None = None,
    metadata: Sequence[str] = (),
    split: str = "train",
    test: Path | None = None,
    ignore_unlabelled: bool = False,
    ignore_conflicts: bool = False,
    ignore_duplicates: bool = False,
    ignore_missing: bool = False,
) -> pd.DataFrame:
    """Read labels from a CSV file with an id and a label, several labels or numbers a row.

    Args:
        csv: The file.
        images: The folder of the images, or several. Each image is named by its id and `suffix`. Where there is no such
            file, it is found below the folder by its bare name, if that is unique.
        suffix: What the ids lack of the file names, for example ``.jpg``. Braces name the channels of an image that lie
            in a file each: ``_{red,green}.png``.
        id_column: Name of the ids' column.
        label_column: Name of the column of labels, or of a single number to predict; None for the only other one.
        label_columns: Names of columns of 0 and 1 instead: each row has one 1, in the column named like its class.
        target_columns: Names of columns with a target each instead: 0 or 1 for several labels an image, or numbers. The
            table gets them as float columns in place of ``label``, nan where a cell is empty; name them in
            `Competition.targets`, too.
        separator: Between the labels in a cell, which then become a tuple of names; None if a cell holds one label.
        several: An image may have several rows, whose labels together become a tuple of names.
        empty_set: With `separator` or `several`: an image with an empty cell has no label, ``()``. Without it, such an
            image is unlabelled.
        file_column: Name of the column of file names; None if the ids are file names.
        group_column: Name of a column whose values become the ``group``: images of one group stay together in train or
            in valid.
        row_column: Name of a column whose values become the ``row``: the id of the CSV's row that several images share.
            Of several columns, the values are joined by ``_``.
        weight_column: Name of a column of numbers that become the ``weight``.
        split_column: Name of a column that says ``train``, ``val`` or ``test``.
        metadata: Names of further columns that the table keeps as text.
        split: Of all rows: ``train``, ``valid``, or ``test``, whose rows have no labels.
        test: The folder of test images, which need not exist. Their ids lack `suffix`, too. If it is `images`, the
            images without a row are the test images.
        ignore_unlabelled: Skip train images without a row or label instead of refusing them.
        ignore_conflicts: Skip images that have rows with different labels instead of refusing them.
        ignore_duplicates: Count rows that repeat an image and its label once instead of refusing them.
        ignore_missing: Skip rows whose image does not exist instead of refusing them.

    Raises:
        UserError: The file or one of the columns is missing, images have no row, a name fits several images, a row
            has more or less than one 1 in `label_columns`, or a target is no number.
    """
    columns = Columns(
        id_column,
        file_column,
        label_column,
        label_columns,
        target_columns,
        group_column,
        row_column,
        weight_column,
        split_column,
        metadata,
    )
    sets = Sets(separator, several, empty_set)
    file = LabelFile(csv, read_csv(csv).reset_index(drop=True), columns, folders(images), suffix, sets)
    return file.table(split, test, Ignored(ignore_unlabelled, ignore_conflicts, ignore_duplicates, ignore_missing))


def labels_from_json(
    json: Path,
    *,
    images: Path | Sequence[Path],
    suffix: str = "",
    id_column: str = "id",
    label_column: str | None = None,
    target_columns: Sequence[str] = (),
    separator: str | None = None,
    several: bool = False,
    empty_set: bool = False,
    file_column: str | None = None,
    group_column: str | None = None,
    row_column: str | Sequence[str] | None = None,
    weight_column: str | None = None,
    split_column: str | None = None,
    metadata: Sequence[str] = (),
    split: str = "train",
    test: Path | None = None,
    ignore_unlabelled: bool = False,
    ignore_conflicts: bool = False,
    ignore_missing: bool = False,
) -> pd.DataFrame:
    """Read labels from a JSON file: COCO, a list of records, or a mapping from names to labels or records.

    The fields of a record are its columns. In COCO these are the fields of an image (``id``, ``file_name``), of its
    annotation (``category_id``) and of its category (``category.name``). A mapping has the columns ``name`` and
    ``label``.

    Args:
        json: The file.
        images: As in `labels_from_csv`, and so are all other arguments.
        suffix: What the ids lack of the file names.
        id_column: Name of the ids' column.
        label_column: Name of the labels' column; None for the only other one.
        target_columns: Names of columns with a target each instead: 0 or 1, or numbers.
        separator: Between the labels in a field; of a list of labels, a blank, or ``|`` if a label has blanks.
        several: An image may have several annotations, whose labels together become a tuple of names.
        empty_set: With `separator` or `several`: an image without labels has no label, ``()``. Else it is unlabelled.
        file_column: Name of the column of file names; None if the ids are file names.
        group_column: Name of a column whose values become the ``group``.
        row_column: Name of a column, or of several, whose values become the ``row``.
        weight_column: Name of a column of numbers that become the ``weight``.
        split_column: Name of a column that says ``train``, ``val`` or ``test``.
        metadata: Names of further columns that the table keeps as text.
        split: Of all rows.
        test: The folder of test images, which need not exist.
        ignore_unlabelled: Skip train images without a row or label.
        ignore_conflicts: Skip images that have annotations with different labels.
        ignore_missing: Skip rows whose image does not exist.

    Raises:
        UserError: See `labels_from_csv`; or the file has another form.
    """
    columns = Columns(
        id_column,
        file_column,
        label_column,
        (),
        target_columns,
        group_column,
        row_column,
        weight_column,
        split_column,
        metadata,
    )
    sets = Sets(separator, several, empty_set)
    file = LabelFile(json, read_records(json).reset_index(drop=True), columns, folders(images), suffix, sets)
    return file.table(split, test, Ignored(ignore_unlabelled, ignore_conflicts, True, ignore_missing))


def folders(images: Path | Sequence[Path]) -> list[Path]:
    """Return the folders of the images."""
    return [images] if isinstance(images, Path) else list(images)
