"""Find the images that a column names, and the folders that hold them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kagglekit.data.labels.image_lookup import ImageLookup
from kagglekit.data.listing import MEDICAL_SUFFIXES, stem_of, suffix_of
from kagglekit.data.part_names import TEST, TRAIN, is_named

LEAST_SHARE = 0.5  # of a column's values that must be names of images
PROBED = 200  # values of a column that are looked up first
MOST_FOLDERS = 6  # that are named one by one


class Images:
    """All images of a data folder.

    Attributes:
        files: The names of the images in each folder, by its path relative to the data folder (``""`` for itself).
        paths: Their paths, relative to the data folder.
    """

    def __init__(self, files: Mapping[str, Sequence[str]]) -> None:
        self.files = files
        self.paths = [_join(folder, name) for folder, names in files.items() for name in names]
        self._lookup = ImageLookup(self.paths)
        self._below = Counter(above for f, names in files.items() for above in _with_parents(f) for _ in names)

    def find_all(self, names: Sequence[str]) -> list[list[str]]:
        """Return the images that each name may mean: see `ImageLookup`."""
        return self._lookup.find_all(names)

    def count_below(self, folder: str) -> int:
        """Return the number of images in a folder and below."""
        return self._below[folder]

    def below(self, folder: str) -> list[str]:
        """Return the paths of the images in a folder and below."""
        return [path for path in self.paths if not folder or path.startswith(f"{folder}/")]


@dataclass(frozen=True)
class Named:
    """The images that a column names.

    Attributes:
        folders: Where they are, each with its subfolders.
        suffix: What the names leave out of the file names; empty for nothing.
        paths: The image of each name.
        share: The share of the distinct names that have an image.
        direct: All names are paths of images relative to the only folder, with or without suffix.
        copies: Other folders that hold images of the same names.
    """

    folders: tuple[str, ...]
    suffix: str
    paths: Mapping[str, str]
    share: float
    direct: bool
    copies: tuple[str, ...] = ()


def for_train(folder: str) -> int:
    """Return how well a folder's name suits train images."""
    return is_named(folder, TRAIN) - is_named(folder, TEST)


def for_test(folder: str) -> int:
    """Return how well a folder's name suits test images."""
    return is_named(folder, TEST) - is_named(folder, TRAIN)


def name_images(values: Iterable[str], images: Images, suits: Callable[[str], int]) -> Named | None:
    """Find the images that the values of a column name.

    Args:
        values: The column.
        images: All images.
        suits: Returns how well a folder suits, for names that fit images in several folders.

    Returns:
        None if less than half of the values name images.
    """
    names = list(dict.fromkeys(value for value in values if value))
    some = names[:: -(-len(names) // PROBED)] if names else []
    if 4 * sum(map(bool, images.find_all(some))) < len(some):  # most columns name no images at all
        return None
    found = {name: paths for name, paths in zip(names, images.find_all(names), strict=True) if paths}
    if not found or len(found) < LEAST_SHARE * len(names):
        return None
    coverage = Counter(folder for paths in found.values() for folder in {f for p in paths for f in _parents(p)})
    equal = _deepest(folder for folder, n in coverage.items() if n == len(found))
    kinds = {f: _needs_extra(f, found) for f in equal}
    ranked = sorted(equal, key=lambda f: (-suits(f), kinds[f], -len(found) / images.count_below(f), f))
    folders = _narrowed(ranked[0], found, images, suits)
    paths = {name: _within(paths, folders) for name, paths in found.items()}
    suffix = _left_out(paths)
    direct = len(folders) == 1 and all(_is_directly_in(folders[0], name, path) for name, path in paths.items())
    return Named(folders, suffix, paths, len(found) / len(names), direct, tuple(ranked[1:]))


def _needs_extra(folder: str, found: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the images in a folder are of a format that an optional package reads."""
    first = next(path for paths in found.values() for path in paths if _is_in(path, folder))
    return suffix_of(first).lower() in MEDICAL_SUFFIXES


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _with_parents(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""


def _parents(path: str) -> Iterator[str]:
    return _with_parents(path.rpartition("/")[0])


def _deepest(folders: Iterable[str]) -> list[str]:
    """Return the folders that have none of the others in them."""
    found = set(folders)
    above = {parent for folder in found for parent in _with_parents(folder) if parent != folder}
    return sorted(found - above)


def _narrowed(
    folder: str, found: Mapping[str, list[str]], images: Images, suits: Callable[[str], int]
) -> tuple[str, ...]:
    """Return the few subfolders that hold all the named images, if others hold none; else the folder itself."""
    inside = {name: [path for path in paths if _is_in(path, folder)] for name, paths in found.items()}
    holds: dict[str, set[str]] = {}
    for name, paths in inside.items():
        for path in paths:
            holds.setdefault(_child(path, folder), set()).add(name)
    everything = {_child(path, folder) for path in images.below(folder)}
    clear = all(len(paths) == 1 for paths in inside.values())
    if "" in holds or (clear and holds.keys() == everything):
        return (folder,)
    chosen: list[str] = []
    left = set(inside)
    for child in sorted(holds, key=lambda child: (-suits(child), -len(holds[child]), child)):
        if holds[child] & left:
            chosen.append(child)
            left -= holds[child]
    return tuple(sorted(chosen)) if len(chosen) <= MOST_FOLDERS else (folder,)


def _child(path: str, folder: str) -> str:
    """Return the folder right below `folder` that holds the image; empty if the image lies in `folder`."""
    rest = path.removeprefix(f"{folder}/") if folder else path
    first, mark, _ = rest.partition("/")
    return _join(folder, first) if mark else ""


def _is_in(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def _within(paths: Sequence[str], folders: Sequence[str]) -> str:
    return next((path for folder in folders for path in paths if _is_in(path, folder)), paths[0])


def _left_out(paths: Mapping[str, str]) -> str:
    """Return the suffix that most names lack; empty if they have theirs."""
    lacking = [suffix_of(path) for name, path in paths.items() if not _has_suffix(name, path)]
    return Counter(lacking).most_common(1)[0][0] if 2 * len(lacking) > len(paths) else ""


def _is_directly_in(folder: str, name: str, path: str) -> bool:
    return stem_of(path) == _join(folder, stem_of(name) if _has_suffix(name, path) else name)


def _has_suffix(name: str, path: str) -> bool:
    return stem_of(name) != name and stem_of(path.rpartition("/")[2]) == stem_of(name.rpartition("/")[2])
