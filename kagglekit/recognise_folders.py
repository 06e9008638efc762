"""Finds folders that are named after the class of their images, and those that are called train, valid or test."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_MORE = r"(images?|imgs?|data|set|jpg|png|\d+)?"
TRAIN, VALID, TEST = (
    re.compile(rf"{_MORE}[\W_]*({word})[\W_]*{_MORE}")
    for word in ("train|training", "valid|val|validation", "test|testing")
)


@dataclass(frozen=True)
class ClassFolders:
    """Folders that are named after the class of the images in them.

    Attributes:
        train: The folder of them, relative to the data folder; empty for that itself.
        valid: Likewise; None where there is none.
        classes: Their names, sorted.
        counts: Number of labelled images of each class.
    """

    train: str
    valid: str | None
    classes: tuple[str, ...]
    counts: Mapping[str, int]


def class_folders(files: Mapping[str, list[str]]) -> ClassFolders | None:
    """Find the folder with most images in folders of classes; one called train is preferred."""
    groups: dict[str, dict[str, int]] = {}
    for folder, names in files.items():
        above, _, name = folder.rpartition("/")
        if folder and not is_named(folder, TEST) and not is_named(folder, VALID):
            groups.setdefault(above, {})[name] = len(names)
    groups = {above: counts for above, counts in groups.items() if len(counts) >= 2}
    if not groups:
        return None
    train = max(groups, key=lambda above: (is_named(above, TRAIN), sum(groups[above].values())))
    beside = [folder.rpartition("/")[0] for folder in files if folder.rpartition("/")[2] in groups[train]]
    valid = next((folder for folder in beside if is_named(folder, VALID)), None)
    return ClassFolders(train, valid, tuple(sorted(groups[train])), groups[train])


def is_named(folder: str, kind: re.Pattern[str]) -> bool:
    """Tell whether a part of a folder's path says what it holds: ``test1``, ``train_images``."""
    return any(kind.fullmatch(part.lower()) for part in folder.split("/"))
