"""What is known of a data folder that kagglekit has never seen, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kagglekit.authoring.detect.class_folders import ClassFolders
from kagglekit.authoring.detect.csv_labels import Table
from kagglekit.authoring.detect.file_names import FileNames

Form = Literal["a column a class", "probability of one class", "class names", "unknown"]
Labels = ClassFolders | Table | FileNames


@dataclass(frozen=True)
class TestImages:
    """The test images.

    Attributes:
        folder: Where they are, relative to the data folder.
        suffix: What their ids lack of the file names; None for whatever image suffix each has.
        labelled: They lie in class folders.
        shared: The folder holds the train images, too.
        prefix: What stands before the file names in their ids: ``test/``.
    """

    folder: str
    suffix: str | None = None
    labelled: bool = False
    shared: bool = False
    prefix: str = ""


@dataclass(frozen=True)
class Sample:
    """What sample_submission.csv asks for.

    Attributes:
        form: How its columns are to be filled.
        columns: All of them, the ids' first.
        positive: The class whose probability is asked for, where the file says it.
        spelling: Its name of each class that is spelt otherwise in the labels.
        values: What stands in its second column, the first few.
    """

    form: Form
    columns: tuple[str, ...]
    positive: str | None
    spelling: Mapping[str, str]
    values: tuple[str, ...]


@dataclass(frozen=True)
class DataLayout:
    """What was recognised in a data folder.

    Attributes:
        labels: Where the labels come from.
        test: The test images; None where none were found.
        sample: What sample_submission.csv asks for; None where there is none.
        side: The pictures' short side, px, in the middle; 0 where no picture could be read.
        notes: What a person should check.
        guessed: The classes and columns are made up: nothing but names of files was known, if at all.
    """

    labels: Labels
    test: TestImages | None
    sample: Sample | None
    side: int
    notes: tuple[str, ...]
    guessed: bool = False
