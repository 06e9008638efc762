"""Check an image table."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.data.listing import check_unicode, is_unicode
from kagglekit.data.unused import describe_unused
from kagglekit.system.errors import UserError, listing
from kagglekit.system.members import members_of
from kagglekit.system.printable import printable
from kagglekit.types.image_path import all_files
from kagglekit.types.image_table import COLUMNS, KEY, OPTIONAL, SPLITS, with_joined_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd


def check_table(table: pd.DataFrame, data: Path) -> tuple[pd.DataFrame, list[str]]:
    """Check the table that a labels hook returned.

    Args:
        table: The hook's image table.
        data: The data folder; relative paths are relative to it.

    Returns:
        The table with absolute paths and text ids and labels (None where unknown), rows in the hook's order,
        and a warning for each oddity.

    Raises:
        UserError: Lists every problem, each with the first few offenders and their number.
    """
    import pandas as pd

    _check_columns(table, data)
    table = with_joined_keys(table)
    checked = table.reset_index(drop=True).astype(object)
    for column in ("id", "label"):
        known = zip(checked[column], checked[column].notna(), strict=True)
        checked[column] = pd.Series([_as_text(value) if there else None for value, there in known], dtype=object)
    checked["path"] = pd.Series([_absolute_path(path, data.absolute()) for path in checked["path"]], dtype=object)
    _check_unicode(checked, data)
    problems = [*_bad_rows(checked), *_duplicates(checked), *_missing_files(checked)]
    if problems:
        what = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise UserError(
            f"the image table of {data} has {what}:\n" + "\n".join(f"  - {problem}" for problem in problems),
            "fix the data folder, or the labels hook of the competition's plugin",
        )
    return checked, [*_warnings(checked), *describe_unused(_by_file(checked), data)]


def _check_unicode(table: pd.DataFrame, data: Path) -> None:
    """Refuse names that no CSV or JSON file can hold: of files, else of ids and classes."""
    texts = {column: [text for text in table[column] if isinstance(text, str)] for column in ("path", "id", "label")}
    check_unicode([str(data)])  # else every path in it
    check_unicode(texts["path"])
    for column in ("id", "label"):
        wrong = [printable(text) for text in dict.fromkeys(texts[column]) if not is_unicode(text)]
        if wrong:
            raise UserError(f"{column}s that are not valid Unicode: {listing(wrong)}", "fix the labels hook's table")


def _check_columns(table: pd.DataFrame, data: Path) -> None:
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        raise UserError(
            f"the labels hook returned {type(table).__name__}, not a pandas DataFrame",
            "fix kagglekit_labels in the competition's plugin",
        )
    there = [str(column) for column in table.columns]
    lacking = [column for column in COLUMNS if column not in there]
    strange = [column for column in there if column not in (*COLUMNS, *OPTIONAL, KEY)]
    if lacking or strange or len(set(there)) < len(there):
        raise UserError(
            f"the image table has the columns {', '.join(there) or 'none'}",
            f"it needs {', '.join(COLUMNS)} and optionally {', '.join(OPTIONAL)}, each once",
        )
    if not len(table):
        raise UserError(f"the labels hook found no images in {data}", "check the data folder")


def _as_text(value: object) -> object:
    """Turn whole numbers into text; pandas turns integers into floats if some are missing."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return str(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else value


def _absolute_path(path: object, data: Path) -> str | None:
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        return None
    return os.path.join(data, path)  # noqa: PTH118 (10 times faster than pathlib)


def _problem(what: str, offenders: Iterable[object]) -> list[str]:
    named = [printable(str(offender)) for offender in offenders]
    return [f"{what}: {listing(named)}"] if named else []


def _bad_rows(table: pd.DataFrame) -> list[str]:
    def is_text(value: object) -> bool:
        return isinstance(value, str) and bool(value.strip())

    known, named = table["label"].notna(), table["split"].isin(SPLITS)
    unknown = table.loc[~named, "split"].astype(str).drop_duplicates()
    text = table["label"].map(is_text)
    in_train = set(table.loc[known & (table["split"] == "train"), "label"].astype(str))
    problems = [
        *_problem("ids that are not text (by path)", table.loc[~table["id"].map(is_text), "path"]),
        *_problem("invalid paths (by id)", table.loc[table["path"].isna(), "id"]),
        *_problem(f"splits other than {', '.join(SPLITS)}", unknown),
        *_problem("labels that are not text (by id)", table.loc[known & ~text, "id"]),
        *_problem("train or valid images without a label", table.loc[(table["split"] != "test") & ~known, "id"]),
    ]
    if not (table["split"] == "train").any():
        return [*problems, "no train images"]
    only_valid = sorted(set(table.loc[known & (table["split"] == "valid"), "label"].astype(str)) - in_train)
    return [*problems, *_problem("classes in valid but not in train", only_valid)]


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


def _warnings(table: pd.DataFrame) -> Iterator[str]:
    labelled = table[table["split"] != "test"]
    counts = labelled["label"].value_counts().sort_index()
    single = counts.index[counts == 1].tolist()
    if single:
        yield f"classes with a single image, too few to train and to validate: {listing(single)}"
    known_test = table.loc[(table["split"] == "test") & table["label"].notna(), "label"]
    if only_test := sorted(set(known_test) - set(labelled["label"])):
        yield f"classes in test but not in train: {listing(only_test)}"
    if not (table["split"] == "test").any():
        yield "no test images: no CSV is written, only the valid images are scored"
