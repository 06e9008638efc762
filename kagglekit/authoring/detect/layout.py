"""The layout of a data folder, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kagglekit.authoring.detect.class_folders import ClassFolders
from kagglekit.authoring.detect.container_labels import Containers, MemberIds
from kagglekit.authoring.detect.file_names import FileNames
from kagglekit.authoring.detect.long_form import LongForm
from kagglekit.authoring.detect.tables.table import Table
from kagglekit.authoring.detect.tables.target import ONE_CLASS, Target

Form = Literal[
    "a column a class",
    "probability of one class",
    "class names",
    "a column a label",
    "sets of labels",
    "a column a number",
    "one number",
    "a column a target",
    "a row a target",
    "unknown",
]
Labels = ClassFolders | Table | FileNames | Containers


def target_of(labels: Labels) -> Target:
    """Return what labels predict: one of several classes, unless a table or container says otherwise."""
    return labels.target if isinstance(labels, (Table, Containers)) else ONE_CLASS


def count_labelled(labels: Labels) -> int:
    """Return the number of labelled images; 0 if the images were not seen."""
    return labels.n if isinstance(labels, Table) and labels.n else sum(labels.counts.values())


@dataclass(frozen=True)
class TestList:
    """A file that lists the test images.

    Attributes:
        file: Its path, relative to the data folder.
        id_column: Name of the ids' column.
        file_column: Name of the column of file names; empty if the ids are file names.
        is_json: It is a JSON file.
        row_column: Name of the column of the CSV's row ids, which several images share; empty if they are the images'.
        long: Its form, if it has a row for each image and target.
    """

    file: str
    id_column: str
    file_column: str = ""
    is_json: bool = False
    row_column: str = ""
    long: LongForm | None = None


@dataclass(frozen=True)
class TestImages:
    """The test images.

    Attributes:
        folder: Their folder, relative to the data folder.
        suffix: The part of the file names that the ids leave out; None for any image suffix.
        labelled: They lie in class folders.
        shared: The folder holds the train images too.
        listed: The file that names them, if they are not all images of the folder.
        more: Further folders of the images.
        ids: The folders are files that hold many images; where their ids are.
    """

    folder: str
    suffix: str | None = None
    labelled: bool = False
    shared: bool = False
    listed: TestList | None = None
    more: tuple[str, ...] = ()
    ids: MemberIds | None = None

    @property
    def folders(self) -> tuple[str, ...]:
        """All folders of the images."""
        return (self.folder, *self.more)


@dataclass(frozen=True)
class Sample:
    """The form of the sample submission.

    Attributes:
        form: How to fill its columns.
        columns: All columns, the ids' first.
        positive: The class whose probability it asks for, if the file says so.
        spelling: Its name of each class that the labels spell differently.
        values: The first few values of its second column.
        doubtful: Its only column may hold names or probabilities: classes and values are 0 and 1, and the metric is
            unknown.
        name: Its path, relative to the data folder.
        names: How many class names stand in a cell at most; 1 for other forms.
        separator: Between the labels in a cell.
        long: Its form, if it has a row for each image and target; then `columns` are those of the file.
        unlabelled: Its columns of classes that no labelled image has.
    """

    form: Form
    columns: tuple[str, ...]
    positive: str | None
    spelling: Mapping[str, str]
    values: tuple[str, ...]
    doubtful: bool = False
    name: str = "sample_submission.csv"
    names: int = 1
    separator: str = " "
    long: LongForm | None = None
    unlabelled: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataLayout:
    """The layout of a data folder.

    Attributes:
        labels: The source of the labels.
        test: The test images; None if there are none.
        sample: The form of the sample submission; None without one.
        side: Median short side of the images, px; 0 if none could be read.
        notes: Doubts that a person should resolve.
        guessed: Classes and columns are placeholders: at most the names of files were known.
        cut_off: Paths of labelled images that cannot be decoded, relative to the data folder.
    """

    labels: Labels
    test: TestImages | None
    sample: Sample | None
    side: int
    notes: tuple[str, ...]
    guessed: bool = False
    cut_off: tuple[str, ...] = ()
