"""Find the test images: those that the sample submission names, else those in a folder called test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kagglekit.authoring.detect.asked import Asked
from kagglekit.authoring.detect.class_folders import TEST, ClassFolders, is_named
from kagglekit.authoring.detect.layout import Labels, TestImages, TestList
from kagglekit.authoring.detect.named_images import Images, Named, for_test, name_images
from kagglekit.authoring.detect.sources import Source
from kagglekit.authoring.detect.table import Table


@dataclass(frozen=True)
class Tests:
    """The test images that the sample submission names.

    Attributes:
        named: The images of its ids.
        listing: The file whose ids these are, and whose other column names the images; None if the ids do.
        id_column: The column of ids in that file.
        file_column: The column of file names in that file.
    """

    named: Named
    listing: Source | None = None
    id_column: str = ""
    file_column: str = ""

    @property
    def paths(self) -> set[str]:
        """Their paths, relative to the data folder."""
        return set(self.named.paths.values())


def find_tests(asked: Asked, sources: Sequence[Source], images: Images) -> Tests | None:
    """Find the images that the ids of the sample submission mean, directly or by a file that lists them.

    Returns:
        None if less than half of the ids mean an image.
    """
    direct = name_images(asked.ids, images, for_test)
    if direct and any(is_named(folder, TEST) for folder in direct.folders):
        return Tests(direct)
    listed = next((found for source in sources if (found := _listed(source, asked, images))), None)
    return listed or (Tests(direct) if direct else None)


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
                return Tests(found, source, ids, names)
    return None


def test_images(
    tests: Tests | None, asked: Asked | None, images: Images, labels: Labels, name: str
) -> TestImages | None:
    """Return how a plugin finds the test images.

    Args:
        tests: The images that the sample submission names; None without such.
        asked: The sample submission.
        images: All images.
        labels: The labels.
        name: The sample submission's path, relative to the data folder.
    """
    if tests is None or asked is None:
        return _by_name(images, labels)
    named = tests.named
    if tests.listing:
        source = tests.listing
        listed = TestList(source.name, tests.id_column, tests.file_column, source.kind == "json")
        return TestImages(named.folders[0], named.suffix, listed=listed, more=named.folders[1:])
    own = set() if isinstance(labels, ClassFolders) else set(_folders_of(labels))
    shared = named.folders[0] in own
    there = set(images.files.get(named.folders[0], ()))
    whole = {path.rpartition("/")[2] for path in tests.paths} == there
    if named.direct and named.share == 1 and (whole or (shared and _rest_is_test(labels, tests, images))):
        return TestImages(named.folders[0], named.suffix, shared=shared)
    listed = TestList(name, str(asked.rows.columns[0]))
    return TestImages(named.folders[0], named.suffix, listed=listed, more=named.folders[1:])


def _folders_of(labels: Labels) -> tuple[str, ...]:
    if isinstance(labels, Table):
        return labels.folders
    return () if isinstance(labels, ClassFolders) else (labels.images,)


def _rest_is_test(labels: Labels, tests: Tests, images: Images) -> bool:
    """Return whether all images without a label, in the folder of the labelled ones, are test images."""
    folder = tests.named.folders[0]
    n = sum(labels.counts.values())
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
