"""Build the image table of a label file: its rows, the files that they name, what is refused or skipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kagglekit.data.labels.folders import unlabelled_images
from kagglekit.data.labels.image_files import files_of
from kagglekit.data.labels.label_columns import Columns, Sets, class_names, facts_of, label_sets, splits_of, targets_of
from kagglekit.data.labels.rows import joined, rows_of
from kagglekit.system.errors import UserError, listing
from kagglekit.system.members import is_there
from kagglekit.types.image_path import channel_files

if TYPE_CHECKING:
    import pandas as pd


class Ignored(NamedTuple):
    """Faults that are skipped instead of refused: see `labels_from_csv`."""

    unlabelled: bool
    conflicts: bool
    duplicates: bool
    missing: bool


@dataclass(frozen=True)
class LabelFile:
    """A label file and where its images are.

    Attributes:
        file: Where it is, for messages.
        rows: Its rows, all cells as text.
        columns: Their meaning.
        folders: Those of the images.
        suffix: What the ids lack of the file names.
        sets: How sets of labels are written.
    """

    file: Path
    rows: pd.DataFrame
    columns: Columns
    folders: Sequence[Path]
    suffix: str
    sets: Sets = field(default_factory=Sets)

    def table(self, split: str, test: Path | None, ignored: Ignored) -> pd.DataFrame:
        """Return the image table.

        Args:
            split: Of all rows, if no column says it.
            test: The folder of test images; None without one.
            ignored: Faults to skip.

        Raises:
            UserError: See `labels_from_csv`.
        """
        self.columns.check(self.file, self.rows, split != "test")
        names = self.rows[self.columns.file or self.columns.image].tolist()
        paths, unlabelled = files_of(names, self.folders, self.suffix)
        whole = [test] == list(self.folders)
        if unlabelled and split == "train" and not (ignored.unlabelled or whole or self.columns.split):
            raise self._unlabelled(paths, unlabelled)
        table = self._skipped(self._all_rows(paths, split), ignored)
        if test is None or not test.exists():
            return table.reset_index(drop=True)
        tests = self._without_label(unlabelled_images(test, self.suffix))
        return joined([table, tests[~tests["path"].isin(table["path"])] if whole else tests])

    def _all_rows(self, paths: Sequence[str], split: str) -> pd.DataFrame:
        """Return a row for each of the file's."""
        table = rows_of(self.rows[self.columns.image].tolist(), paths, None, split)
        table = self._without_label(table).assign(**dict(facts_of(self.file, self.rows, self.columns)))
        if self.columns.split:
            table["split"] = splits_of(self.file, self.rows[self.columns.split])
        for name, values in self._labels(split).items():
            table[name] = values
            table.loc[table["split"] == "test", name] = None
        return table

    def _labels(self, split: str) -> dict[str, pd.Series[Any]]:
        """Return the columns of labels or targets."""
        import pandas as pd

        if self.columns.targets and split == "test":
            return dict.fromkeys(self.columns.targets, pd.Series(float("nan"), index=self.rows.index))
        if self.columns.targets:
            return dict(targets_of(self.file, self.rows, self.columns))
        if split == "test":
            return {}
        read = label_sets(self.file, self.rows, self.columns, self.sets) if self.sets else None
        labels = class_names(self.file, self.rows, self.columns) if read is None else read
        return {"label": pd.Series(labels, index=self.rows.index, dtype=object)}

    def _without_label(self, table: pd.DataFrame) -> pd.DataFrame:
        """Leave out the column of labels where the targets have columns of their own."""
        return table.drop(columns="label") if self.columns.targets else table

    def _skipped(self, table: pd.DataFrame, ignored: Ignored) -> pd.DataFrame:
        """Join or drop rows that repeat an image, and drop those that are to be skipped."""
        known = list(self.columns.targets or ("label",))
        if self.sets.several:
            table = _with_joined_sets(table)
        if ignored.duplicates:
            table = table.drop_duplicates(["id", "path", "split", *known])
        if ignored.conflicts:
            labelled = table[["path", *known]].dropna(subset=known, how="all").drop_duplicates()
            table = table[~table["path"].isin(labelled.loc[labelled["path"].duplicated(), "path"])]
        if ignored.missing:
            table = table[table["path"].map(lambda path: all(map(is_there, channel_files(Path(path)))))]
        if ignored.unlabelled:
            table = table[(table["split"] == "test") | table[known].notna().any(axis=1)]
        return table

    def _unlabelled(self, paths: Sequence[str], unlabelled: Sequence[str]) -> UserError:
        where = self.folders[0] if len(self.folders) == 1 else listing(self.folders)
        names = [Path(path).relative_to(self.folders[0]).as_posix() for path in paths[:2]] if paths else []
        return UserError(
            f"{self.file} has no row for images in {where}: {listing(unlabelled)}",
            f"its rows name {', '.join(names) or 'none'}; add rows, remove these images, or skip them in the plugin: "
            "labels_from_csv(..., ignore_unlabelled=True)",
        )


def _with_joined_sets(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row an image with the labels of all its rows; None where none of these has any known."""
    import pandas as pd

    found: dict[str, dict[str, None] | None] = {}
    for path, names in zip(table["path"], table["label"], strict=True):
        before = found.setdefault(path, None)
        found[path] = before if names is None else {**(before or {}), **dict.fromkeys(names)}
    labels = [None if names is None else tuple(names) for names in found.values()]
    once = table.drop_duplicates("path")
    return once.assign(label=pd.Series(labels, index=once.index, dtype=object))
