"""Read and check the rows of a run's CSV files, which users may have edited."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from kagglekit.runs.folder import Run
from kagglekit.runs.loaded import LoadedRun
from kagglekit.system.errors import UserError

Rows = list[dict[str, str]]
Columns = Mapping[str, Callable[[str], object]]
LOG: Columns = {
    **dict.fromkeys(("cycle", "step"), int),
    **dict.fromkeys(("train_loss", "valid_loss", "seconds", "images_per_s", "waited_s"), float),
}
STEPS: Columns = {"stage": str.strip, "step": int, **dict.fromkeys(("lr", "momentum", "loss"), float)}
VALID: Columns = dict.fromkeys(("id", "file", "label"), str.strip)


def log(loaded: LoadedRun) -> Rows:
    """Read log.csv.

    Raises:
        UserError: A row cannot be read.
    """
    stages, run = {stage.name: stage for stage in loaded.recipe.stages}, loaded.run
    return _checked(run.log_file, run.log_rows(), {"stage": stages.__getitem__, **LOG})


def steps(run: Run) -> Rows:
    """Read steps.csv.

    Raises:
        UserError: A row cannot be read.
    """
    return _checked(run.steps_file, run.steps(), STEPS)


def valid(run: Run) -> Rows:
    """Read valid.csv.

    Raises:
        UserError: A row cannot be read.
    """
    return _checked(run.valid_file, run.valid(), VALID)


def test_images(run: Run) -> Rows:
    """Read test-images.csv: the test images that were predicted most and least surely.

    Raises:
        UserError: A row cannot be read.
    """
    return _checked(run.test_images_file, run.test_images(), dict.fromkeys(("id", "file", "sure"), str.strip))


def _checked(file: Path, rows: Rows, columns: Columns) -> Rows:
    """Return the rows, all of whose columns exist and can be parsed.

    Raises:
        UserError: A column is missing or cannot be parsed.
    """
    for number, row in enumerate(rows, 2):
        for column, read in columns.items():
            try:
                read(row[column])
            except (KeyError, TypeError, ValueError):
                what = f"{column} is {row[column]!r}" if row.get(column) else f"{column} is missing"
                raise UserError(
                    f"{file} is damaged: in line {number} {what}", "restore or remove it: a report works without it"
                ) from None
    return rows
