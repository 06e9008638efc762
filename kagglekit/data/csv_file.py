"""Read CSV files, also zipped ones, as text: every field as it is written, nothing guessed."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from kagglekit.data.archive.expand import member_chunks
from kagglekit.data.archive.parts import unpacked_name
from kagglekit.data.listing import existing_file, is_hidden
from kagglekit.system.damage import naming_damage
from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    import pandas as pd

_COMPRESSED = {".gz": gzip.GzipFile, ".bz2": bz2.BZ2File, ".xz": lzma.LZMAFile}
MOST = 2 * 10**9  # bytes of a zipped table, which is read into memory
TAIL = 2**16  # bytes at the end of a file, in which its last row is looked for
SURPLUS = "remove the surplus commas, or quote fields that contain commas"
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def read_csv(file: Path, hint: str = "download it again, or save it as CSV in UTF-8") -> pd.DataFrame:
    """Read a CSV file: comma-separated, UTF-8, its first row the names of the columns.

    Blank lines are skipped, missing fields at the end of a row are empty, and commas at the end of all rows are
    ignored. Columns without a name are called ``Unnamed: 0`` and so on, by their position.

    Args:
        file: The file; it may be compressed (.zip with one CSV in it, .gz, .bz2, .xz). If it does not exist, the same
            file counts as it is before or after a download is unpacked: ``labels.csv.zip`` for ``labels.csv``.
        hint: What to do about a damaged one.

    Returns:
        All fields as text. Names of columns may occur twice.

    Raises:
        UserError: There is no such file, it is damaged or cut off, or rows have more fields than the header.
    """
    file = existing_file(_packed_or_not(file))
    with naming_damage(file, hint):
        with _opened(file) as content:
            width = _width(content)
            if not width:
                raise ValueError("it is empty")
        rows = _rows(file, width)
    if _is_cut_off(file, width):
        raise UserError(f"{file} ends in the middle of a row", "it is cut off: download it again")
    return _with_header(rows.fillna(""), file)


def _rows(file: Path, width: int) -> pd.DataFrame:
    """Return all rows as text, the header's among them, NaN where a field is missing."""
    import pandas as pd

    try:
        # where pyarrow is installed, pandas would use it, for three times the memory of a wide table
        with _opened(file) as content, pd.option_context("mode.string_storage", "python"):
            return pd.read_csv(
                content,
                dtype="str",
                keep_default_na=False,
                encoding="utf-8-sig",
                header=None,
                names=list(range(width + 1)),  # one more than the header has: pandas would take the first as an index
                index_col=False,
            )
    except pd.errors.ParserError as error:
        if found := re.search(r"in line (\d+), saw (\d+)", str(error)):
            what = f"{file} has {found[2]} fields in line {found[1]}, and its header has {width}"
            raise UserError(what, SURPLUS) from error
        raise


def _is_cut_off(file: Path, width: int) -> bool:
    """Return whether a file's last line is unfinished and has fewer fields than the one before it.

    A compressed file that is cut off is damaged anyway.
    """
    if file.suffix.lower() in (".zip", *_COMPRESSED):
        return False
    with file.open("rb") as content:
        content.seek(-min(TAIL, content.seek(0, os.SEEK_END)), os.SEEK_END)
        lines = content.read().split(b"\n")
    if len(lines) < 3 or not lines[-1].strip() or b'"' in lines[-1]:  # a field in quotes may have several lines
        return False
    return lines[-1].count(b",") + 1 < width == lines[-2].count(b",") + 1


def _packed_or_not(file: Path) -> Path:
    """Return the file, or the one that stands for it if it does not exist."""
    if file.exists():
        return file
    others = [file.with_name(unpacked_name(file.name))]
    others += [file.with_name(file.name + suffix) for suffix in (".zip", *_COMPRESSED)]
    return next((other for other in others if other.is_file()), file)


def _with_header(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Take the first row as names of the columns, without columns that have neither a name nor a value."""
    header = [str(name) for name in rows.iloc[0]]
    body = rows.iloc[1:].reset_index(drop=True)
    beyond = body[body.iloc[:, -1] != ""]
    if len(beyond):
        raise UserError(
            f"{file} has rows with more fields than its header ({listing(header[:-1])}): those that begin with "
            f"{listing(list(beyond.iloc[:, 0]))}",
            SURPLUS,
        )
    used = [i for i, name in enumerate(header) if name.strip() or (body.iloc[:, i] != "").any()]
    names = [header[i] if header[i].strip() else f"Unnamed: {i}" for i in used]
    return body.iloc[:, used].set_axis(names, axis="columns")


def _width(content: IO[bytes]) -> int:
    """Return how many fields the first row that is not blank has."""
    with io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as text:
        return next((len(row) for row in csv.reader(text) if any(field.strip() for field in row)), 0)


def separator_hint(columns: list[str]) -> str:
    """Return a hint if a header of one column looks separated by something else than commas; else an empty string."""
    found = [name for mark, name in _SEPARATORS.items() if len(columns) == 1 and mark in columns[0]]
    return f"it looks separated by {found[0]}: save it with commas" if found else ""


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    """Open a file's text as bytes, decompressed."""
    if file.suffix.lower() == ".zip":
        with zipfile.ZipFile(file) as archive:
            yield io.BytesIO(_content(archive, _only_member(file, archive)))
    elif file.suffix.lower() in _COMPRESSED:
        with cast("IO[bytes]", _COMPRESSED[file.suffix.lower()](file)) as content:
            yield content
    else:
        with file.open("rb") as content:
            yield content


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    content = bytearray()
    for chunk in member_chunks(archive, member):
        content += chunk
        if len(content) > MOST:
            raise ValueError(f"it expands to more than {MOST / 1e9:.0f} GB")
    return bytes(content)


def _only_member(file: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the one file in a zip file, without what file managers add."""
    members = [member for member in archive.infolist() if not member.is_dir() and not _is_litter(member.filename)]
    tables = [member for member in members if member.filename.lower().endswith(".csv")] or members
    if len(tables) != 1:
        names = [member.filename for member in tables]
        raise UserError(f"{file} holds {len(names)} files, not one CSV: {listing(names)}", "unpack it")
    return tables[0]


def _is_litter(name: str) -> bool:
    return any(map(is_hidden, PurePosixPath(name).parts))
