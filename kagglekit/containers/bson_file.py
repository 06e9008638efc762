"""Read files of BSON documents (https://bsonspec.org), as `mongodump` writes them.

Keys are ``DOCUMENT/IMAGE``: the positions, from 0, of a document and of an image in it.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from kagglekit.containers.container import Blocks, Container, Heads, Value, number_of
from kagglekit.containers.encoded import is_encoded

DEEPEST = 32  # documents in documents
_LEAST = 5  # bytes of an empty document
_FIXED: dict[int, tuple[int, Callable[[bytes], object]]] = {
    0x01: (8, lambda data: struct.unpack("<d", data)[0]),
    0x07: (12, bytes.hex),  # an ObjectId
    0x08: (1, lambda data: data != b"\0"),
    0x09: (8, lambda data: struct.unpack("<q", data)[0]),  # a time, ms
    0x0A: (0, lambda _: None),
    0x10: (4, lambda data: struct.unpack("<i", data)[0]),
    0x11: (8, lambda data: struct.unpack("<Q", data)[0]),
    0x12: (8, lambda data: struct.unpack("<q", data)[0]),
    0x13: (16, bytes.hex),  # a decimal number
}


class BSONFile(Container):
    """An open file of BSON documents."""

    def __init__(self, path: Path) -> None:
        self._blocks = Blocks(path)
        self._starts = _starts(self._blocks)
        self._keys: list[str] = []
        self._facts: dict[str, list[object]] = {}

    def keys(self, within: str = "") -> Sequence[str]:
        """Return the key of each image of each document."""
        self._look()
        return self._keys

    def read(self, key: str) -> Value:
        """Return the bytes of an image file: see `Container.read`."""
        position, _, number = key.partition("/")
        images = list(_images(self._document(number_of(position, len(self._starts) - 1))))
        return images[number_of(number or "0", len(images))]

    def facts(self, within: str = "") -> Mapping[str, Sequence[object]]:
        """Return the documents' numbers and texts, a document's for each of its images."""
        self._look()
        return self._facts

    def _document(self, i: int) -> dict[str, object]:
        start, end = self._starts[i], self._starts[i + 1]
        return document(self._blocks.read(start, end - start))

    def _look(self) -> None:
        if self._keys:
            return
        keys: list[str] = []
        facts: dict[str, list[object]] = {}
        for i in range(len(self._starts) - 1):
            content = self._document(i)
            n = sum(1 for _ in _images(content))
            for name, value in content.items():
                if isinstance(value, str | int | float) and not isinstance(value, bytes):
                    column = facts.setdefault(name, [])
                    column += [None] * (len(keys) - len(column)) + [value] * n
            keys += [f"{i}/{image}" for image in range(n)]
        self._facts = {name: values + [None] * (len(keys) - len(values)) for name, values in facts.items()}
        self._keys = keys


def _starts(blocks: Blocks) -> array[int]:
    """Return where each document begins, and where the last one ends, from length to length."""
    starts, place, heads = array("Q", [0]), 0, Heads(blocks)
    while place < blocks.size:
        length = struct.unpack("<i", heads.read(place, 4))[0] if place + 4 <= blocks.size else 0
        place += length
        if length < _LEAST or place > blocks.size:
            raise ValueError(f"no BSON file, or truncated in document {len(starts) - 1}")
        starts.append(place)
    return starts


def document(data: bytes, depth: int = 0) -> dict[str, object]:
    """Return the elements of a document by name: numbers, texts, bytes, lists and documents.

    Raises:
        ValueError: It is damaged, or has elements of a type that no data set needs.
    """
    found: dict[str, object] = {}
    place, end = 4, len(data) - 1
    if depth > DEEPEST or len(data) < _LEAST or data[end]:
        raise ValueError("no BSON document, or damaged")
    while place < end:
        kind = data[place]
        stop = data.find(b"\0", place + 1, end)
        if stop < 0:
            raise ValueError("no BSON document, or damaged")
        name = data[place + 1 : stop].decode()
        found[name], place = _value(kind, data, stop + 1, end, depth)
    return found


def _value(kind: int, data: bytes, place: int, end: int, depth: int) -> tuple[object, int]:
    """Return the value of an element that begins at a place, and the place after it."""
    if kind in _FIXED:
        n, convert = _FIXED[kind]
        return convert(_cut(data, place, n, end)), place + n
    n = struct.unpack("<i", _cut(data, place, 4, end))[0]
    if kind in (0x03, 0x04):
        inner = document(_cut(data, place, n, end), depth + 1)
        return (list(inner.values()) if kind == 0x04 else inner), place + n
    if kind == 0x02:
        return _cut(data, place + 4, n, end)[:-1].decode(), place + 4 + n
    if kind == 0x05:
        return _cut(data, place + 5, n, end), place + 5 + n
    raise ValueError(f"a BSON element of type {kind:#04x}, which is unknown or damaged")


def _cut(data: bytes, place: int, n: int, end: int) -> bytes:
    if n < 0 or place + n > end:
        raise ValueError("no BSON document, or damaged")
    return data[place : place + n]


def _images(value: object) -> Iterator[bytes]:
    """Yield the image files in a value, in order."""
    if isinstance(value, bytes):
        if is_encoded(value):
            yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _images(inner)
