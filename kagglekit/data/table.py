"""Check an image table."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.data.listing import check_unicode, is_unicode
from kagglekit.data.metadata import check_metadata
from kagglekit.data.unused import describe_unused
from kagglekit.system.display.printable import printable
from kagglekit.system.errors import UserError, listing
from kagglekit.system.members import members_of
from kagglekit.tasks.single_label import SingleLabel, as_text
from kagglekit.types.competition import Competition
from kagglekit.types.image_path import all_files
from kagglekit.types.image_table import COLUMNS, KEY, OPTIONAL, SPLITS, labelled_rows, with_joined_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit.hooks.calls import Hooks
    from kagglekit.tasks.task import Task

SINGLE_LABEL = Competition(title="")
UNLABELLED = "train or valid images without a label"


def read_table(hooks: Hooks, competition: Competition, data: Path) -> tuple[pd.DataFrame, Task, list[str]]:
    """Return the checked image table of a data folder, what is predicted, and a warning for each oddity.

    Raises:
        UserError: See `check_table`, or there is nothing to learn from the labels.
    """
    kind = hooks.task(competition.task)
    table, warnings = check_table(hooks.labels(data), data, kind, competition)
    labels = labelled_rows(table)["label"].tolist()
    task = kind.fit(labels, competition)
    truth = task.encode(labels)
    if truth.dtype.kind == "f" and (unknown := int(np.isnan(truth).sum())):
        warnings.append(f"{unknown:,} of {truth.size:,} targets are unknown: they count for nothing")
    return table, task, warnings


def check_table(
    table: pd.DataFrame, data: Path, kind: type[Task] = SingleLabel, competition: Competition = SINGLE_LABEL
) -> tuple[pd.DataFrame, list[str]]:
    """Check the table that a labels hook returned.

    Args:
        table: The hook's image table.
        data: The data folder; relative paths are relative to it.
        kind: What is predicted.
        competition: The competition's facts.

    Returns:
        The table with absolute paths, text ids, and labels as text (None where unknown) in the column ``label``, rows
        in the hook's order, and a warning for each oddity.

    Raises:
        UserError: Lists every problem, each with the first few offenders and their number.
    """
    import pandas as pd

    _check_columns(table, data, competition)
    table = with_joined_keys(table)
    checked = table.reset_index(drop=True).astype(object)
    checked["label"] = pd.Series(kind.read(checked, competition), dtype=object)
    known = zip(checked["id"], checked["id"].notna(), strict=True)
    checked["id"] = pd.Series([as_text(value) if there else None for value, there in known], dtype=object)
    checked["path"] = pd.Series([_absolute_path(path, data.absolute()) for path in checked["path"]], dtype=object)
    _check_unicode(checked, data)
    problems = [*_bad_rows(checked, kind), *_duplicates(checked), *_missing_files(checked)]
    if problems:
        what = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        unlabelled = any(problem.startswith(UNLABELLED) for problem in problems)
        leave_out = "; labels_from_csv(..., ignore_unlabelled=True) leaves out images without a label"
        raise UserError(
            f"the image table of {data} has {what}:\n" + "\n".join(f"  - {problem}" for problem in problems),
            f"fix the data folder, or the labels hook of the competition's plugin{leave_out if unlabelled else ''}",
        )
    check_metadata(checked, competition.metadata)
    checked = _with_rows_grouped(checked, competition)
    return checked, [*_warnings(checked, kind), *describe_unused(_by_file(checked), data)]


def strata_of(table: pd.DataFrame, task: Task) -> NDArray[np.int64]:
    """Return what splits keep balanced, see `Task.strata`: a row for each row of the table, 0 for test images."""
    rows = np.flatnonzero((table["split"] != "test").to_numpy())
    known = task.strata(task.encode(table["label"].to_numpy()[rows].tolist()))
    strata = np.zeros((len(table), *known.shape[1:]), dtype=np.int64)
    strata[rows] = known
    return strata


def _with_rows_grouped(table: pd.DataFrame, competition: Competition) -> pd.DataFrame:
    """Keep the images of one row of the CSV together, if rows have several.

    Raises:
        UserError: An image is in no row, or a row's images differ in group, label or split.
    """
    import pandas as pd

    if not competition.rows:
        return table
    if "row" not in table or table["row"].isna().any():
        what = f"Competition.rows is {competition.rows!r}, but images of the image table have no row"
        raise UserError(what, "name the row of the CSV that each image belongs to in the column row")
    group = table["group"] if "group" in table else pd.Series(None, index=table.index, dtype=object)
    table = table.assign(group=group.where(group.notna(), "row " + table["row"].astype("str")))
    for column, what in (
        ("group", "are in several groups"),
        ("label", "have several labels"),
        ("split", "are in train and in valid"),
    ):
        several = labelled_rows(table).groupby("row")[column].nunique(dropna=False)
        if (several > 1).any():
            rows = listing([str(row) for row in several.index[several > 1]])
            raise UserError(f"images of one row {what}: {rows}", "fix the labels hook, or predict each image: rows=''")
    return table


def _check_unicode(table: pd.DataFrame, data: Path) -> None:
    """Refuse names that no CSV or JSON file can hold: of files, else of ids and classes."""
    texts = {column: [text for text in table[column] if isinstance(text, str)] for column in ("path", "id", "label")}
    check_unicode([str(data)])  # else every path in it
    check_unicode(texts["path"])
    for column in ("id", "label"):
        wrong = [printable(text) for text in dict.fromkeys(texts[column]) if not is_unicode(text)]
        if wrong:
            raise UserError(f"{column}s that are not valid Unicode: {listing(wrong)}", "fix the labels hook's table")


def _check_columns(table: pd.DataFrame, data: Path, competition: Competition) -> None:
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        raise UserError(
            f"the labels hook returned {type(table).__name__}, not a pandas DataFrame",
            "fix kagglekit_labels in the competition's plugin",
        )
    there = [str(column) for column in table.columns]
    needed = [column for column in COLUMNS if column != "label" or not competition.targets]
    missing = set(needed) - set(there)
    if missing or len(set(there)) < len(there):
        targets = "; or name the targets' columns: Competition(targets=...)" if missing == {"label"} else ""
        raise UserError(
            f"the image table has the columns {', '.join(there) or 'none'}",
            f"it needs {', '.join(needed)} and optionally {', '.join((*OPTIONAL, KEY))}, each once; others are kept"
            f"{targets}",
        )
    if not len(table):
        raise UserError(f"the labels hook found no images in {data}", "check the data folder")


def _absolute_path(path: object, data: Path) -> str | None:
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        return None
    return os.path.join(data, path)  # noqa: PTH118 (10 times faster than pathlib)


def _problem(what: str, offenders: Iterable[object]) -> list[str]:
    named = [printable(str(offender)) for offender in offenders]
    return [f"{what}: {listing(named)}"] if named else []


def _bad_rows(table: pd.DataFrame, kind: type[Task]) -> list[str]:
    def is_text(value: object) -> bool:
        return isinstance(value, str) and bool(value.strip())

    known, named = table["label"].notna(), table["split"].isin(SPLITS)
    unknown = table.loc[~named, "split"].astype(str).drop_duplicates()
    text = table["label"].map(is_text)
    problems = [
        *_problem("ids that are not text (by path)", table.loc[~table["id"].map(is_text), "path"]),
        *_problem("invalid paths (by id)", table.loc[table["path"].isna(), "id"]),
        *_problem(f"splits other than {', '.join(SPLITS)}", unknown),
        *_problem("labels that are not text (by id)", table.loc[known & ~text, "id"]),
        *_problem(UNLABELLED, table.loc[(table["split"] != "test") & ~known, "id"]),
    ]
    if not (table["split"] == "train").any():
        return [*problems, "no train images"]
    if problems:
        return problems
    train, valid = (table.loc[known & (table["split"] == split), "label"].tolist() for split in ("train", "valid"))
    return kind.faults(train, valid)


def _duplicates(table: pd.DataFrame) -> list[str]:
    problems = []
    for kind, part in (("labelled", table["split"] != "test"), ("test", table["split"] == "test")):
        ids = table.loc[part, "id"]
        problems += _problem(f"ids of more than one {kind} image", ids[ids.duplicated()].drop_duplicates())
    return problems


def _missing_files(table: pd.DataFrame) -> list[str]:
    """Check that all files exist by reading each of their folders once; of a member, its file."""
    paths = all_files(table["path"].dropna().tolist())
    there: set[str] = set()
    for folder in {path.rpartition(os.sep)[0] for path in paths}:
        with suppress(OSError), os.scandir(folder) as entries:
            there.update(f"{folder}{os.sep}{entry.name}" for entry in entries if entry.is_file())
    # A file system may know a file by another spelling of its name, so check the rest one by one.
    rest = [path for path in paths if path not in there]
    inside = zip(rest, members_of(rest), strict=True)
    missing = [path for path, member in inside if member is None and not Path(path).is_file()]
    return _problem("missing files", missing)


def _by_file(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the files of members in their place."""
    paths = table["path"].tolist()
    return table.assign(
        path=[each.container if each else path for path, each in zip(paths, members_of(paths), strict=True)]
    )


def _warnings(table: pd.DataFrame, kind: type[Task]) -> Iterator[str]:
    known_test = table.loc[(table["split"] == "test") & table["label"].notna(), "label"]
    yield from kind.doubts(labelled_rows(table)["label"].tolist(), known_test.tolist())
    if not (table["split"] == "test").any():
        yield "no test images: no CSV is written, only the valid images are scored"
