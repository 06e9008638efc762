"""Find folders named after the class of their images, and folders called train, valid or test."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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
        train: The folder that holds them, relative to the data folder; empty for the data folder itself.
        valid: The same for the valid images; None if there are none.
        classes: Their names, sorted.
        counts: Number of labelled images of each class.
    """

    train: str
    valid: str | None
    classes: tuple[str, ...]
    counts: Mapping[str, int]


def class_folders(files: Mapping[str, list[str]]) -> ClassFolders | None:
    """Find the folder with most images in class folders, preferably one called train.

    The classes are right below a folder called train, however deep the images lie: ``train/birch/site-1/3.jpg``.
    """
    groups: dict[str, Counter[str]] = {}
    own = {f: len(names) for f, names in files.items() if f and not is_named(f, TEST) and not is_named(f, VALID)}
    children = _children(own)
    for folder, n in own.items():
        above = _train_above(folder, children) or folder.rpartition("/")[0]
        groups.setdefault(above, Counter())[_first_below(above, folder)] += n
    groups = {above: counts for above, counts in groups.items() if len(counts) >= 2}
    if not groups:
        return None
    train = max(groups, key=lambda above: (is_named(above, TRAIN), groups[above].total()))
    valid = next((above for folder in files for above in _valid_above(folder, groups[train])), None)
    return ClassFolders(train, valid, tuple(sorted(groups[train])), groups[train])


def is_class_folder(folder: str, labels: ClassFolders) -> bool:
    """Return whether the images of a folder are labelled."""
    roots = [root for root in (labels.train, labels.valid) if root is not None]
    return any(_is_below(root, folder) and _first_below(root, folder) in labels.counts for root in roots)


def _children(folders: Iterable[str]) -> dict[str, set[str]]:
    """Return the names of the folders right below each folder on the paths to `folders`."""
    found: dict[str, set[str]] = {}
    for parts in (folder.split("/") for folder in folders):
        for end in range(len(parts)):
            found.setdefault("/".join(parts[:end]), set()).add(parts[end])
    return found


def _train_above(folder: str, children: Mapping[str, set[str]]) -> str:
    """Return the first folder with several subfolders, from the nearest one called train down; empty if none is."""
    parts = folder.split("/")
    called = [i for i, part in enumerate(parts[:-1], start=1) if TRAIN.fullmatch(part.lower())]
    ways = ("/".join(parts[:end]) for end in range(called[-1] if called else len(parts), len(parts)))
    return next((above for above in ways if len(children[above]) > 1), "")


def _valid_above(folder: str, classes: Iterable[str]) -> Iterator[str]:
    parts = folder.split("/")
    for end in range(1, len(parts)):
        if parts[end] in classes and is_named("/".join(parts[:end]), VALID):
            yield "/".join(parts[:end])


def _is_below(above: str, folder: str) -> bool:
    return not above or folder.startswith(f"{above}/")


def _first_below(above: str, folder: str) -> str:
    return (folder.removeprefix(f"{above}/") if above else folder).partition("/")[0]


def is_named(folder: str, kind: re.Pattern[str]) -> bool:
    """Return whether a part of a folder's path names its kind: ``test1``, ``train_images``."""
    return any(kind.fullmatch(part.lower()) for part in folder.split("/"))
