"""Find labels in file names: ``cat.0.jpg``, ``great_pyrenees_12.jpg``, ``0012-birch.png``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

LEAST_IMAGES = 4  # of a class, on average: names with fewer hold a number or a camera's series
PATTERNS = (  # a regular expression and an example that it matches, the simplest first
    (r"^(.+)_\d+\.", "{name}_{i}"),
    (r"^(.+)\.\d+\.", "{name}.{i}"),
    (r"^(.+)-\d+\.", "{name}-{i}"),
    (r"^(.+?) *\(\d+\)\.", "{name} ({i})"),
    (r"^(\D+?) *\d+\.", "{name}{i}"),
    (r"^\d+[_. -]+(.+)\.\w+$", "{i}_{name}"),
    (r"^([^_]+)_", "{name}_x{i}"),
    (r"^([^-]+)-", "{name}-x{i}"),
    (r"_([^_]+)\.\w+$", "x{i}_{name}"),
    (r"-([^-]+)\.\w+$", "x{i}-{name}"),
)


@dataclass(frozen=True)
class FileNames:
    """Images whose file names hold their class.

    Attributes:
        images: Their folder, relative to the data folder.
        pattern: A regular expression; its first group is the class.
        example: A matching name without suffix, with ``{name}`` and ``{i}`` for class and number.
        classes: The labels, sorted.
        counts: Number of images of each class.
        notes: Doubts that a person should resolve.
    """

    images: str
    pattern: str
    example: str
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    notes: tuple[str, ...]


def find_names(files: Mapping[str, list[str]], is_class: Callable[[str], bool]) -> FileNames | None:
    """Find the first folder whose file names all hold a class.

    Args:
        files: The names of the images in each folder, the most likely folder first.
        is_class: Returns whether a name may be a class.
    """
    for folder, names in files.items():
        for pattern, example in PATTERNS:
            if counts := _classes(names, pattern, is_class):
                label = re.search(pattern, names[0])
                assert label is not None
                note = f"labels are taken from the file names: {names[0]} is {label[1]!r}"
                return FileNames(folder, pattern, example, tuple(sorted(counts)), counts, (note,))
    return None


def _classes(names: Sequence[str], pattern: str, is_class: Callable[[str], bool]) -> Counter[str] | None:
    """Count the classes; return None if they are too few, too many, or do not look like names."""
    found = [re.search(pattern, name) for name in names]
    if not all(found):
        return None
    counts = Counter(match[1] for match in found if match is not None)
    sensible = 2 <= len(counts) <= len(names) / LEAST_IMAGES
    return counts if sensible and all(any(map(str.isalpha, name)) and is_class(name) for name in counts) else None
