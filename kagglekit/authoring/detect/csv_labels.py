"""Find the CSV file that labels images: one column names files, another one has few distinct values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from kagglekit.data.csv_file import read_csv, separator_hint
from kagglekit.data.listing import images_beside, is_hidden, is_image, stem_of, subfolders, suffix_of
from kagglekit.data.sample import is_sample_name
from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    import pandas as pd

OTHER_TABLES = (".tsv", ".xlsx", ".xls", ".parquet", ".feather")
LEAST_SHARE = 0.5  # of a column's values that must be names of images
HINTS = ("label", "class", "category", "species", "target", "breed", "diagnosis", "type", "kind", "variety", "name")


class Column(NamedTuple):
    """A column of image names: the images' folder, the suffix that the names leave out, the share that exists."""

    images: str
    suffix: str
    share: float


@dataclass(frozen=True)
class Table:
    """A CSV file with one image and one label in each row.

    Attributes:
        csv: Its path, relative to the data folder, as are the `images`.
        images: The folder of the images.
        suffix: The part of the file names that the ids leave out.
        id_column: Name of the images' column.
        label_column: Name of the labels' column.
        classes: The labels, sorted.
        counts: Number of rows of each class.
        unlabelled: Images without a row, in the same folders.
        notes: Doubts that a person should resolve.
    """

    csv: str
    images: str
    suffix: str
    id_column: str
    label_column: str
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    unlabelled: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Tables:
    """What the CSV files of a folder are worth.

    Attributes:
        best: The one that labels most images; None if none does.
        refused: Why a file that names images is of no use; None if there is no such file.
        unread: Files that may hold labels but cannot be read, each with the reason, as sentences.
    """

    best: Table | None
    refused: UserError | None
    unread: tuple[str, ...]


def find_tables(data: Path, files: Mapping[str, list[str]], asked: frozenset[str] = frozenset()) -> Tables:
    """Find the CSV file that labels most images, in the data folder or its subfolders.

    Args:
        data: The data folder.
        files: The names of the images in each folder, by its path relative to `data`.
        asked: Values of sample_submission.csv; the column of labels is one that holds some of them.
    """
    tables, refused, unread = [], None, []
    for file in _table_files(data):
        name = file.relative_to(data).as_posix()
        try:
            rows = _read(file)
        except UserError as error:
            unread.append(f"{name} is not used: {_reason(error, file)}")
            continue
        try:
            if found := _image_column(rows, files):
                tables.append(_table(file, data, rows, *found, asked))
        except UserError as error:
            refused = error
    known = [table for table in tables if table is not None]
    best = max(known, key=lambda table: sum(table.counts.values())) if known else None
    return Tables(best, refused, tuple(unread))


def match_files(
    values: Sequence[str] | pd.Series, files: Mapping[str, list[str]], first: Sequence[str], any_suffix: bool = False
) -> Column | None:
    """Find the folder with most of the images that the values name, with or without suffix.

    Args:
        values: The values of a column.
        files: As in `find_table`.
        first: Folders to prefer if several match equally well.
        any_suffix: A value with an image's suffix also names the file with another one: ``1.png`` for ``1.jpg``.

    Returns:
        The match; None if no folder has images for at least half of the values.
    """
    wanted, best, best_key = set(values), None, (LEAST_SHARE, -1)
    for folder, names in files.items():
        stems = {stem_of(name): suffix_of(name) for name in names}
        whole = set(names) | {value for value in wanted if any_suffix and is_image(value) and stem_of(value) in stems}
        for known, bare in ((whole, False), (stems.keys(), True)):
            hits = wanted & known
            key = (len(hits) / max(1, len(wanted)), -first.index(folder) if folder in first else -len(first))
            if hits and key > best_key:
                suffix = Counter(stems[hit] for hit in hits).most_common(1)[0][0] if bare else ""
                best, best_key = Column(folder, suffix, key[0]), key
    return best


def _reason(error: UserError, file: Path) -> str:
    what = error.what.removeprefix(f"cannot read {file}: ")
    what = f"it {what.removeprefix(f'{file} ')}" if what.startswith(f"{file} ") else what
    return f"{what}; {error.hint}" if error.hint else what


def _table_files(data: Path) -> list[Path]:
    """Return the files in a folder and its subfolders that may be tables with labels, in order."""
    places = [data, *(folder for folder in subfolders(data))]
    files = [file for place in places for file in place.iterdir() if file.is_file() and not is_hidden(file.name)]
    there = {file.with_suffix("") for file in files if file.suffix.lower() == ".csv"}
    found = [file for file in files if file.suffix.lower() in (".csv", *OTHER_TABLES)]
    found += [file for file in files if file.name.lower().endswith(".csv.zip") and _unpacked(file) not in there]
    return sorted(file for file in found if not is_sample_name(file.name))


def _unpacked(zipped: Path) -> Path:
    return zipped.with_suffix("").with_suffix("")


