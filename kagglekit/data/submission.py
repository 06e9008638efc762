"""Check the submission CSV against the sample submission, and write it."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kagglekit.data.csv_file import read_csv
from kagglekit.data.long_form import split_ids
from kagglekit.system.errors import UserError, listing
from kagglekit.system.files import replacing
from kagglekit.system.output_marker import mark_output
from kagglekit.types.metric import needs, title_of
from kagglekit.types.predictions import difference, free_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from kagglekit.tasks.task import Task
    from kagglekit.types.competition import Competition

SAMPLE = "sample_submission.csv"
FIX_HOOK = "fix kagglekit_submission in the competition's plugin"
FIX_FILE = "fix the file: its rows must be like those of the sample submission"
ROWS_AT_ONCE = 4096  # a block of Python floats takes about 15 MB with 120 classes


def check_submission(
    rows: pd.DataFrame,
    sample: pd.DataFrame | None,
    predictions: pd.DataFrame,
    competition: Competition,
    task: Task,
    name: str = SAMPLE,
) -> None:
    """Check the rows of the CSV before they are written.

    Args:
        rows: The submission hook's table; the first column holds the ids.
        sample: The sample submission's rows, all as text; None if there is none.
        predictions: The predictions that the rows were computed from, one for each row, or for each image of a CSV with
            a row for each image and target.
        competition: Named in messages.
        task: What is predicted.
        name: The sample submission's file name, for messages.

    Raises:
        UserError: Columns or ids differ from the sample's, an id of the predictions is missing, or a value is
            invalid. The message names the first offenders and their number.
    """
    whose = f"the submission to {competition.title}"
    if sample is not None and list(rows.columns) != list(sample.columns):
        raise UserError(f"{whose} differs in its columns from {name}: {_difference_of_columns(rows, sample)}", FIX_HOOK)
    ids = rows.iloc[:, 0].astype("str")
    if not ids.is_unique:
        raise UserError(f"{whose} has duplicate ids: {listing(list(ids[ids.duplicated()].unique()))}", FIX_HOOK)
    if sample is not None:
        _check_order(ids, sample.iloc[:, 0], whose, name)
    pairs = split_ids(ids.tolist(), task.targets, predictions.index)
    if difference(ids, predictions.index) and pairs:
        _check_pairs(pairs, predictions, whose)
    elif differences := difference(ids, predictions.index):
        raise UserError(f"{whose} differs in its ids from the test predictions: {differences}", FIX_HOOK)
    _check_values(rows, task, whose)


def _check_pairs(pairs: list[tuple[str, str]], predictions: pd.DataFrame, whose: str) -> None:
    """Check that each row names a predicted image."""
    if differences := difference([image for image, _ in pairs], predictions.index):
        raise UserError(f"{whose} differs in its images from the test predictions: {differences}", FIX_HOOK)


def _difference_of_columns(rows: pd.DataFrame, sample: pd.DataFrame) -> str:
    return difference(rows.columns, sample.columns) or f"the right order is {listing(list(sample.columns))}"


def doubt(rows: pd.DataFrame, metric: str) -> str:
    """Return a warning if the CSV holds class names, but the metric needs probabilities; else an empty string."""
    if needs(metric) != "probabilities" or any(_is_float(rows.iloc[:, i]) for i in range(1, rows.shape[1])):
        return ""
    title = title_of(metric)
    return f"the CSV will hold hard labels, but {title} is computed from probabilities: check Competition.metric"


def check_file(file: Path, sample: pd.DataFrame, name: str = SAMPLE, may_be_blank: bool = False) -> int:
    """Check any CSV against the sample: columns, ids (in any order), and that no value is missing.

    Args:
        file: The file to be uploaded.
        sample: The sample submission's rows, all as text.
        name: The sample submission's file name, for messages.
        may_be_blank: Whether cells of text may be empty, see `Task.may_be_blank`.

    Returns:
        The number of rows.

    Raises:
        UserError: Kaggle would refuse it. The message names the first offenders and their number.
    """
    rows = read_csv(file, f"it must be a CSV file like {name}")
    if list(rows.columns) != list(sample.columns):
        raise UserError(f"{file} differs in its columns from {name}: {_difference_of_columns(rows, sample)}", FIX_FILE)
    ids = rows.iloc[:, 0]
    if not ids.is_unique:
        raise UserError(f"{file} has duplicate ids: {listing(list(ids[ids.duplicated()].unique()))}", FIX_FILE)
    if differences := difference(ids, sample.iloc[:, 0]):
        raise UserError(f"{file} differs in its ids from {name}: {differences}", FIX_FILE)
    for column in rows.columns[1:]:
        _check_like_sample(rows[column], sample[column], ids, f"{file} has in {column!r}", may_be_blank)
    return len(rows)


def _check_like_sample(
    values: pd.Series[str], sample: pd.Series[str], ids: pd.Series[str], what: str, may_be_blank: bool
) -> None:
    """Check that no value is blank, and that a column of numbers in the sample has finite numbers."""
    wrong = values.str.strip() == ""
    if wrong.any() and not may_be_blank:
        raise UserError(f"{what} no value for ids {listing(list(ids[wrong]))}", FIX_FILE)
    if pd.to_numeric(sample, errors="coerce").notna().all():
        wrong = ~np.isfinite(pd.to_numeric(values, errors="coerce"))
        if wrong.any():
            raise UserError(f"{what} non-finite values for ids {listing(list(ids[wrong]))}", FIX_FILE)


def _check_order(ids: pd.Series[str], wanted: pd.Series[str], whose: str, name: str) -> None:
    if differences := difference(ids, wanted):
        raise UserError(
            f"{whose} differs in its ids from {name}: {differences}",
            "write the ids as they are there: compare suffixes and leading zeros",
        )
    moved = np.flatnonzero(ids.to_numpy() != wanted.to_numpy())
    if len(moved):
        found, right = ids.iloc[moved[0]], wanted.iloc[moved[0]]
        where = f"row {moved[0] + 1} is {found}, not {right}"
        raise UserError(f"{whose} is not in the order of {name}: {where}", FIX_HOOK)


def _check_values(rows: pd.DataFrame, task: Task, whose: str) -> None:
    values = rows.set_index(rows.columns[0])
    by_column = set(values.columns) == set(task.columns)
    numeric = values[list(task.columns)] if by_column else values[[n for n in values if _is_float(values[n])]]
    check = task.check_values if by_column else task.check_cells
    check(_numbers(numeric, whose), values.index, f"{task.called} of {whose}")
    for name in values.columns.difference(numeric.columns):
        blank = values[name].isna() | (values[name].astype("str").str.strip() == "")
        if blank.any() and not task.may_be_blank:
            raise UserError(f"{whose} has no value in {name!r} for ids {listing(list(values.index[blank]))}", FIX_HOOK)


def _numbers(values: pd.DataFrame, whose: str) -> NDArray[np.floating]:
    try:
        return values.to_numpy() if (values.dtypes == np.float32).all() else values.to_numpy(dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise UserError(f"{whose} has non-numeric values in class columns: {error}", FIX_HOOK) from error


def write_submission(rows: pd.DataFrame, path: Path) -> None:
    """Write the CSV: UTF-8, lines ending in a line feed, floats with nine significant digits.

    Nine digits restore every float32 exactly, so equal files mean equal predictions. Fewer digits would turn
    0.9999999 into 1, which log loss punishes far harder when it is wrong.

    Raises:
        UserError: The file cannot be written.
    """
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(",".join(_quoted(str(name)) for name in rows.columns) + "\n")
        for block in _lines(rows):
            file.write(block)


def write_probabilities(table: pd.DataFrame, path: Path) -> None:
    """Write the probabilities (N, C) of image files, as `write_submission` does, with their paths in the first column.

    Raises:
        UserError: The file cannot be written.
    """
    mark_output(path)
    write_submission(table.rename_axis(free_name("path", table.columns)).reset_index(), path)


def columns_of_probabilities(classes: Sequence[str]) -> list[str]:
    """Return the columns that `write_probabilities` writes."""
    return [free_name("path", classes), *classes]


def check_replaceable(file: Path, columns: Sequence[str]) -> None:
    """Refuse to replace a file of the user: only one with the same columns may be from an earlier prediction.

    Args:
        file: What is to be written; it need not exist.
        columns: What will be its columns.

    Raises:
        UserError: It exists and has other columns.
    """
    if not file.exists():
        return
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            there = next(csv.reader(lines), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        there = []
    if there == list(map(str, columns)):
        return
    what = f"has the columns {listing(there)}" if len(there) > 1 else "is no CSV of predictions"
    raise UserError(
        f"{file} exists and {what}; it would be replaced by one with {listing(list(columns))}",
        "choose another name, or remove the file",
    )


def _lines(rows: pd.DataFrame) -> Iterator[str]:
    """Yield formatted blocks of rows; one format for a whole row takes a quarter of `DataFrame.to_csv`'s time."""
    floats = [_is_float(rows.iloc[:, i]) for i in range(rows.shape[1])]
    line = ",".join("%.9g" if is_float else "%s" for is_float in floats) + "\n"
    for start in range(0, len(rows), ROWS_AT_ONCE):
        block = rows.iloc[start : start + ROWS_AT_ONCE]
        columns = [
            block.iloc[:, i].tolist() if is_float else [_quoted(str(value)) for value in block.iloc[:, i]]
            for i, is_float in enumerate(floats)
        ]
        yield "".join(line % values for values in zip(*columns, strict=True))


def _is_float(column: pd.Series) -> bool:
    return pd.api.types.is_float_dtype(column.dtype)


def _quoted(text: str) -> str:
    """Quote a field if a CSV needs it (RFC 4180, section 2)."""
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text
