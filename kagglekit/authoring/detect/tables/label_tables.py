"""Find the CSV or JSON file that labels images: one column names them, another one holds their classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.asked import Asked, plain
from kagglekit.authoring.detect.class_folders import TEST, VALID, names_part
from kagglekit.authoring.detect.named_images import Images, Named, for_train, name_images
from kagglekit.authoring.detect.tables.given_valid import given_valid
from kagglekit.authoring.detect.tables.groups import find_group, paired_ids
from kagglekit.authoring.detect.tables.label_column import Refusal, Target, find_target
from kagglekit.authoring.detect.tables.sources import Source
from kagglekit.authoring.detect.tables.table import Refused, Table, Tables, ValidFile
from kagglekit.data.listing import stem_of
from kagglekit.system.errors import listing

if TYPE_CHECKING:
    import pandas as pd

SOME_SHARE = 0.02  # of the images may have rows with different labels: they are left out
SPLIT_WORDS = ("train", "val", "dev", "test")
LEAST_OF_MOST = 0.5  # of the images of the largest table: names of classes may look like names of a few images
COCO = ("category_id", "category.name")


@dataclass(frozen=True, eq=False)
class _Listed:
    """A table and the images that one of its columns names."""

    source: Source
    column: str
    named: Named


@dataclass(frozen=True)
class _Around:
    """What a table is compared with.

    Attributes:
        images: All images.
        tests: Paths of the test images, by the sample submission; empty if they are not known.
        test_rows: The tables that list the test images.
        asked: The sample submission.
    """

    images: Images
    tests: set[str]
    test_rows: Sequence[pd.DataFrame]
    asked: Asked | None

    @property
    def shared(self) -> set[str]:
        """The columns that the test images have, too."""
        return {str(column) for rows in self.test_rows for column in rows.columns if rows[column].nunique() > 1}


def find_tables(sources: Sequence[Source], images: Images, tests: set[str], asked: Asked | None) -> Tables:
    """Find the file that labels most images.

    Args:
        sources: The files.
        images: All images.
        tests: Paths of the test images, by the sample submission; empty if they are not known.
        asked: The sample submission.
    """
    listed = [found for source in sources if (found := _listed(source, images, tests, asked))]
    of_tests = [each for each in listed if _is_of_tests(each, tests)]
    labelled = [each for each in listed if each not in of_tests]
    valid = [each for each in labelled if names_part(each.source.name, VALID)]
    around = _Around(images, tests, [each.source.rows for each in of_tests], asked)
    read = [(each, _table(each, around)) for each in [each for each in labelled if each not in valid] or labelled]
    refused = [Refused(e.source.name, why, len(e.named.paths)) for e, why in read if isinstance(why, Refusal)]
    refused.sort(key=lambda each: (-each.n, each.file))
    tables = [(each, table) for each, table in read if isinstance(table, Table)]
    most = max((sum(table.counts.values()) for _, table in tables), default=0)
    tables = [pair for pair in tables if sum(pair[1].counts.values()) >= LEAST_OF_MOST * most]
    tables.sort(key=lambda pair: _unlikely(pair[1], asked))
    if not tables:
        return Tables(None, (), tuple(refused))
    train, best = tables[0]
    completed = (_with_valid(best, train, each) for each in valid)
    best = next((table for table in completed if table), best)
    return Tables(best, tuple(table for _, table in tables[1:]), tuple(refused))


def _unlikely(table: Table, asked: Asked | None) -> tuple[int, bool, int, str]:
    """Rank tables: those that the sample agrees with first, then those with most images."""
    agreement = asked.agrees_with(table.classes) if asked else 0
    return (-agreement, not table.named_by_sample, -sum(table.counts.values()), table.csv)


def _with_valid(table: Table, train: _Listed, valid: _Listed) -> Table | None:
    """Complete a table with another one of the same columns, whose images are other ones."""
    columns = table.one_hot or (table.label_column,)
    rows = valid.source.rows
    if not {table.id_column, *columns} <= set(map(str, rows.columns)):
        return None
    apart = set(train.named.paths.values()).isdisjoint(valid.named.paths.values())
    alike = set(columns) == set(table.one_hot) or set(rows[columns[0]].str.strip()) <= set(table.classes)
    if not (apart and alike and valid.column == table.id_column):
        return None
    return replace(table, valid=ValidFile(valid.source.name, valid.named.folders, valid.named.suffix))


def _listed(source: Source, images: Images, tests: set[str], asked: Asked | None) -> _Listed | None:
    """Return the column that names most images, of several the one like the sample's ids; None if no column does."""
    with_suffix = bool(asked and asked.ids and stem_of(asked.ids[0]) != asked.ids[0])
    ids = plain(str(asked.rows.columns[0])) if asked else ""
    found = [(str(name), name_images(source.rows[name], images, for_train)) for name in source.rows.columns]
    fitting = [(name, named) for name, named in found if named is not None]

    def rank(each: tuple[str, Named]) -> tuple[int, float, bool, bool, bool]:
        name, named = each
        paths = set(named.paths.values())
        like = (plain(name) == ids, not paths.isdisjoint(tests), (named.suffix == "") == with_suffix)
        return (len(paths), named.share, *like)

    return _Listed(source, *max(fitting, key=rank)) if fitting else None


