"""A CSV or JSON file that labels images, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from kagglekit.authoring.detect.asked import Asked
from kagglekit.authoring.detect.long_form import LongForm
from kagglekit.authoring.detect.tables.groups import Group
from kagglekit.authoring.detect.tables.target import ONE_CLASS, Refusal, Target


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
    """A CSV or JSON file that labels images.

    Attributes:
        csv: Its path, relative to the data folder, as are the `images`.
        images: The folder of the images.
        suffix: The part of the file names that the ids leave out.
        id_column: Name of the images' column.
        label_column: Name of the labels' column; empty if there are several.
        classes: The labels, sorted; or the names of the targets, in order.
        counts: Number of images of each class or label; of numbers, how many of each target are known.
        unlabelled: Images without a row or a label, in the same folders.
        notes: Doubts that a person should resolve.
        is_json: It is a JSON file.
        more_images: Further folders of the images.
        target: What is predicted, and its columns.
        n: Number of labelled images; 0 if the file was not read.
        low: The lowest of the numbers to predict.
        high: The highest of them.
        long: Its form, if it has a row for each image and target.
        row: Names of the columns whose values, joined by ``_``, are the id of the CSV's row.
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
    target: Target = ONE_CLASS
    n: int = 0
    low: float = -math.inf
    high: float = math.inf
    long: LongForm | None = None
    row: tuple[str, ...] = ()
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

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the columns of targets, where each has one of its own."""
        return self.target.columns if self.target.has_columns else ()

    def agreement(self, asked: Asked | None) -> int:
        """Return how well the labels agree with the sample submission: see `Asked.agrees_with`."""
        if asked is None:
            return 0
        if self.target.task == "single-label" or self.target.is_sets:
            return 1 if self.target.sure and self.target.is_sets else asked.agrees_with(self.classes)
        return 1 if self.target.sure else 0


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