def _read(file: Path) -> pd.DataFrame:
    """Read a table, without the columns whose name occurs twice.

    Raises:
        UserError: It is none that `labels_from_csv` reads; the message has the reason.
    """
    if file.suffix.lower() in OTHER_TABLES:
        raise UserError(f"{file} is not a CSV file", "save it as CSV if it holds the labels")
    rows = read_csv(file, "save it as CSV in UTF-8 if it holds the labels")
    columns = [str(name) for name in rows.columns]
    if len(columns) < 2 or rows.empty:
        what = f"has a single column, {columns[0]!r}" if len(columns) == 1 else "has no rows"
        raise UserError(f"{file} {what}", separator_hint(columns))
    return rows.loc[:, ~rows.columns.duplicated(keep=False)]


def _image_column(rows: pd.DataFrame, files: Mapping[str, list[str]]) -> tuple[str, Column] | None:
    """Return the column with most names of images in one folder, or paths of images from a folder above."""
    below = {above: _paths_below(above, files) for above in sorted(_above(files))}
    found = [(str(name), match_files(rows[name], {**below, **files}, [], any_suffix=True)) for name in rows.columns]
    fitting = [(name, column) for name, column in found if column is not None]
    return max(fitting, key=lambda each: each[1].share) if fitting else None


def _above(files: Mapping[str, list[str]]) -> set[str]:
    parents = {"" if str(p) == "." else p.as_posix() for folder in files for p in PurePosixPath(folder).parents}
    return parents - files.keys()


def _paths_below(above: str, files: Mapping[str, list[str]]) -> list[str]:
    start = f"{above}/" if above else ""
    return [f"{f.removeprefix(start)}/{name}" for f, names in files.items() if f.startswith(start) for name in names]


def _table(
    csv: Path, data: Path, rows: pd.DataFrame, id_column: str, column: Column, asked: frozenset[str]
) -> Table | None:
    others = [str(other) for other in rows.columns if other != id_column]
    if twice := list(rows.loc[rows[id_column].duplicated(), id_column].unique()):
        raise UserError(
            f"{csv} has several rows for one image ({id_column}: {listing(twice, 3)}): a multi-label or detection task",
            "only one label for each image is supported: keep one row for each image and try again",
        )
    candidates = [other for other in others if _few_values(rows[other])]
    flags = [other for other in candidates if set(rows[other]) <= {"0", "1", "0.0", "1.0"}]
    if len(flags) > 1:
        raise UserError(
            f"{csv} has a column of 0 and 1 for each class ({listing(flags)})",
            "write a CSV with one column of class names instead; several classes for one image are not supported",
        )
    if not candidates:
        if any(_many_numbers(rows[other]) for other in others):
            raise UserError(
                f"{csv} names images, but its other columns hold numbers with few repeats: a regression task",
                "only classification is supported",
            )
        return None
    label = _likeliest(candidates, rows, asked)
    counts = Counter(value.strip() for value in rows[label] if value.strip())
    name = csv.relative_to(data).as_posix()
    named = [f"{image}{column.suffix}" for image in rows[id_column]]
    stems = set(map(stem_of, named))
    beside = tuple(each for each in images_beside(data / column.images, named) if stem_of(each) not in stems)
    notes = tuple(_notes(name, rows, column, label, candidates))
    return Table(name, column.images, column.suffix, id_column, label, tuple(sorted(counts)), counts, beside, notes)


def _few_values(values: pd.Series[str]) -> bool:
    return 2 <= values[values != ""].nunique() <= max(2, len(values) // 2)


def _many_numbers(values: pd.Series[str]) -> bool:
    import pandas as pd

    return bool(pd.to_numeric(values, errors="coerce").notna().all())


def _likeliest(candidates: Sequence[str], rows: pd.DataFrame, asked: frozenset[str]) -> str:
    """Return the column with values of `asked`, else the one named like labels, else the one with fewest values."""

    def rank(column: str) -> tuple[bool, int, int]:
        hints = [i for i, hint in enumerate(HINTS) if hint in column.lower()]
        return (asked.isdisjoint(rows[column]), hints[0] if hints else len(HINTS), rows[column].nunique())

    return min(candidates, key=rank)


def _notes(name: str, rows: pd.DataFrame, column: Column, label: str, candidates: Sequence[str]) -> Iterator[str]:
    others = [other for other in candidates if other != label]
    if others:
        values = {each: listing(sorted(set(rows[each])), 3) for each in (label, *others)}
        more = ", ".join(f"{each!r} ({values[each]})" for each in others)
        yield (
            f"{name} has several columns with few values: are the labels in {label!r} ({values[label]}), or in {more}?"
        )
    if column.share < 1:
        missing = round((1 - column.share) * len(rows))
        yield f"about {missing:,} of the {len(rows):,} images in {name} are not in {column.images or 'the folder'}"
    if empty := int((rows[label].str.strip() == "").sum()):
        yield f"{empty:,} rows of {name} have no label"
