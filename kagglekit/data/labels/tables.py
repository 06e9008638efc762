"""Build image tables from label files with a row an image: CSV and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kagglekit.data.csv_file import read_csv, separator_hint
from kagglekit.data.labels.folders import unlabelled_images
from kagglekit.data.labels.image_files import files_of
from kagglekit.data.labels.json_rows import read_records
from kagglekit.data.labels.rows import joined, rows_of
from kagglekit.system.errors import UserError, listing, unknown
from kagglekit.system.members import is_there
from kagglekit.types.image_path import channel_files

if TYPE_CHECKING:
    import pandas as pd

_SPLITS = {"train": "train", "val": "valid", "dev": "valid", "test": "test"}  # by how a value begins


@dataclass(frozen=True)
class _Columns:
    """The columns of a label file: see `labels_from_csv`."""

    image: str
    file: str | None
    label: str | None
    one_hot: Sequence[str]
    group: str | None
    split: str | None


class _Ignored(NamedTuple):
    """Faults that are skipped instead of refused: see `labels_from_csv`."""

    unlabelled: bool
    conflicts: bool
    duplicates: bool
    missing: bool


def labels_from_csv(
    csv: Path,
    *,
    images: Path | Sequence[Path],
    suffix: str = "",
    id_column: str = "id",
    label_column: str | None = None,
    label_columns: Sequence[str] = (),
    file_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    split: str = "train",
    test: Path | None = None,
    ignore_unlabelled: bool = False,
    ignore_conflicts: bool = False,
    ignore_duplicates: bool = False,
    ignore_missing: bool = False,
) -> pd.DataFrame:
    """Read labels from a CSV file with an id and a label a row.

    Args:
        csv: The file.
        images: The folder of the images, or several. Each image is named by its id and `suffix`. Where there is no such
            file, it is found below the folder by its bare name, if that is unique.
        suffix: What the ids lack of the file names, for example ``.jpg``. Braces name the channels of an image that lie
            in a file each: ``_{red,green}.png``.
        id_column: Name of the ids' column.
        label_column: Name of the labels' column; None for the only other one.
        label_columns: Names of columns of 0 and 1 instead: each row has one 1, in the column named like its class.
        file_column: Name of the column of file names; None if the ids are file names.
        group_column: Name of a column whose values become the ``group``: images of one group stay together in train or
            in valid.
        split_column: Name of a column that says ``train``, ``val`` or ``test``.
        split: Of all rows: ``train``, ``valid``, or ``test``, whose rows have no labels.
        test: The folder of test images, which need not exist. Their ids lack `suffix`, too. If it is `images`, the
            images without a row are the test images.
        ignore_unlabelled: Skip train images without a row or label instead of refusing them.
        ignore_conflicts: Skip images that have rows with different labels instead of refusing them.
        ignore_duplicates: Count rows that repeat an image and its label once instead of refusing them.
        ignore_missing: Skip rows whose image does not exist instead of refusing them.

    Raises:
        UserError: The file or one of the columns is missing, images have no row, a name fits several images, or a row
            has more or less than one 1 in `label_columns`.
    """
    rows = read_csv(csv)
    columns = _Columns(id_column, file_column, label_column, label_columns, group_column, split_column)
    parts = _Parts(csv, rows, columns, _folders(images), suffix)
    return parts.table(split, test, _Ignored(ignore_unlabelled, ignore_conflicts, ignore_duplicates, ignore_missing))


def labels_from_json(
    json: Path,
    *,
    images: Path | Sequence[Path],
    suffix: str = "",
    id_column: str = "id",
    label_column: str | None = None,
    file_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
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
        file_column: Name of the column of file names; None if the ids are file names.
        group_column: Name of a column whose values become the ``group``.
        split_column: Name of a column that says ``train``, ``val`` or ``test``.
        split: Of all rows.
        test: The folder of test images, which need not exist.
        ignore_unlabelled: Skip train images without a row or label.
        ignore_conflicts: Skip images that have annotations with different labels.
        ignore_missing: Skip rows whose image does not exist.

    Raises:
        UserError: See `labels_from_csv`; or the file has another form.
    """
    columns = _Columns(id_column, file_column, label_column, (), group_column, split_column)
    parts = _Parts(json, read_records(json), columns, _folders(images), suffix)
    return parts.table(split, test, _Ignored(ignore_unlabelled, ignore_conflicts, True, ignore_missing))


def _folders(images: Path | Sequence[Path]) -> list[Path]:
    return [images] if isinstance(images, Path) else list(images)


