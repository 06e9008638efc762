"""Detect a layout whose images are members of files: TFRecord, CSV of pixels, JSON, HDF5 and others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.asked import Asked
from kagglekit.authoring.detect.container_files import ContainerFiles, find_containers, glob_of, numbered_from
from kagglekit.authoring.detect.tables.groups import Group, find_group
from kagglekit.authoring.detect.tables.label_column import find_target
from kagglekit.authoring.detect.tables.target import ONE_CLASS, Target

if TYPE_CHECKING:
    import pandas as pd

_SPLIT_WORDS = ("train", "val", "dev", "test", "public", "private")


@dataclass(frozen=True)
class MemberIds:
    """How test images in containers get their ids.

    Attributes:
        column: What the file calls them; empty for the images' keys.
        first: The number of the first one, if they are numbered; else None.
    """

    column: str = ""
    first: int | None = None


@dataclass(frozen=True)
class Containers:
    """Files that hold many images and say the class of each.

    Attributes:
        train: Their paths, relative to the data folder.
        valid: Those with the valid images.
        test: Those with the test images.
        label_column: What the files call the labels.
        id_column: What they call the ids of the train images; empty for their keys.
        classes: The labels, sorted.
        counts: Number of images of each class.
        notes: Doubts that a person should resolve.
        group: A column of groups.
        ids: Where the test images' ids are.
        globs: The folder and the pattern that mean just some of these files, by them.
        some: The paths of a few images, relative to the data folder.
        target: What is predicted: a class, or a number.
    """

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    label_column: str
    id_column: str
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    group: Group | None
    ids: MemberIds | None
    globs: Mapping[tuple[str, ...], tuple[str, str]]
    some: tuple[str, ...]
    target: Target = ONE_CLASS

    @property
    def images(self) -> str:
        """The first of the files."""
        return self.train[0]


def container_labels(data: Path, asked: Asked | None) -> Containers | None:
    """Find the containers that label images, and that hold the test images of the sample submission.

    Of several, those are taken that agree with the sample, then those with the most images, then the first ones.

    Args:
        data: The data folder.
        asked: The sample submission.

    Returns:
        None if there are none.
    """
    found = [labels for files in find_containers(data) if (labels := _labels(files, asked))]
    if not found:
        return None

    def rank(labels: Containers) -> tuple[bool, int, int]:
        return (labels.ids is not None, asked.agrees_with(labels.classes) if asked else 0, sum(labels.counts.values()))

    best = max(found, key=rank)
    others = [each for each in found if each is not best]
    said = tuple(f"another reading, not used: {each.train[0]} labels images, too" for each in others)
    return Containers(**{**best.__dict__, "notes": (*best.notes, *said)})


def member_tests(data: Path, asked: Asked) -> tuple[tuple[str, ...], MemberIds] | None:
    """Find the containers whose images are the test images of a sample submission.

    Returns:
        Their paths, relative to the data folder, and where the ids are; None if there are none.
    """
    for files in find_containers(data):
        for split in ("test", "valid", "train"):
            keys = files.keys(split)
            if len(keys) == len(asked.ids) and (ids := _ids(keys, files.facts(split), asked)) and ids.first is None:
                return tuple(files.files[split]), ids
    return None


def _labels(files: ContainerFiles, asked: Asked | None) -> Containers | None:
    rows, tests = files.facts("train"), files.facts("test")
    keys, of_tests = files.keys("train"), files.keys("test")
    if rows.empty:
        return None
    ids = _ids(of_tests, tests, asked) if of_tests else None
    names = [name for name in map(str, rows.columns) if not (ids and name == ids.column) and not _is_split(rows[name])]
    shared = {str(name) for name in tests.columns if tests[name].nunique() > 1}
    target = find_target(rows, names, shared, asked)
    if not isinstance(target, Target) or len(target.columns) > 1 or not _is_read(target):
        return None
    label_column = target.columns[0]
    labels = rows[label_column]
    if (labels == "").any() or labels.nunique() < 2:
        return None
    id_column = ids.column if ids and ids.column and _names_rows(rows, ids.column) else ""
    rest = [name for name in names if name not in (label_column, id_column)]
    counts = Counter({label_column: len(labels)} if target.numbers else labels)
    strata = labels.where(labels == "", "any") if target.numbers else labels
    return Containers(
        train=tuple(files.files["train"]),
        valid=_valid(files, label_column, counts),
        test=tuple(files.files.get("test", ())),
        label_column=label_column,
        id_column=id_column,
        classes=tuple(sorted(counts)),
        counts=counts,
        notes=tuple(_notes(files.files["train"][0], rows, target)),
        group=find_group(rows, strata, rest, tests if len(tests) else None),
        ids=ids,
        globs={tuple(names): glob for names in files.files.values() if (glob := glob_of(files.data, names))},
        some=tuple(f"{name}/{key}" for name, key in keys[:: -(-len(keys) // 20)]),
        target=target,
    )


def _is_read(target: Target) -> bool:
    """Return whether `labels_from_containers` reads the labels: a class, or a number that the sample asks for."""
    return target.task == "single-label" or (target.task == "regression" and target.sure)


def _valid(files: ContainerFiles, label_column: str, counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return the files with the valid images, if they have the same labels."""
    rows = files.facts("valid")
    fits = label_column in rows and (label_column in counts or set(rows[label_column]) <= set(counts))
    return tuple(files.files["valid"]) if fits else ()


def _ids(keys: Sequence[tuple[str, str]], facts: pd.DataFrame, asked: Asked | None) -> MemberIds | None:
    """Return where the sample's ids are: in a column, in the keys, or in the positions; None if nowhere."""
    if asked is None:
        return MemberIds()
    wanted = set(asked.ids)
    for name in map(str, facts.columns):
        if wanted == set(facts[name]) and _names_rows(facts, name):
            return MemberIds(name)
    several = len({name for name, _ in keys}) > 1
    own = [f"{name.rpartition('/')[2]}/{key}" if several else key for name, key in keys]
    first = numbered_from(asked.ids)
    if wanted == set(own):
        return MemberIds()
    return MemberIds("", first) if first is not None and len(own) == len(asked.ids) else None


def _is_split(values: pd.Series[str]) -> bool:
    """Return whether a column says which images are for training and which are test images."""
    return all(value.strip().lower().startswith(_SPLIT_WORDS) for value in values.unique())


def _names_rows(rows: pd.DataFrame, column: str) -> bool:
    return column in rows and bool(rows[column].is_unique) and not (rows[column] == "").any()


def _notes(name: str, rows: pd.DataFrame, target: Target) -> list[str]:
    if not target.rivals:
        return []
    values = ", ".join(f"{each!r} ({rows[each].iloc[0]}, ...)" for each in (target.columns[0], *target.rivals))
    return [f"{name} has several columns with few values: are the labels in the first of {values}?"]
