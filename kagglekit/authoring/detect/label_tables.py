"""Find the CSV or JSON file that labels images: one column names them, another one holds their classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.asked import Asked
from kagglekit.authoring.detect.class_folders import TEST, VALID, is_named
from kagglekit.authoring.detect.groups import Group, find_group
from kagglekit.authoring.detect.label_column import Refusal, Target, find_target
from kagglekit.authoring.detect.named_images import Images, Named, for_train, name_images
from kagglekit.authoring.detect.sources import Source
from kagglekit.data.listing import stem_of
from kagglekit.system.errors import listing

if TYPE_CHECKING:
    import pandas as pd

SOME_SHARE = 0.02  # of the images may have rows with different labels: they are left out
COCO = ("category_id", "category.name")


@dataclass(frozen=True)
class ValidFile:
    """Another file of the same columns, whose images are valid ones."""

    file: str
    folders: tuple[str, ...]
    suffix: str


@dataclass(frozen=True)
class Table:
    """A CSV or JSON file with one image and one label in each row.

    Attributes:
        csv: Its path, relative to the data folder, as are the `images`.
        images: The folder of the images.
        suffix: The part of the file names that the ids leave out.
        id_column: Name of the images' column.
        label_column: Name of the labels' column; empty if there are `one_hot` columns.
        classes: The labels, sorted.
        counts: Number of images of each class.
        unlabelled: Images without a row or a label, in the same folders.
        notes: Doubts that a person should resolve.
        is_json: It is a JSON file.
        more_images: Further folders of the images.
        one_hot: Names of the columns of 0 and 1, one for each class.
        group: A column of groups.
        valid: Another file, of the valid images.
        conflicts: Some images have rows with different labels.
        holds_tests: The folders hold test images, too.
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
    is_json: bool = False
    more_images: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()
    group: Group | None = None
    valid: ValidFile | None = None
    conflicts: bool = False
    holds_tests: bool = False

    @property
    def folders(self) -> tuple[str, ...]:
        """All folders of the images."""
        return (self.images, *self.more_images)


@dataclass(frozen=True)
class Refused:
    """A file that names images but is of no use.

    Attributes:
        file: Its path, relative to the data folder.
        why: The reason.
        n: Number of images that it names.
    """

    file: str
    why: Refusal
    n: int


@dataclass(frozen=True)
class Tables:
    """What the tables of a folder are worth.

    Attributes:
        best: The one that labels most images; None if none does.
        others: Further tables that label images.
        refused: Those that name images but are of no use, the one with most images first.
    """

    best: Table | None
    others: tuple[Table, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True)
class _Listed:
    """A table and the images that one of its columns names."""

    source: Source
    column: str
    named: Named


def find_tables(sources: Sequence[Source], images: Images, tests: set[str], asked: Asked | None) -> Tables:
    """Find the file that labels most images.

    Args:
        sources: The files.
        images: All images.
        tests: Paths of the test images, by the sample submission; empty if they are not known.
        asked: The sample submission.
    """
    listed = [found for source in sources if (found := _listed(source, images, asked))]
    is_test = [_is_of_tests(each, tests) for each in listed]
    test_rows = [each.source.rows for each, test in zip(listed, is_test, strict=True) if test]
    shared = {str(column) for rows in test_rows for column in rows.columns if rows[column].nunique() > 1}
    tables: list[tuple[_Listed, Table]] = []
    refused = []
    for each in (each for each, test in zip(listed, is_test, strict=True) if not test):
        read = _table(each, images, tests, shared, test_rows, asked)
        if isinstance(read, Table):
            tables.append((each, read))
        elif read:
            refused.append(Refused(each.source.name, read, len(each.named.paths)))
    refused.sort(key=lambda each: (-each.n, each.file))
    return _ranked(tables, refused)


