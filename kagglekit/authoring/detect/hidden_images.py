"""Find the test images: those that the sample submission names, else those in a folder called test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kagglekit.authoring.detect.asked import Asked
from kagglekit.authoring.detect.class_folders import ClassFolders
from kagglekit.authoring.detect.layout import Labels, TestImages, TestList, count_labelled
from kagglekit.authoring.detect.named_images import Images, Named, for_test, name_images
from kagglekit.authoring.detect.tables.sources import Source
from kagglekit.authoring.detect.tables.table import Table
from kagglekit.data.part_names import TEST, is_named, names_part


@dataclass(frozen=True)
class Tests:
    """The test images that a file names: the sample submission, or a list of them.

    Attributes:
        named: The images.
        listed: The file and its columns.
    """

    named: Named
    listed: TestList

    @property
    def paths(self) -> set[str]:
        """Their paths, relative to the data folder."""
        return set(self.named.paths.values())


def find_tests(asked: Asked, name: str, sources: Sequence[Source], images: Images) -> Tests | None:
    """Find the images that the ids of the sample submission mean, directly or by a file that lists them.

    Args:
        asked: The sample submission.
        name: Its path, relative to the data folder.
        sources: Files that may list images.
        images: All images.

    Returns:
        None if less than half of the ids mean an image.
    """
    found = name_images(asked.ids, images, for_test)
    direct = Tests(found, TestList(name, str(asked.rows.columns[0]), long=asked.long)) if found else None
    if found and any(is_named(folder, TEST) for folder in found.folders):
        return direct
    listed = (_listed(source, asked, images) for source in sources)
    shared = (with_shared_rows(source, asked, images) for source in sources)
    return next((tests for tests in listed if tests), direct) or next((tests for tests in shared if tests), None)


def tests_listed(sources: Sequence[Source], images: Images) -> Tests | None:
    """Return the test images that a file called test names, where there is no sample submission."""
    for source in sources:
        if not names_part(source.name, TEST):
            continue
        found = [(str(name), name_images(source.rows[name], images, for_test)) for name in source.rows.columns]
        named = [(name, each) for name, each in found if each is not None and each.share == 1]
        if named:
            column, best = max(named, key=lambda pair: len(set(pair[1].paths.values())))
            return Tests(best, TestList(source.name, column, is_json=source.kind == "json"))
    return None


def _listed(source: Source, asked: Asked, images: Images) -> Tests | None:
    """Return the images of a file that has all the sample's ids in one column, and names images in another."""
    wanted = set(asked.ids)
    rows = source.rows
    for ids in map(str, rows.columns):
        if not wanted <= set(rows[ids]):
            continue
        tests = rows[rows[ids].isin(wanted)]
        if not tests[ids].is_unique:
            continue
        for names in map(str, rows.columns):
            found = name_images(tests[names], images, for_test) if names != ids else None
            if found and len(set(found.paths.values())) == len(tests) and len(wanted) == len(tests):
                return Tests(found, TestList(source.name, ids, names, source.kind == "json"))
    return None


def with_shared_rows(source: Source, asked: Asked, images: Images) -> Tests | None:
    """Return the images of a file that has all the sample's ids in one column, several images for some of them."""
    wanted, rows = set(asked.ids), source.rows
    for ids in map(str, rows.columns):
        if not wanted <= set(rows[ids]):
            continue
        tests = rows[rows[ids].isin(wanted)]
        named = {name: name_images(tests[name], images, for_test) for name in map(str, rows.columns) if name != ids}
        found = [(name, each) for name, each in named.items() if each and len(set(each.paths.values())) == len(tests)]
        if found:
            column, best = max(found, key=lambda pair: pair[1].share)
            return Tests(best, TestList(source.name, column, is_json=source.kind == "json", row_column=ids))
    return None


def test_images(tests: Tests | None, images: Images, labels: Labels) -> TestImages | None:
    """Return how a plugin finds the test images.

    Args:
        tests: The images that a file names; None without such.
        images: All images.
        labels: The labels.
    """
    if tests is None:
        return _by_name(images, labels)
    named = tests.named
    shared = named.folders[0] in _folders_of(labels)
    there = set(images.files.get(named.folders[0], ()))
    whole = {path.rpartition("/")[2] for path in tests.paths} == there or (
        shared and _rest_is_test(labels, tests, images)
    )
    if named.direct and named.share == 1 and whole and not (tests.listed.file_column or tests.listed.row_column):
        return TestImages(named.folders[0], named.suffix, shared=shared)
    return TestImages(named.folders[0], named.suffix, listed=tests.listed, more=named.folders[1:])


def _folders_of(labels: Labels) -> tuple[str, ...]:
    if isinstance(labels, Table):
        return labels.folders
    return () if isinstance(labels, ClassFolders) else (labels.images,)


def _rest_is_test(labels: Labels, tests: Tests, images: Images) -> bool:
    """Return whether all images without a label, in the folder of the labelled ones, are test images."""
    folder = tests.named.folders[0]
    n = count_labelled(labels)
    there = len(images.files.get(folder, ()))
    own = [path for path in images.below(folder) if path in tests.paths]
    return n + len(own) == there


def _by_name(images: Images, labels: Labels) -> TestImages | None:
    """Return the test images in a folder called test, or in class folders there."""
    named = [folder for folder in images.files if is_named(folder, TEST)]
    if len(named) > 1 and isinstance(labels, ClassFolders):
        above = {folder.rpartition("/")[0] for folder in named}
        if len(above) == 1 and {folder.rpartition("/")[2] for folder in named} <= set(labels.classes):
            return TestImages(above.pop(), labelled=True)
    suffix = labels.suffix if isinstance(labels, Table) else None
    return TestImages(named[0], suffix, more=tuple(named[1:])) if named else None
