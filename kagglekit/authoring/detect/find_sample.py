"""Find the sample submission of a data folder, by its name, else by its ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kagglekit.authoring.detect.asked import Asked
from kagglekit.authoring.detect.hidden_images import with_shared_rows
from kagglekit.authoring.detect.layout import DataLayout
from kagglekit.authoring.detect.long_form import wide_sample
from kagglekit.authoring.detect.named_images import Images, for_test, name_images
from kagglekit.authoring.detect.tables.sources import Source
from kagglekit.authoring.detect.tables.table import Table
from kagglekit.data.listing import stem_of
from kagglekit.data.part_names import TEST, names_part
from kagglekit.data.sample import Wanted, find_sample, names_of, sample_at, samples_named
from kagglekit.system.errors import UserError, listing


def find_asked(data: Path, images: Images) -> tuple[Asked | None, list[str]]:
    """Return the sample submission that is named so; of several, the one whose ids mean most images.

    Returns:
        None without one; and notes on the choice.

    Raises:
        UserError: The only one cannot be read.
    """
    files = samples_named(data)
    if len(files) < 2:
        return (_read(files[0]), []) if files else (None, [])
    readable: list[tuple[int, Asked]] = []
    for file in files:
        try:
            asked = _read(file)
        except UserError:  # of several files, a good one is enough
            continue
        named = name_images(asked.ids, images, for_test)
        readable.append((len(named.paths) if named else 0, asked))
    if not readable:
        raise UserError(f"none of {listing([file.name for file in files])} can be read", "download them again")
    best = max(readable, key=lambda each: (each[0], len(each[1].rows), each[1].file.name))[1]
    others = [file.name for file in files if file != best.file]
    return best, [
        f"{best.file.name} is taken for the sample submission, since it lists most images; not {listing(others)}"
    ]


def unnamed_sample(data: Path, images: Images, layout: DataLayout) -> tuple[Asked, list[str]] | None:
    """Return a CSV file under another name that lists the test images and what is to be predicted."""
    if layout.test is None or layout.test.labelled:
        return None
    tests = _tests(images, layout)
    labels = layout.labels
    targets = {labels.label_column} if isinstance(labels, Table) and labels.label_column else set()
    wanted = Wanted(
        [names_of(Path(path).stem, data / path, data) for path in tests],
        frozenset(labels.classes),
        frozenset(targets),
        itself=data / labels.csv if isinstance(labels, Table) else None,
    )
    try:
        found = find_sample(data, wanted)
    except UserError:  # several fit, and none is named so
        return None
    if not found:
        return None
    return Asked(found.file, found.rows), [
        f"{found.file.name} is taken for the sample submission: it lists the test images"
    ]


def constant_sample(data: Path, images: Images, sources: Sequence[Source]) -> tuple[Asked, list[str]] | None:
    """Return a table whose first column names the test images, and whose other columns are constant ones of another."""
    for source in sources:
        columns = list(map(str, source.rows.columns))
        others = [
            each for each in sources if each is not source and set(columns[1:]) <= set(map(str, each.rows.columns))
        ]
        if len(columns) < 2 or not others or any(source.rows[name].nunique() > 1 for name in columns[1:]):
            continue
        named = name_images(source.rows[columns[0]], images, for_test)
        if named and named.share == 1 and all(names_part(folder, TEST) for folder in named.folders):
            said = f"{source.name} is taken for the sample submission: it lists the test images with the same values"
            return Asked(data / source.name, source.rows), [said]
    return None


def by_image(asked: Asked, images: Images, sources: Sequence[Source], metric: str) -> Asked:
    """Bring a sample submission with a row for each target into the form of a row an image; add the metric.

    One whose rows several images share, as a file says, stays as it is.
    """
    asked = replace(asked, metric=metric)
    if name_images(asked.ids, images, for_test) or any(with_shared_rows(each, asked, images) for each in sources):
        return asked
    found = wide_sample(asked.rows, {stem_of(path.rpartition("/")[2]) for path in images.paths})
    return replace(asked, rows=found[0], long=found[1]) if found else asked


def _tests(images: Images, layout: DataLayout) -> Sequence[str]:
    folders = layout.test.folders if layout.test else ()
    return [path for folder in folders for path in images.below(folder)]


def _read(file: Path) -> Asked:
    return Asked(file, sample_at(file).rows)
