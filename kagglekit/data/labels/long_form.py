"""Build image tables from CSV files in long form: a row for each image and target."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.csv_file import read_csv
from kagglekit.data.labels.label_columns import Columns, need_columns, numbers_in
from kagglekit.data.labels.label_file import Ignored, LabelFile
from kagglekit.data.labels.tables import folders
from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    import pandas as pd

_IMAGE = "id of the image"  # no column of a file has this name: see _LongForm.wide


def labels_from_long_csv(
    csv: Path,
    *,
    images: Path | Sequence[Path],
    value_column: str | None = None,
    suffix: str = "",
    id_column: str = "id",
    target_column: str | None = None,
    separator: str = "_",
    targets: Sequence[str] = (),
    file_column: str | None = None,
    group_column: str | None = None,
    row_column: str | Sequence[str] | None = None,
    weight_column: str | None = None,
    metadata: Sequence[str] = (),
    split: str = "train",
    test: Path | None = None,
    ignore_unlabelled: bool = False,
    ignore_missing: bool = False,
) -> pd.DataFrame:
    """Read targets from a CSV file in long form: a row for each image and target.

    Either a column names the target, or the ids do: ``ID_12_epidural`` is the target ``epidural`` of the image
    ``ID_12``. The table gets a float column for each target, nan where a row is missing or its value is empty; name
    them in `Competition.targets`, too. Equal rows count once.

    Args:
        csv: The file.
        images: The folder of the images, or several, as in `labels_from_csv`.
        value_column: Name of the column of 0 and 1, or of numbers; not needed for test images.
        suffix: What the images' ids lack of the file names.
        id_column: Name of the column of images, or of images and targets.
        target_column: Name of the column of targets; None if the ids end with them.
        separator: Without `target_column`: between the image and the target in an id. Without `targets`, the last one
            counts.
        targets: The names of the targets; empty for those in the file. Needed if they contain the `separator`.
        file_column: Name of the column of file names; None if the images' ids are file names.
        group_column: Name of a column whose values become the ``group``.
        row_column: Name of a column, or of several, whose values become the ``row``.
        weight_column: Name of a column of numbers that become the ``weight``.
        metadata: Names of further columns that the table keeps as text.
        split: Of all rows: ``train``, ``valid``, or ``test``.
        test: The folder of test images, which need not exist.
        ignore_unlabelled: Skip train images without a row instead of refusing them.
        ignore_missing: Skip rows whose image does not exist instead of refusing them.

    Raises:
        UserError: The file or one of the columns is missing, an id does not end with a target, rows contradict each
            other, or as in `labels_from_csv`.
    """
    kept = Columns(
        id_column,
        file_column,
        group=group_column,
        row=row_column,
        weight=weight_column,
        metadata=metadata,
    )
    rows = read_csv(csv).reset_index(drop=True)
    long = _LongForm(csv, rows, kept, target_column, None if split == "test" else value_column, separator, targets)
    wide, names = long.wide()
    columns = replace(kept, image=_IMAGE, file=file_column, targets=names)
    file = LabelFile(csv, wide, columns, folders(images), suffix)
    return file.table(split, test, Ignored(ignore_unlabelled, False, False, ignore_missing))


@dataclass(frozen=True)
class _LongForm:
    """A CSV file in long form: see `labels_from_long_csv`."""

    file: Path
    rows: pd.DataFrame
    kept: Columns
    target: str | None
    value: str | None
    separator: str
    targets: Sequence[str]

    def wide(self) -> tuple[pd.DataFrame, list[str]]:
        """Return a row an image, its cells as text, and the names of the targets."""
        import pandas as pd

        kept = list(self._kept())
        self.kept.check(self.file, self.rows, labelled=True)
        need_columns(self.file, self.rows, filter(None, (self.target, self.value)))
        ids, targets = self._taken_apart()
        names = list(self.targets) or list(dict.fromkeys(targets))
        if both := sorted(set(names) & set(kept)):
            raise UserError(f"{self.file} has columns named like targets: {listing(both)}", "rename these columns")
        images = ids.drop_duplicates().to_numpy()
        wide = pd.DataFrame({_IMAGE: images}, index=images, dtype=object)
        wide = wide.assign(**{column: self._constant(ids, column) for column in kept})
        if self.value is not None:
            wide = wide.join(self._values(ids, targets, self.value).reindex(columns=names))
        return wide.reset_index(drop=True), names

    def _kept(self) -> Iterator[str]:
        kept = self.kept
        yield from dict.fromkeys(filter(None, [kept.file, kept.group, *kept.rows, kept.weight, *kept.metadata]))

    def _taken_apart(self) -> tuple[pd.Series[str], pd.Series[str]]:
        """Return image and target of each row."""
        ids = self.rows[self.kept.image].str.strip()
        if self.target is not None:
            targets = self.rows[self.target].str.strip()
            strange = targets[~targets.isin(self.targets)] if self.targets else targets[targets == ""]
        else:
            known = "|".join(map(re.escape, self.targets)) or ".+"
            more = "?" if self.targets else ""  # with known targets, the longest one that fits
            parts = ids.str.extract(f"^(.+{more}){re.escape(self.separator)}({known})$")
            strange = ids[parts[0].isna()]
            ids, targets = parts[0], parts[1]
        if len(strange):
            what = f"{self.file} has rows without a known target: {listing(list(strange.drop_duplicates()), 3)}"
            raise UserError(what, f"targets are {listing(self.targets)}" if self.targets else "check the separator")
        return ids, targets

    def _constant(self, ids: pd.Series[str], column: str) -> pd.Series[str]:
        """Return a column's value of each image.

        Raises:
            UserError: An image has several.
        """
        values = self.rows[column]
        several = values.groupby(ids).nunique()
        if (several > 1).any():
            images = list(several.index[several > 1])
            raise UserError(
                f"{self.file} has rows of one image with different values in {column!r}: {listing(images, 3)}",
                "leave out this column, or correct the rows",
            )
        return values.groupby(ids).first()

    def _values(self, ids: pd.Series[str], targets: pd.Series[str], column: str) -> pd.DataFrame:
        """Return the value of each image and target.

        Raises:
            UserError: There are two.
        """
        import pandas as pd

        numbers = numbers_in(self.file, self.rows, column, self.kept.image)
        rows = pd.DataFrame({"image": ids, "target": targets, "value": numbers}).dropna().drop_duplicates()
        twice = rows[rows.duplicated(["image", "target"])]
        if len(twice):
            who = [f"{image} ({target})" for image, target in zip(twice["image"], twice["target"], strict=True)]
            raise UserError(f"{self.file} has rows that contradict each other: {listing(who, 3)}", "correct them")
        return rows.set_index(["image", "target"])["value"].unstack()
