"""Read the CSV and JSON files of a data folder that may list images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kagglekit.authoring.detect.asked import Asked
from kagglekit.authoring.detect.long_form import LongForm, wide_table
from kagglekit.containers.sniff import holds_pixels
from kagglekit.data.csv_file import read_csv, separator_hint
from kagglekit.data.labels.json_rows import read_records
from kagglekit.data.listing import entries_of, is_hidden, subfolders
from kagglekit.data.sample import is_sample_name
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

OTHER_TABLES = (".tsv", ".xlsx", ".xls", ".parquet", ".feather")
LARGEST_JSON = 2 * 10**9  # bytes


@dataclass(frozen=True, eq=False)
class Source:
    """A file with a row an image, or several.

    Attributes:
        name: Its path, relative to the data folder.
        kind: How it is read.
        rows: All fields as text; names of columns are unique.
        long: The form of the file, if it has a row for each target: `rows` are then brought into one an image.
    """

    name: str
    kind: Literal["csv", "json"]
    rows: pd.DataFrame
    long: LongForm | None = None


def read_sources(data: Path) -> tuple[list[Source], list[str]]:
    """Read the tables in a data folder and its subfolders, without sample submissions.

    Returns:
        The tables, in the order of their names; and those that cannot be read, each with the reason, as sentences.
    """
    sources: list[Source] = []
    unread: list[str] = []
    for file in _files(data):
        name = file.relative_to(data).as_posix()
        is_json = file.suffix.lower() == ".json"
        try:
            rows = read_records(file) if is_json else _read(file)
            sources.append(
                Source(name, "json" if is_json else "csv", rows.loc[:, ~rows.columns.duplicated(keep=False)])
            )
        except UserError as error:
            if not is_json or error.what.startswith("cannot read"):  # other JSON files are no labels
                unread.append(f"{name} is not used: {_reason(error, file)}")
    return sources, unread


def in_wide_form(sources: Sequence[Source], asked: Asked | None) -> list[Source]:
    """Bring files with a row for each of the sample's targets into the form of a row an image."""
    if asked is None or (asked.is_single and asked.long is None):
        return list(sources)
    value = asked.long.value_column if asked.long else ""
    wide = [wide_table(each.rows, asked.columns, value) if each.kind == "csv" else None for each in sources]
    return [
        replace(source, rows=found[0], long=found[1]) if found else source
        for source, found in zip(sources, wide, strict=True)
    ]


def _reason(error: UserError, file: Path) -> str:
    what = error.what.removeprefix(f"cannot read {file}: ")
    what = f"it {what.removeprefix(f'{file} ')}" if what.startswith(f"{file} ") else what
    return f"{what}; {error.hint}" if error.hint else what


def _files(data: Path) -> list[Path]:
    """Return the files in a folder and its subfolders that may be tables with labels, in order."""
    places = [data, *subfolders(data)]
    files = [Path(entry.path) for place in places for entry in entries_of(place) if _may_be_table(entry)]
    there = {file.with_suffix("") for file in files if file.suffix.lower() == ".csv"}
    found = [file for file in files if file.suffix.lower() in (".csv", *OTHER_TABLES)]
    found += [file for file in files if file.suffix.lower() == ".json" and file.stat().st_size <= LARGEST_JSON]
    found += [file for file in files if file.name.lower().endswith(".csv.zip") and _unpacked(file) not in there]
    return sorted(file for file in found if not is_sample_name(file.name) and not holds_pixels(file))


def _may_be_table(entry: os.DirEntry[str]) -> bool:
    name = entry.name.lower()
    return name.endswith((".csv", ".csv.zip", ".json", *OTHER_TABLES)) and not is_hidden(entry.name) and entry.is_file()


def _unpacked(zipped: Path) -> Path:
    return zipped.with_suffix("").with_suffix("")


def _read(file: Path) -> pd.DataFrame:
    """Read a table.

    Raises:
        UserError: It is none that `labels_from_csv` reads; the message has the reason.
    """
    if file.suffix.lower() in OTHER_TABLES:
        raise UserError(f"{file} is not a CSV file", "save it as CSV if it holds the labels")
    rows = read_csv(file, "if it holds the labels: download it again, or save it as CSV in UTF-8")
    columns = [str(name) for name in rows.columns]
    if rows.empty:
        raise UserError(f"{file} has no rows", separator_hint(columns))
    if len(columns) < 2 and (hint := separator_hint(columns)):
        raise UserError(f"{file} has a single column, {columns[0]!r}", hint)
    return rows