def _ranked(tables: list[tuple[_Listed, Table]], refused: list[Refused]) -> Tables:
    """Take the table with most images, without those for validation, which complete it."""
    valid = [pair for pair in tables if is_named(PurePosixPath(pair[1].csv).stem, VALID)]
    tables = [pair for pair in tables if pair not in valid] or tables
    tables.sort(key=lambda pair: (-sum(pair[1].counts.values()), pair[1].csv))
    if not tables:
        return Tables(None, (), tuple(refused))
    train, best = tables[0]
    others = [table for _, table in tables[1:]]
    for held, table in valid:
        apart = set(train.named.paths.values()).isdisjoint(held.named.paths.values())
        alike = (table.id_column, table.label_column, table.one_hot) == (
            best.id_column,
            best.label_column,
            best.one_hot,
        )
        if apart and alike and set(table.classes) <= set(best.classes) and not best.valid:
            best = replace(best, valid=ValidFile(table.csv, table.folders, table.suffix))
        elif table is not best:
            others.append(table)
    return Tables(best, tuple(others), tuple(refused))


def _listed(source: Source, images: Images, asked: Asked | None) -> _Listed | None:
    """Return the column that names most images; None if no column names images."""
    with_suffix = bool(asked and asked.ids and stem_of(asked.ids[0]) != asked.ids[0])
    found = [(str(name), name_images(source.rows[name], images, for_train)) for name in source.rows.columns]
    fitting = [(name, named) for name, named in found if named is not None]

    def rank(each: tuple[str, Named]) -> tuple[int, float, bool]:
        return (len(set(each[1].paths.values())), each[1].share, (each[1].suffix == "") == with_suffix)

    return _Listed(source, *max(fitting, key=rank)) if fitting else None


def _is_of_tests(listed: _Listed, tests: set[str]) -> bool:
    """Return whether a table lists test images: by the sample submission if there is one, else by its name."""
    paths = set(listed.named.paths.values())
    if tests:
        return 2 * len(paths & tests) > len(paths)
    return is_named(PurePosixPath(listed.source.name).stem, TEST)


def _table(
    listed: _Listed,
    images: Images,
    tests: set[str],
    shared: set[str],
    test_rows: Sequence[pd.DataFrame],
    asked: Asked | None,
) -> Table | Refusal | None:
    source, named, column = listed.source, listed.named, listed.column
    paths = source.rows[column].map(named.paths)
    rows = source.rows[paths.notna() & ~paths.isin(tests)]
    paths = paths[rows.index]
    if rows.empty:
        return None
    columns = _columns(source, column, rows, named)
    one_each = rows[~paths.duplicated()]
    target = find_target(one_each, columns, shared, asked) or find_target(rows, columns, shared, asked)
    if not isinstance(target, Target):
        return target
    labels = _labels(rows, target)
    if isinstance(several := _conflicting(paths, labels, column, rows), Refusal):
        return several
    kept = (labels != "") & ~paths.isin(several) & ~paths.duplicated()
    counts = Counter(labels[kept])
    if len(counts) < 2:
        return None
    labelled = set(paths[labels != ""])
    others = [path for folder in named.folders for path in _beside(images, folder, named) if path not in labelled]
    unlabelled = [path for path in others if path not in tests]
    is_hot = len(target.columns) > 1
    rest = [name for name in columns if name not in target.columns]
    test = next((each for each in test_rows if set(rest) & set(map(str, each.columns))), None)
    return Table(
        csv=source.name,
        images=named.folders[0],
        suffix=named.suffix,
        id_column=column,
        label_column="" if is_hot else target.columns[0],
        classes=tuple(sorted(counts)),
        counts=counts,
        unlabelled=tuple(path.removeprefix(f"{named.folders[0]}/") for path in unlabelled),
        notes=tuple(_notes(listed, rows, labels, target, several)),
        is_json=source.kind == "json",
        more_images=named.folders[1:],
        one_hot=target.columns if is_hot else (),
        group=find_group(rows[kept], labels[kept], rest, test),
        conflicts=bool(several),
        holds_tests=len(others) > len(unlabelled),
    )


