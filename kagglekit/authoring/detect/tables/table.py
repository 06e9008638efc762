"""A CSV or JSON file that labels images, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kagglekit.authoring.detect.tables.groups import Group
from kagglekit.authoring.detect.tables.label_column import Refusal


@dataclass(frozen=True)
class ValidFile:
    """A file of the same columns, whose images are valid ones.

    Attributes:
        file: Its path, relative to the data folder.
        folders: The folders of its images.
        suffix: The part of the file names that the ids leave out.
        is_partial: It is the table itself, which names images in other folders, too.
    """

    file: str
    folders: tuple[str, ...]
    suffix: str
    is_partial: bool = False


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
        repeats: Some images have several rows with the same label.
        holds_tests: The folders hold test images, too.
        blanks: Some rows have no label.
        split_column: Name of the column that says which images are for training and validation, and maybe for test.
        lists_tests: It says so of all test images.
        missing: Some rows name no image.
        named_by_sample: The sample submission's column has the name of the labels' column.
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
    repeats: bool = False
    holds_tests: bool = False
    blanks: bool = False
    split_column: str = ""
    lists_tests: bool = False
    missing: bool = False
    named_by_sample: bool = False

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