def _is_of_tests(listed: _Listed, tests: set[str]) -> bool:
    """Return whether a table lists test images: by its name, or by the sample submission if there is one."""
    paths = set(listed.named.paths.values())
    return names_part(listed.source.name, TEST) or 2 * len(paths & tests) > len(paths)


def _table(listed: _Listed, around: _Around) -> Table | Refusal | None:
    source, named, column = listed.source, listed.named, listed.column
    paths = source.rows[column].map(named.paths)
    rows = source.rows[paths.notna() & ~paths.isin(around.tests)]
    paths = paths[rows.index]
    split_column = _split_column(source.rows, column, around.asked)
    columns = [name for name in _columns(source, column, rows, named) if name != split_column]
    target = _target(rows, paths, columns, around)
    if not isinstance(target, Target):
        return target
    labels = _labels(rows, target)
    several = _conflicting(paths, labels, column, rows)
    if isinstance(several, Refusal):
        return several
    usable = (labels != "") & ~paths.isin(several)
    kept, repeated = (
        usable & ~paths.duplicated(),
        0 if source.kind == "json" else int((usable & paths.duplicated()).sum()),
    )
    counts = Counter(labels[kept])
    if len(counts) < 2:
        return None
    others = _without_label(listed, around.images, set(paths[labels != ""]))
    unlabelled = [path for path in others if path not in around.tests]
    is_hot = len(target.columns) > 1
    rest = [name for name in columns if name not in target.columns]
    test = next((each for each in around.test_rows if set(rest) & set(map(str, each.columns))), None)
    group = find_group(rows[kept], labels[kept], rest, test)
    folders, valid = (
        given_valid(source.name, named, paths[kept], labels[kept]) if not split_column else (named.folders, None)
    )
    return Table(
        csv=source.name,
        images=folders[0],
        suffix=named.suffix,
        id_column=column,
        label_column="" if is_hot else target.columns[0],
        classes=tuple(sorted(counts)),
        counts=counts,
        unlabelled=tuple(path.removeprefix(f"{named.folders[0]}/") for path in unlabelled),
        notes=(*_notes(listed, rows, labels, target, several), *_note_of_repeats(source.name, repeated)),
        is_json=source.kind == "json",
        more_images=folders[1:],
        valid=valid,
        one_hot=target.columns if is_hot else (),
        group=group or paired_ids(_stems(rows[column][kept]), labels[kept], column),
        conflicts=bool(several),
        repeats=bool(repeated),
        holds_tests=len(others) > len(unlabelled),
        blanks=not is_hot and bool((source.rows[target.columns[0]].str.strip() == "").any()),
        split_column=split_column,
        missing=valid is not None or (named.share < 1 and named.share >= 1 - SOME_SHARE),
        named_by_sample=around.asked is not None and plain(target.columns[0]) in map(plain, around.asked.columns),
        lists_tests=bool(split_column) and bool(source.rows[split_column].str.lower().str.startswith("test").any()),
    )


def _stems(names: pd.Series[str]) -> pd.Series[str]:
    return names.map(lambda name: stem_of(name.rpartition("/")[2]))


def _target(
    rows: pd.DataFrame, paths: pd.Series[str], columns: Sequence[str], around: _Around
) -> Target | Refusal | None:
    """Find the labels, first among one row for each image."""
    if rows.empty:
        return None
    first = find_target(rows[~paths.duplicated()], columns, around.shared, around.asked)
    return first or find_target(rows, columns, around.shared, around.asked)


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


def _split_column(rows: pd.DataFrame, column: str, asked: Asked | None) -> str:
    """Return the column that says which rows are for training, validation and test; empty if there is none."""
    for name in map(str, rows.columns):
        words = rows[name].str.strip().str.lower()
        known = set(words.unique())
        if name == column or len(known) < 2 or not all(word.startswith(SPLIT_WORDS) for word in known):
            continue
        tests = set(rows.loc[words.str.startswith("test"), column])
        if asked is None or not tests or tests == set(asked.ids):
            return name
    return ""


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


def _without_label(listed: _Listed, images: Images, labelled: set[str]) -> list[str]:
    """Return the images without a label where `labels_from_csv` expects a row for each."""
    named = listed.named
    if not named.direct:
        there = [path for folder in named.folders for path in images.below(folder)]
    else:
        places = sorted({path.rpartition("/")[0] for path in named.paths.values()})
        there = [f"{place}/{name}" if place else name for place in places for name in images.files[place]]
    return [path for path in there if path not in labelled]


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
        left_out = " and are left out" if named.share >= 1 - SOME_SHARE else ""
        yield f"about {missing:,} of the {len(listed.source.rows):,} images in {name} are not in {where}{left_out}"
    if empty := int((labels == "").sum()):
        yield f"{empty:,} rows of {name} have no label"
    if several:
        who = listing(sorted(several), 3)
        yield f"{len(several):,} images have rows with different labels in {name}, and are left out: {who}"
    if named.copies:
        where = listing([f"{named.folders[0]}/", *(f"{copy}/" for copy in named.copies)])
        yield f"images of the same names are in {where}; those in {named.folders[0]}/ are used"


def _note_of_repeats(name: str, n: int) -> list[str]:
    return [f"{n:,} rows of {name} repeat an image and its label, and count once"] if n else []


def _is_same(one: pd.Series[str], other: pd.Series[str]) -> bool:
    """Return whether two columns are spellings of the same classes."""
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == one.nunique() == other.nunique()