def _columns(source: Source, column: str, rows: pd.DataFrame, named: Named) -> list[str]:
    """Return the columns that may hold labels or groups: not those that also name the images."""
    columns = [str(name) for name in source.rows.columns if name != column]
    coco = [name for name in COCO if name in columns]
    if source.kind == "json" and coco:
        columns = [*coco, *(name for name in columns if not name.startswith(("category", "annotation.")))]
    least = rows[column].nunique()
    stems = {stem_of(path.rpartition("/")[2]) for path in named.paths.values()}

    def names_images(values: pd.Series[str]) -> bool:
        return values.nunique() >= least and {stem_of(value.rpartition("/")[2]) for value in values} <= stems

    return [name for name in columns if not names_images(rows[name])]


def _labels(rows: pd.DataFrame, target: Target) -> pd.Series[str]:
    if len(target.columns) == 1:
        return rows[target.columns[0]].str.strip()
    numbers = rows[list(target.columns)].isin(["1", "1.0"]).to_numpy().argmax(axis=1)
    import pandas as pd

    return pd.Series([target.columns[number] for number in numbers], index=rows.index, dtype=object)


def _conflicting(paths: pd.Series[str], labels: pd.Series[str], column: str, rows: pd.DataFrame) -> set[str] | Refusal:
    """Return the few images that have rows with different labels; a refusal if there are many."""
    several = labels.groupby(paths).nunique()
    wrong = set(several.index[several > 1])
    if len(wrong) <= SOME_SHARE * len(several):
        return wrong
    first = listing(list(rows.loc[paths.isin(wrong), column].unique()), 3)
    what = f"has several rows for one image ({column}: {first}): a multi-label or detection task"
    return Refusal("multi-label", what, False)


def _beside(images: Images, folder: str, named: Named) -> Iterator[str]:
    """Yield the images where `labels_from_csv` expects a row for each."""
    if not named.direct:
        yield from images.below(folder)
        return
    for place in {path.rpartition("/")[0] for path in named.paths.values()}:
        yield from (f"{place}/{name}" if place else name for name in images.files[place])


def _notes(
    listed: _Listed, rows: pd.DataFrame, labels: pd.Series[str], target: Target, several: set[str]
) -> Iterator[str]:
    name, named = listed.source.name, listed.named
    rivals = [rival for rival in target.rivals if not _is_same(rows[rival], labels)]
    if rivals:
        values = {each: listing(sorted(set(rows[each])), 3) for each in (target.columns[0], *rivals)}
        more = ", ".join(f"{each!r} ({values[each]})" for each in rivals)
        chosen = f"{target.columns[0]!r} ({values[target.columns[0]]})"
        yield f"{name} has several columns with few values: are the labels in {chosen}, or in {more}?"
    if len(target.columns) > 1 and not target.sure:
        yield f"{name} has a 1 in one of the columns {listing(target.columns)} in each row: they are taken for classes"
    if named.share < 1:
        missing = round((1 - named.share) * listed.source.rows[listed.column].nunique())
        where = named.folders[0] or "the folder"
        yield f"about {missing:,} of the {len(listed.source.rows):,} images in {name} are not in {where}"
    if empty := int((labels == "").sum()):
        yield f"{empty:,} rows of {name} have no label"
    if several:
        who = listing(sorted(several), 3)
        yield f"{len(several):,} images have rows with different labels in {name}, and are left out: {who}"
    if named.copies:
        where = listing([f"{named.folders[0]}/", *(f"{copy}/" for copy in named.copies)])
        yield f"images of the same names are in {where}; those in {named.folders[0]}/ are used"


def _is_same(one: pd.Series[str], other: pd.Series[str]) -> bool:
    """Return whether two columns are spellings of the same classes."""
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == one.nunique() == other.nunique()
