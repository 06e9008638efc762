"""The image table: checked once, limited and split. Labels of test images play no part in any of it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.system.errors import UserError, listing
from kagglekit.types.image_table import COLUMNS, OPTIONAL, SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd


def check_table(table: pd.DataFrame, data: Path) -> tuple[pd.DataFrame, list[str]]:
    """Check what a labels hook answered.

    Args:
        table: The hook's image table.
        data: The data folder; relative paths are relative to it.

    Returns:
        The table with whole paths and text ids and labels (None where unknown), rows in the hook's order,
        and a sentence about each thing that is odd but no reason to stop.

    Raises:
        UserError: Every problem, each with the first few offenders and their number.
    """
    import pandas as pd

    _check_columns(table, data)
    checked = table.reset_index(drop=True).astype(object)
    for column in ("id", "label"):
        known = zip(checked[column], checked[column].notna(), strict=True)
        checked[column] = pd.Series([_as_text(value) if there else None for value, there in known], dtype=object)
    checked["path"] = pd.Series([_whole_path(path, data.absolute()) for path in checked["path"]], dtype=object)
    problems = [*_bad_rows(checked), *_duplicates(checked), *_missing_files(checked)]
    if problems:
        what = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise UserError(
            f"the image table of {data} has {what}:\n" + "\n".join(f"  - {problem}" for problem in problems),
            "mend the data folder, or the labels hook of the competition's plugin",
        )
    return checked, list(_warnings(checked))


def _check_columns(table: pd.DataFrame, data: Path) -> None:
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        raise UserError(f"the labels hook answered {type(table).__name__}, not a pandas DataFrame")
    there = [str(column) for column in table.columns]
    lacking = [column for column in COLUMNS if column not in there]
    strange = [column for column in there if column not in COLUMNS + OPTIONAL]
    if lacking or strange or len(set(there)) < len(there):
        raise UserError(
            f"the image table has the columns {', '.join(there) or 'none'}",
            f"it needs {', '.join(COLUMNS)} and may have {', '.join(OPTIONAL)}, each once",
        )
    if not len(table):
        raise UserError(f"the labels hook found no images in {data}")


def _as_text(value: object) -> object:
    """Turn whole numbers into text; pandas makes them floats where some are missing."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return str(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else value


def _whole_path(path: object, data: Path) -> str | None:
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        return None
    return os.path.join(data, path)  # noqa: PTH118 (10 times faster than pathlib)


def _problem(what: str, offenders: Iterable[object]) -> list[str]:
    named = list(offenders)
    return [f"{what}: {listing(named)}"] if named else []


def _bad_rows(table: pd.DataFrame) -> list[str]:
    def is_text(value: object) -> bool:
        return isinstance(value, str) and bool(value.strip())

    known, named = table["label"].notna(), table["split"].isin(SPLITS)
    unknown = table.loc[~named, "split"].astype(str).drop_duplicates()
    text = table["label"].map(is_text)
    in_train = set(table.loc[known & (table["split"] == "train"), "label"].astype(str))
    problems = [
        *_problem("ids that are no text (by path)", table.loc[~table["id"].map(is_text), "path"]),
        *_problem("paths that are none (by id)", table.loc[table["path"].isna(), "id"]),
        *_problem(f"splits other than {', '.join(SPLITS)}", unknown),
        *_problem("labels that are no text (by id)", table.loc[known & ~text, "id"]),
        *_problem("train or valid images without a label", table.loc[(table["split"] != "test") & ~known, "id"]),
    ]
    if not (table["split"] == "train").any():
        return [*problems, "no train images"]
    untaught = sorted(set(table.loc[known & (table["split"] == "valid"), "label"].astype(str)) - in_train)
    return [
        *problems,
        *_problem("classes of valid images that train has not", untaught),
    ]


def _duplicates(table: pd.DataFrame) -> list[str]:
    problems = []
    for kind, part in (("labelled", table["split"] != "test"), ("test", table["split"] == "test")):
        ids = table.loc[part, "id"]
        problems += _problem(f"ids of several {kind} images", ids[ids.duplicated()].drop_duplicates())
    return problems


def _missing_files(table: pd.DataFrame) -> list[str]:
    """Look for all files by reading each of their folders once."""
    paths = table["path"].dropna().tolist()
    there: set[str] = set()
    for folder in {path.rpartition(os.sep)[0] for path in paths}:
        with suppress(OSError), os.scandir(folder) as entries:
            there.update(f"{folder}{os.sep}{entry.name}" for entry in entries if entry.is_file())
    # a file system may know a file by another spelling of its name, so what is left is asked for
    missing = [path for path in paths if path not in there and not Path(path).is_file()]
    return _problem("missing files", missing)


def _warnings(table: pd.DataFrame) -> Iterator[str]:
    labelled = table[table["split"] != "test"]
    counts = labelled["label"].value_counts().sort_index()
    single = counts.index[counts == 1].tolist()
    if single:
        yield f"only one image of {listing(single)}: too few to learn from and to hold out for valid"
    if not (table["split"] == "test").any():
        yield "there are no test images: no CSV is written, and the valid images are what is scored"
