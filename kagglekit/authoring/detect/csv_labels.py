"""Finds the CSV file that labels images: one of its columns names files, another one has few different values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from kagglekit.data.listing import other_images
from kagglekit.data.sample import is_sample_name
from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    import pandas as pd

LEAST_SHARE = 0.5  # of a column's values that must be names of images
HINTS = ("label", "class", "category", "species", "target", "breed", "diagnosis", "type", "kind", "variety", "name")


class Column(NamedTuple):
    """A column of image names: the folder they are in, what they lack of the file names, how many of them exist."""

    images: str
    suffix: str
    share: float


@dataclass(frozen=True)
class Table:
    """A CSV file with an image and a label a row.

    Attributes:
        csv: Its path, relative to the data folder, as are the `images`.
        images: The folder of the images.
        suffix: What the ids lack of the file names.
        id_column: Name of the images' column.
        label_column: Name of the labels' column.
        classes: The labels, sorted.
        counts: Number of rows of each class.
        unlabelled: Images beside those of the rows.
        notes: What a person should check.
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


def find_table(data: Path, files: Mapping[str, list[str]], asked: frozenset[str] = frozenset()) -> Table | None:
    """Find the CSV file that labels most images, in the data folder or one below it.

    Args:
        data: The data folder.
        files: The names of the images in each folder, by its path relative to `data`.
        asked: Words of sample_submission.csv: a column that holds some of them is the labels' one.

    Raises:
        UserError: A file names images, but each has several labels, or a number, or a column a class.
    """
    tables = []
    for csv in sorted([*data.glob("*.csv"), *data.glob("*/*.csv")]):
        if is_sample_name(csv.name) or (rows := _read(csv)) is None:
            continue
        if found := _image_column(rows, files):
            tables.append(_table(csv, data, rows, *found, asked))
    known = [table for table in tables if table is not None]
    return max(known, key=lambda table: sum(table.counts.values())) if known else None


def match_files(
    values: Sequence[str] | pd.Series, files: Mapping[str, list[str]], first: Sequence[str]
) -> Column | None:
    """Find the folder whose images most of the values name, with or without suffix.

    Args:
        values: Of a column.
        files: As in `find_table`.
        first: Folders that are preferred where several fit equally well.

    Returns:
        None where fewer than half of the values are names of images in any folder.
    """
    wanted, best, best_key = set(values), None, (LEAST_SHARE, -1)
    for folder, names in files.items():
        stems = {str(PurePosixPath(name).with_suffix("")): PurePosixPath(name).suffix for name in names}
        for known, bare in ((set(names), False), (stems.keys(), True)):
            hits = wanted & known
            key = (len(hits) / max(1, len(wanted)), -first.index(folder) if folder in first else -len(first))
            if hits and key > best_key:
                suffix = Counter(stems[hit] for hit in hits).most_common(1)[0][0] if bare else ""
                best, best_key = Column(folder, suffix, key[0]), key
    return best


def _read(csv: Path) -> pd.DataFrame | None:
    import pandas as pd

    try:
        rows = pd.read_csv(csv, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError):  # of another kind; it may be none of ours
        return None
    return rows if len(rows) and len(rows.columns) > 1 else None


def _image_column(rows: pd.DataFrame, files: Mapping[str, list[str]]) -> tuple[str, Column] | None:
    """Return the column most of whose values are names of images, in one folder or as paths from one above."""
    below = {above: _paths_below(above, files) for above in sorted(_above(files))}
    found = [(str(name), match_files(rows[name], {**below, **files}, first=[])) for name in rows.columns]
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
            f"{csv} has several rows for one image ({id_column}: {listing(twice, 3)}): that is a multi-label or "
            "detection task",
            "only one label an image is supported; keep one row an image, and begin again",
        )
    candidates = [other for other in others if _few_values(rows[other])]
    flags = [other for other in candidates if set(rows[other]) <= {"0", "1", "0.0", "1.0"}]
    if len(flags) > 1:
        raise UserError(
            f"{csv} has a column of 0 and 1 for each class ({listing(flags)})",
            "write one CSV with the name of the class instead; several classes an image are not supported",
        )
    if not candidates:
        if any(_many_numbers(rows[other]) for other in others):
            raise UserError(
                f"{csv} names images, but its other columns hold numbers, of which few are alike: a regression task",
                "only classes are supported",
            )
        return None
    label = _likeliest(candidates, rows, asked)
    counts = Counter(value.strip() for value in rows[label] if value.strip())
    name = csv.relative_to(data).as_posix()
    beside = tuple(other_images(data / column.images, [f"{image}{column.suffix}" for image in rows[id_column]]))
    notes = tuple(_notes(name, rows, column, label, candidates))
    return Table(name, column.images, column.suffix, id_column, label, tuple(sorted(counts)), counts, beside, notes)


def _few_values(values: pd.Series[str]) -> bool:
    return 2 <= values[values != ""].nunique() <= max(2, len(values) // 2)


def _many_numbers(values: pd.Series[str]) -> bool:
    import pandas as pd

    return bool(pd.to_numeric(values, errors="coerce").notna().all())


def _likeliest(candidates: Sequence[str], rows: pd.DataFrame, asked: frozenset[str]) -> str:
    """Take the column that holds what is asked for, else that is called like labels, else with the fewest values."""

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
            f"{name} has several columns with few values: the labels are in {label!r} ({values[label]}), or in {more}?"
        )
    if column.share < 1:
        missing = round((1 - column.share) * len(rows))
        yield f"about {missing:,} of the {len(rows):,} images in {name} are not in {column.images or 'the folder'}"
    if empty := int((rows[label].str.strip() == "").sum()):
        yield f"{empty:,} rows of {name} have no label"
