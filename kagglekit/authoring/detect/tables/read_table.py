"""Read a CSV or JSON file that names images: its labels, what is doubtful about them, what to leave out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.asked import Asked, plain
from kagglekit.authoring.detect.named_images import Images, Named
from kagglekit.authoring.detect.tables.cells import holds_boxes
from kagglekit.authoring.detect.tables.given_valid import given_valid
from kagglekit.authoring.detect.tables.groups import find_group, paired_ids
from kagglekit.authoring.detect.tables.label_column import find_target
from kagglekit.authoring.detect.tables.sources import Source
from kagglekit.authoring.detect.tables.table import Table
from kagglekit.authoring.detect.tables.target import Refusal, Target
from kagglekit.authoring.detect.tables.target_labels import count_labels, labels_of, range_of
from kagglekit.data.listing import stem_of
from kagglekit.system.errors import listing

if TYPE_CHECKING:
    import pandas as pd

SOME_SHARE = 0.02  # of the images may have rows with different labels: they are left out
LEAST_SEVERAL = 0.1  # of the images must have rows with different labels if these are sets
SPLIT_WORDS = ("train", "val", "dev", "test")
COCO = ("category_id", "category.name")


@dataclass(frozen=True, eq=False)
class Listed:
    """A table and the images that one of its columns names."""

    source: Source
    column: str
    named: Named


@dataclass(frozen=True)
class Around:
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


@dataclass(frozen=True)
class _Read:
    """A table's labelled rows.

    Attributes:
        target: Its labels.
        paths: The image of each row.
        labels: What each row says of it, as text; empty if nothing.
        several: Images that are left out, since their rows have different labels.
    """

    target: Target
    paths: pd.Series[str]
    labels: pd.Series[str]
    several: set[str]

    @property
    def usable(self) -> pd.Series[bool]:
        """The rows that label an image."""
        return (self.labels != "") & ~self.paths.isin(self.several)

    @property
    def kept(self) -> pd.Series[bool]:
        """The first usable row of each image."""
        return self.usable & ~self.paths[self.usable].duplicated().reindex(self.paths.index, fill_value=False)

    @property
    def repeated(self) -> int:
        """The number of rows that repeat an image and its label."""
        return 0 if self.target.several else int(self.usable.sum() - self.kept.sum())

    @property
    def strata(self) -> pd.Series[str]:
        """Return what a split should balance: the classes, if each image has one."""
        return self.labels if self.target.task == "single-label" else self.labels.where(self.labels == "", "any")


def read_table(listed: Listed, around: Around) -> Table | Refusal | None:
    """Read the labels of a table.

    Returns:
        None if it has none, and a refusal if they are of a kind that no plugin can be written for.
    """
    source, named, column = listed.source, listed.named, listed.column
    paths = source.rows[column].map(named.paths)
    rows = source.rows[paths.notna() & ~paths.isin(around.tests)]
    paths = paths[rows.index]
    split_column = "" if source.long else _split_column(source.rows, column, around.asked)
    columns = [name for name in _columns(source, column, rows, named) if name != split_column]
    target = _target(rows, paths, columns, around)
    if not isinstance(target, Target):
        return target
    read = _read(rows, paths, columns, target, column, around.asked)
    if isinstance(read, Refusal):
        return read
    target, kept = read.target, read.kept
    counts = count_labels(rows[read.usable], paths[read.usable], target)
    if len(counts) < 2 and target.task in ("single-label", "multi-label"):
        return None
    others = _without_label(listed, around.images, set(paths[read.labels != ""]))
    unlabelled = [path for path in others if path not in around.tests]
    rest = [name for name in columns if name not in target.columns]
    test = next((each for each in around.test_rows if set(rest) & set(map(str, each.columns))), None)
    group = find_group(rows[kept], read.strata[kept], rest, test)
    folders, valid = (
        given_valid(source.name, named, paths[kept], read.strata[kept]) if not split_column else (named.folders, None)
    )
    low, high = range_of(rows[kept], target)
    repeated = 0 if source.kind == "json" or source.long else read.repeated
    return Table(
        csv=source.name,
        images=folders[0],
        suffix=named.suffix,
        id_column=column,
        label_column="" if target.is_hot or target.has_columns else target.columns[0],
        classes=target.columns if target.has_columns or target.numbers else tuple(sorted(counts)),
        counts=counts,
        n=int(kept.sum()),
        target=target,
        low=low,
        high=high,
        long=source.long,
        unlabelled=tuple(path.removeprefix(f"{named.folders[0]}/") for path in unlabelled),
        notes=(*_notes(listed, rows, read), *_note_of_repeats(source.name, repeated)),
        is_json=source.kind == "json",
        more_images=folders[1:],
        valid=valid,
        one_hot=target.columns if target.is_hot else (),
        group=group or paired_ids(_stems(rows[column][kept]), read.strata[kept], column),
        conflicts=bool(read.several),
        repeats=bool(repeated),
        holds_tests=len(others) > len(unlabelled),
        blanks=not target.is_hot and bool((labels_of(source.rows, target) == "").any()),
        split_column=split_column,
        missing=valid is not None or (named.share < 1 and named.share >= 1 - SOME_SHARE),
        named_by_sample=around.asked is not None and plain(target.columns[0]) in map(plain, around.asked.columns),
        lists_tests=bool(split_column) and bool(source.rows[split_column].str.lower().str.startswith("test").any()),
    )


def _read(
    rows: pd.DataFrame,
    paths: pd.Series[str],
    columns: Sequence[str],
    target: Target,
    column: str,
    asked: Asked | None,
) -> _Read | Refusal:
    """Return the labels of rows; several different ones for an image become a set where the sample allows it."""
    labels = labels_of(rows, target)
    several = _conflicting(paths, labels, column, rows)
    if not isinstance(several, Refusal):
        return _Read(target, paths, labels, several)
    share = (labels.groupby(paths).nunique() > 1).mean()
    if target.is_hot or target.task != "single-label" or share < LEAST_SEVERAL:
        return several
    if not _may_be_sets(target, columns, asked):
        return several
    why = "" if target.sure else f"rows of one image with different {target.columns[0]!r} are taken for several labels"
    return _Read(replace(target, task="multi-label", several=True, why=why), paths, labels, set())


def _may_be_sets(target: Target, columns: Sequence[str], asked: Asked | None) -> bool:
    """Return whether several rows of an image may be several labels: not boxes, unless the sample asks for labels."""
    return target.sure if asked else not holds_boxes(columns)


def _stems(names: pd.Series[str]) -> pd.Series[str]:
    return names.map(lambda name: stem_of(name.rpartition("/")[2]))


def _target(
    rows: pd.DataFrame, paths: pd.Series[str], columns: Sequence[str], around: Around
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


def _conflicting(paths: pd.Series[str], labels: pd.Series[str], column: str, rows: pd.DataFrame) -> set[str] | Refusal:
    """Return the few images that have rows with different labels; a refusal if there are many."""
    several = labels.groupby(paths).nunique()
    wrong = set(several.index[several > 1])
    if len(wrong) <= SOME_SHARE * len(several):
        return wrong
    first = listing(list(rows.loc[paths.isin(wrong), column].unique()), 3)
    what = f"has several rows for one image ({column}: {first}): a multi-label or detection task"
    return Refusal("multi-label", what, False)


def _without_label(listed: Listed, images: Images, labelled: set[str]) -> list[str]:
    """Return the images without a label where `labels_from_csv` expects a row for each."""
    named = listed.named
    if not named.direct:
        there = [path for folder in named.folders for path in images.below(folder)]
    else:
        places = sorted({path.rpartition("/")[0] for path in named.paths.values()})
        there = [f"{place}/{name}" if place else name for place in places for name in images.files[place]]
    return [path for path in there if path not in labelled]


def _notes(listed: Listed, rows: pd.DataFrame, read: _Read) -> Iterator[str]:
    name, named = listed.source.name, listed.named
    target, labels, several = read.target, read.labels, read.several
    if target.why:
        yield f"{name}: {target.why}"
    rivals = [rival for rival in target.rivals if not _is_same(rows[rival], labels)]
    if rivals:
        values = {each: listing(sorted(set(rows[each])), 3) for each in (target.columns[0], *rivals)}
        more = ", ".join(f"{each!r} ({values[each]})" for each in rivals)
        chosen = f"{target.columns[0]!r} ({values[target.columns[0]]})"
        kind = "of numbers" if target.numbers else "with few values"
        yield f"{name} has several columns {kind}: are the labels in {chosen}, or in {more}?"
    if target.is_hot and not target.sure:
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
