"""Recognise folders named after a part of the data: ``train``, ``test1``, ``validation_images``."""

from __future__ import annotations

import re

_MORE = r"(images?|imgs?|data|set|jpe?g|png|rev|stg|stage|part|final|public|private|resized|full|[vx]|px|\d+|[\W_])*"
TRAIN, VALID, TEST = (
    re.compile(rf"{_MORE}({word}){_MORE}") for word in ("train|training", "valid|val|validation", "test|testing")
)


def is_named(folder: str, kind: re.Pattern[str]) -> bool:
    """Return whether a part of a folder's path names its kind: ``test1``, ``train_images``."""
    return any(kind.fullmatch(part.lower()) for part in folder.split("/"))


def names_any_part(name: str) -> bool:
    """Return whether a folder's name is that of a part of the data rather than of a class."""
    return any(is_named(name, kind) for kind in (TRAIN, VALID, TEST))


def names_part(file: str, kind: re.Pattern[str]) -> bool:
    """Return whether a word of a file's name says which part of the data it lists: ``test-metadata.json``."""
    words = [word for word in re.split(r"[\W_\d]+", file.rpartition("/")[2].lower()) if word]
    return any(kind.fullmatch(word) for word in words) and (kind is TRAIN or not any(map(TRAIN.fullmatch, words)))
