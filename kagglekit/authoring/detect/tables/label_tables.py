"""Find the CSV or JSON file that labels images: one column names them, another one holds their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kagglekit.authoring.detect.asked import Asked, plain
from kagglekit.authoring.detect.named_images import Images, Named, for_train, name_images
from kagglekit.authoring.detect.tables.read_table import Around, Listed, read_table
from kagglekit.authoring.detect.tables.sources import Source
from kagglekit.authoring.detect.tables.table import Refused, Table, Tables, ValidFile
from kagglekit.authoring.detect.tables.target import Refusal
from kagglekit.data.listing import stem_of
from kagglekit.data.part_names import TEST, VALID, names_part

LEAST_OF_MOST = 0.5  # of the images of the largest table: names of classes may look like names of a few images


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
    around = Around(images, tests, [each.source.rows for each in of_tests], asked)
    read = [(each, read_table(each, around)) for each in [each for each in labelled if each not in valid] or labelled]
    refused = [Refused(e.source.name, why, len(e.named.paths)) for e, why in read if isinstance(why, Refusal)]
    refused.sort(key=lambda each: (-each.n, each.file))
    tables = [(each, table) for each, table in read if isinstance(table, Table)]
    most = max((table.n for _, table in tables), default=0)
    tables = [pair for pair in tables if pair[1].n >= LEAST_OF_MOST * most]
    tables.sort(key=lambda pair: _unlikely(pair[1], asked))
    if not tables:
        return Tables(None, (), tuple(refused))
    train, best = tables[0]
    completed = (_with_valid(best, train, each) for each in valid)
    best = next((table for table in completed if table), best)
    return Tables(best, tuple(table for _, table in tables[1:]), tuple(refused))


def _unlikely(table: Table, asked: Asked | None) -> tuple[int, bool, int, str]:
    """Rank tables: those that the sample agrees with first, then those with most images."""
    return (-table.agreement(asked), not table.named_by_sample, -table.n, table.csv)


def _with_valid(table: Table, train: Listed, valid: Listed) -> Table | None:
    """Complete a table with another one of the same columns, whose images are other ones."""
    columns = table.target.columns
    rows = valid.source.rows
    if not {table.id_column, *columns} <= set(map(str, rows.columns)):
        return None
    apart = set(train.named.paths.values()).isdisjoint(valid.named.paths.values())
    named = table.one_hot or table.target.task != "single-label"
    alike = bool(named) or set(rows[columns[0]].str.strip()) <= set(table.classes)
    if not (apart and alike and valid.column == table.id_column):
        return None
    return replace(table, valid=ValidFile(valid.source.name, valid.named.folders, valid.named.suffix))


def _listed(source: Source, images: Images, tests: set[str], asked: Asked | None) -> Listed | None:
    """Return the column that names most images, of several the one like the sample's ids; None if no column does."""
    with_suffix = bool(asked and asked.ids and stem_of(asked.ids[0]) != asked.ids[0])
    ids = plain(str(asked.rows.columns[0])) if asked else ""
    columns = [source.long.id_column] if source.long else [str(name) for name in source.rows.columns]
    found = [(name, name_images(source.rows[name], images, for_train)) for name in columns]
    fitting = [(name, named) for name, named in found if named is not None]

    def rank(each: tuple[str, Named]) -> tuple[int, float, bool, bool, bool]:
        name, named = each
        paths = set(named.paths.values())
        like = (plain(name) == ids, not paths.isdisjoint(tests), (named.suffix == "") == with_suffix)
        return (len(paths), named.share, *like)

    return Listed(source, *max(fitting, key=rank)) if fitting else None


def _is_of_tests(listed: Listed, tests: set[str]) -> bool:
    """Return whether a table lists test images: by its name, or by the sample submission if there is one."""
    paths = set(listed.named.paths.values())
    return names_part(listed.source.name, TEST) or 2 * len(paths & tests) > len(paths)
