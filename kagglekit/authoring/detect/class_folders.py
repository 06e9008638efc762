"""Find folders named after the class of their images, and folders called train, valid or test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kagglekit.data.part_names import TEST, TRAIN, VALID, is_named, names_any_part


@dataclass(frozen=True)
class ClassFolders:
    """Folders that are named after the class of the images in them.

    Attributes:
        train: The folder that holds them, relative to the data folder; empty for the data folder itself.
        valid: The same for the valid images; None if there are none.
        classes: Their names, sorted.
        counts: Number of labelled images of each class.
        level: How many levels below `train` the class folders are.
    """

    train: str
    valid: str | None
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    level: int = 1


def class_folder_readings(files: Mapping[str, list[str]]) -> Iterator[ClassFolders]:
    """Yield each way to take folders for classes, the likelier first.

    Where folders lie in folders, either level may be the class. The lower one is not if its names recur in each of the
    upper ones: ``birch/site-1``, ``lime/site-1``.
    """
    found = class_folders(files)
    if found is None:
        return
    above = found.train.rpartition("/")[0]
    upper = None if is_named(found.train, TRAIN) or not found.train else _at_level(files, above, 1)
    if upper is None or len(upper.classes) < 2 or any(map(names_any_part, upper.classes)):
        yield found
        if lower := _at_level(files, found.train, 2):
            yield lower
        return
    lower = _at_level(files, above, 2)
    recurs = lower is not None and len(lower.classes) < 2 * len(upper.classes)
    yield from (each for each in ((upper, lower) if recurs else (lower, upper)) if each)


def _at_level(files: Mapping[str, list[str]], root: str, level: int) -> ClassFolders | None:
    """Return the folders some levels below `root` as classes, if all images lie in such."""
    counts: Counter[str] = Counter()
    for folder, names in files.items():
        if is_named(folder, TEST) or is_named(folder, VALID) or not _is_below(root, folder):
            continue
        parts = (folder.removeprefix(f"{root}/") if root else folder).split("/")
        if folder == root or len(parts) < level:
            return None
        counts[parts[level - 1]] += len(names)
    return ClassFolders(root, None, tuple(sorted(counts)), counts, level) if len(counts) > 1 else None


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
    # labels_from_folders takes each folder there for a class, those with images in deeper folders alone, too
    counts = Counter[str]()
    for folder, n in own.items():
        if folder != train and _is_below(train, folder):
            counts[_first_below(train, folder)] += n
    valid = next((above for folder in files for above in _valid_above(folder, counts)), None)
    return ClassFolders(train, valid, tuple(sorted(counts)), counts)


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