@dataclass(frozen=True)
class _Parts:
    """A label file and where its images are."""

    file: Path
    rows: pd.DataFrame
    columns: _Columns
    folders: Sequence[Path]
    suffix: str

    def table(self, split: str, test: Path | None, ignored: _Ignored) -> pd.DataFrame:
        """Return the image table."""
        import pandas as pd

        self._check_columns()
        ids = self.rows[self.columns.image].tolist()
        names = ids if self.columns.file is None else self.rows[self.columns.file].tolist()
        paths, unlabelled = files_of(names, self.folders, self.suffix)
        whole = [test] == list(self.folders)
        if unlabelled and split == "train" and not (ignored.unlabelled or whole or self.columns.split):
            raise self._unlabelled(paths, unlabelled)
        table = rows_of(ids, paths, None if split == "test" else self._labels(), split)
        if self.columns.group:
            table["group"] = pd.Series([value.strip() or None for value in self.rows[self.columns.group]], dtype=object)
        if self.columns.split:
            table["split"] = self._splits()
            table.loc[table["split"] == "test", "label"] = None
        table = _once(table, ignored)
        if ignored.missing:
            table = table[table["path"].map(lambda path: all(map(is_there, channel_files(Path(path)))))]
        if ignored.unlabelled:
            table = table[(table["split"] == "test") | table["label"].notna()]
        if test is None or not test.exists():
            return table.reset_index(drop=True)
        tests = unlabelled_images(test, self.suffix)
        return joined([table, tests[~tests["path"].isin(table["path"])] if whole else tests])

    def _check_columns(self) -> None:
        there = [str(column) for column in self.rows.columns]
        named = self.columns
        wanted = [named.image, named.file, named.label, *named.one_hot, named.group, named.split]
        for column in filter(None, wanted):
            if column not in there:
                raise UserError(f"{self.file}: {unknown('column', column, there)}", separator_hint(there))
            if there.count(column) > 1:
                raise UserError(f"{self.file} has {there.count(column)} columns named {column!r}", "rename all but one")

    def _labels(self) -> list[str | None]:
        """Return the labels; an empty one is None."""
        if self.columns.one_hot:
            return self._of_one_hot(list(self.columns.one_hot))
        named = self.columns.label
        if named is None:
            used = {self.columns.image, self.columns.file, self.columns.group, self.columns.split}
            others = [str(column) for column in self.rows.columns if str(column) not in used]
            if len(others) != 1:
                there = listing([str(column) for column in self.rows.columns], 20)
                raise UserError(
                    f"{self.file} has the columns {there}: the labels' column is ambiguous",
                    "name it in the plugin: labels_from_csv(..., label_column=NAME)",
                )
            named = others[0]
        return [label.strip() or None for label in self.rows[named]]

    def _of_one_hot(self, columns: list[str]) -> list[str | None]:
        values = self.rows[columns].apply(lambda column: column.str.strip())
        strange = values[~values.isin(["0", "1", "0.0", "1.0"]).all(axis=1)]
        ones = values.isin(["1", "1.0"]).to_numpy()
        wrong = self.rows[ones.sum(axis=1) != 1]
        if len(strange) or len(wrong):
            first = list((strange if len(strange) else wrong).index[:1])
            at = self.rows.loc[first, self.columns.image].tolist()
            what = "values other than 0 and 1" if len(strange) else "more or less than a single 1"
            raise UserError(f"{self.file} has {what} in {listing(columns)}, first for {at[0]!r}")
        return [columns[number] for number in ones.argmax(axis=1)]

    def _splits(self) -> list[str]:
        values = self.rows[str(self.columns.split)].str.strip().str.lower()
        found = [next((ours for start, ours in _SPLITS.items() if value.startswith(start)), "") for value in values]
        strange = [value for value, ours in zip(values, found, strict=True) if not ours]
        if strange:
            has = f"the column {self.columns.split!r} has {listing(list(dict.fromkeys(strange)), 3)}"
            raise UserError(f"{self.file}: {has}, not only train, val and test")
        return found

    def _unlabelled(self, paths: Sequence[str], unlabelled: Sequence[str]) -> UserError:
        where = self.folders[0] if len(self.folders) == 1 else listing(self.folders)
        names = [Path(path).relative_to(self.folders[0]).as_posix() for path in paths[:2]] if paths else []
        return UserError(
            f"{self.file} has no row for images in {where}: {listing(unlabelled)}",
            f"its rows name {', '.join(names) or 'none'}; add rows, remove these images, or skip them in the plugin: "
            "labels_from_csv(..., ignore_unlabelled=True)",
        )


def _once(table: pd.DataFrame, ignored: _Ignored) -> pd.DataFrame:
    """Drop rows that repeat an image with its label; on request also images with several labels."""
    if ignored.duplicates:
        table = table.drop_duplicates(["id", "path", "label", "split"])
    if not ignored.conflicts:
        return table
    several = table.groupby("path")["label"].nunique()
    return table[~table["path"].isin(several.index[several > 1])]
