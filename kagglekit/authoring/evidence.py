"""Compare a plugin's image table with the files of its data folder: rows and labels explained, images unused."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.asked import Asked, plain
from kagglekit.authoring.detect.find_sample import by_image
from kagglekit.authoring.detect.named_images import Images, for_train, name_images
from kagglekit.authoring.detect.tables.label_column import find_target
from kagglekit.authoring.detect.tables.sources import Source, in_wide_form, read_sources
from kagglekit.authoring.detect.tables.target import Target
from kagglekit.authoring.evidence_containers import of_containers
from kagglekit.authoring.evidence_targets import columns_with_targets
from kagglekit.authoring.fact import Evidence
from kagglekit.data.listing import folders_below, image_names, suffix_of
from kagglekit.system.errors import listing
from kagglekit.tasks.single_label import SingleLabel
from kagglekit.types.image_path import channel_names
from kagglekit.types.records import read_record

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.authoring.findings import Status
    from kagglekit.data.sample import Sample
    from kagglekit.tasks.task import Task

LEAST_SHARE = 0.99  # of the labels that a column must agree with
NO_COLUMN = "no column of it holds their labels"
LEAST_NAMED = 0.5  # of the labelled images that a file must name to be compared


def evidence(
    table: pd.DataFrame, data: Path, sample: Sample | None, task: Task, own_form: bool = False
) -> Iterator[Evidence]:
    """Yield what speaks for and against a table.

    Args:
        table: A checked image table.
        data: The data folder.
        sample: The sample submission.
        task: What is predicted.
        own_form: The plugin writes the submission itself, so that its classes may be others than the sample's.
    """
    files = {_below(folder, data): names for folder in folders_below(data) if (names := image_names(folder))}
    paths = table["path"].map(lambda path: Path(os.path.relpath(path, data)).as_posix())
    labels = dict(zip(paths[table["split"] != "test"], table.loc[table["split"] != "test", "label"], strict=True))
    images = Images(_joined(files, paths))
    sources = read_sources(data)[0]
    asked = by_image(Asked(sample.file, sample.rows), images, sources, "") if sample else None
    if asked:
        yield _of_sample(table, asked)
    compare = _of_source if isinstance(task, SingleLabel) else _of_targets
    facts = [fact for each in in_wide_form(sources, asked) for fact in compare(each, images, labels, asked, own_form)]
    explained = any(fact.status == "ok" for fact in facts)  # then other tables hold further facts
    yield from (fact for fact in facts if not (explained and fact.status == "note" and NO_COLUMN in fact.what))
    if images.paths:
        yield _of_images(images, set(paths))
    yield from of_containers(table)


def _joined(files: dict[str, list[str]], paths: Iterable[str]) -> dict[str, list[str]]:
    """Put images of several files, as the table names them, in the place of their files."""
    several: dict[str, list[str]] = {}
    for path in paths:
        if "{" in path:
            several.setdefault(path.rpartition("/")[0], []).append(path.rpartition("/")[2])
    parts = {folder: {part for name in names for part in channel_names(name)} for folder, names in several.items()}
    left = {folder: [name for name in names if name not in parts.get(folder, ())] for folder, names in files.items()}
    return {folder: [*names, *several.get(folder, ())] for folder, names in left.items()}


def _below(folder: Path, data: Path) -> str:
    return "" if folder == data else folder.relative_to(data).as_posix()


def _of_sample(table: pd.DataFrame, asked: Asked) -> Evidence:
    tests = table[table["split"] == "test"]
    ids = {str(each) for each in (*tests["id"], *(tests["row"].dropna() if "row" in tests else ()))}
    known = sum(each in ids for each in asked.ids)
    status: Status = "ok" if known == len(asked.ids) else "note"
    fix = "" if status == "ok" else "return the ids as they are written there"
    rows = "rows" if asked.long is None else "images in the rows"
    return Evidence(status, f"{known:,} of {len(asked.ids):,} {rows} of {asked.file.name} are test images", fix)


@dataclass(frozen=True)
class _Compared:
    """The rows of a file that name labelled images.

    Attributes:
        rows: These rows, without the column that names the images.
        images: The image of each, relative to the data folder.
        labels: The label of each in the table, as text.
        explained: The beginning of a sentence about them.
        wanted: What the file labels, as `kagglekit new` sees it.
    """

    rows: pd.DataFrame
    images: pd.Series[str]
    labels: pd.Series[str]
    explained: str
    wanted: object


def _compared(source: Source, images: Images, labels: dict[str, str], asked: Asked | None) -> _Compared | None:
    """Return the rows of a file that name labelled images; None if it names less than half of these."""
    found = [(str(name), name_images(source.rows[name], images, for_train)) for name in source.rows.columns]
    named = [(name, each.paths) for name, each in found if each is not None]
    if not named:
        return None
    column, paths = max(named, key=lambda pair: len(set(pair[1].values()) & labels.keys()))
    files = source.rows[column].map(paths)
    known = files.map(labels)
    rows, truth = source.rows[known.notna()], known[known.notna()].astype(str)
    if len(set(files) & labels.keys()) < LEAST_NAMED * len(labels):
        return None
    explained = f"{len(rows):,} of {len(source.rows):,} rows of {source.name} name labelled images"
    if source.long:
        explained = f"{len(rows):,} of {len(source.rows):,} images in the rows of {source.name} are labelled ones"
    wanted = find_target(rows, [str(name) for name in rows.columns if name != column], set(), asked)
    return _Compared(rows.drop(columns=column), files[rows.index], truth, explained, wanted)


def _of_targets(
    source: Source, images: Images, labels: dict[str, str], asked: Asked | None, own_form: bool
) -> Iterator[Evidence]:
    """Compare several labels or numbers with a file that names labelled images."""
    compared = _compared(source, images, labels, asked)
    if compared is None:
        return
    records = [read_record(label) for label in compared.labels]
    found, wanted = columns_with_targets(compared.rows, compared.images, records), compared.wanted
    if isinstance(wanted, Target) and wanted.sure and not set(found) & set(wanted.columns):
        yield _other_columns(compared.explained, wanted, source, own_form)
    elif found:
        yield Evidence("ok", f"{compared.explained}; their labels are in {listing(found, 3)}")
    else:
        yield Evidence("note", f"{compared.explained}, but {NO_COLUMN}", "compare labels and columns")


def _other_columns(explained: str, wanted: Target, source: Source, own_form: bool) -> Evidence:
    what = f"{explained}, but the labels are not those in {listing(wanted.columns)}, which the sample asks for"
    fix = f"take the labels from {listing(wanted.columns)} of {source.name}"
    return Evidence("note" if own_form else "problem", what, fix)


def _of_source(
    source: Source, images: Images, labels: dict[str, str], asked: Asked | None, own_form: bool
) -> Iterator[Evidence]:
    """Compare classes with a file that names labelled images."""
    compared = _compared(source, images, labels, asked)
    if compared is None:
        return
    rows, truth, explained, wanted = compared.rows, compared.labels, compared.explained, compared.wanted
    agreeing = [name for name in map(str, rows.columns) if _agrees(rows[name], truth)]
    if isinstance(wanted, Target) and wanted.sure and not _is_target(rows, wanted, truth):
        yield _other_columns(explained, wanted, source, own_form)
    elif agreeing or (isinstance(wanted, Target) and _is_target(rows, wanted, truth)):
        where = listing(agreeing, 3) if agreeing else f"the columns of 0 and 1 ({listing(_columns(wanted), 3)})"
        yield Evidence("ok", f"{explained}; their labels are in {where}")
    else:
        yield Evidence("note", f"{explained}, but {NO_COLUMN}", "compare labels and columns")


def _columns(wanted: object) -> tuple[str, ...]:
    return wanted.columns if isinstance(wanted, Target) else ()


def _agrees(values: pd.Series[str], truth: pd.Series[str]) -> bool:
    """Return whether a column holds the labels, in any spelling."""
    return len(truth) > 0 and float((values.map(plain) == truth.map(plain)).mean()) >= LEAST_SHARE


def _is_target(rows: pd.DataFrame, target: Target, truth: pd.Series[str]) -> bool:
    """Return whether the labels are those of the target, or other names for the same classes."""
    if len(target.columns) == 1:
        values = rows[target.columns[0]].str.strip()
        pairs = set(zip(values, truth, strict=True))
        return _agrees(values, truth) or len(pairs) == values.nunique() == truth.nunique()
    ones = [rows[name].isin(["1", "1.0"]) & (truth == name) for name in target.columns if name in set(truth)]
    return float(sum(each.sum() for each in ones)) >= LEAST_SHARE * len(truth)


def _of_images(images: Images, used: set[str]) -> Evidence:
    """Count the images of the data folder that the table does not have, by folder and suffix."""
    unused = Counter(
        (path.rpartition("/")[0] or ".", suffix_of(path).lower()) for path in images.paths if path not in used
    )
    n = len(images.paths) - unused.total()
    if not unused:
        return Evidence("ok", f"all {n:,} images of the data folder are used")
    counted = [f"{many:,} {suffix} in {folder}" for (folder, suffix), many in unused.most_common()]
    return Evidence("note", f"{n:,} of {len(images.paths):,} images are used; not used: {listing(counted, 6)}")
