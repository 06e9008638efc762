"""Read JSON files with a list of records, some of whose fields are lists of numbers: the bands of an image.

Keys are the records' ``id``, or the names of the fields of an object of records; else positions, from 0.
``75x75/ID`` gives the height and width too. Only the places of the records are kept in memory.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kagglekit.containers.container import Blocks, Container, NoSuchMember, Value
from kagglekit.containers.shapes import check_array, shape_in, shaped
from kagglekit.system.members import why_no_key

_TEXT = rb'"(?:[^"\\]++|\\.)*+"'
# A text or a bracket. As an alternative of the two it takes four times as long: a set of letters is found faster.
_MARKS = re.compile(rb'["{}\[\]](?:(?<=")(?:[^"\\]++|\\.)*+")?', re.DOTALL)
_LISTS = re.compile(_TEXT + rb'|\[[^\[\]{}"]*\]', re.DOTALL)
_VALUE = re.compile(rb"\s*:\s*(" + _TEXT + rb"|-?\d+)", re.DOTALL)
_COLON = re.compile(rb"\s*:")
LEAST = 16  # numbers of a list that is an image


class JSONFile(Container):
    """An open JSON file of records."""

    def __init__(self, path: Path) -> None:
        self._blocks = Blocks(path)
        self._places = _places(path)
        self._facts: dict[str, list[object]] = {}

    def keys(self, within: str = "") -> Sequence[str]:
        """Return the key of each record."""
        return list(self._places)

    def read(self, key: str) -> Value:
        """Return a record's lists of numbers, (H, W) or (H, W, bands): see `Container.read`."""
        shape, name = shape_in(key)
        record = json.loads(self._bytes(name))
        bands = [np.array(value) for value in record.values() if isinstance(value, list) and _n(value) >= LEAST]
        if not bands:
            raise ValueError("none of its fields is a list of numbers")
        return stacked([shaped(band, shape) if band.ndim == 1 else band for band in bands])

    def facts(self, within: str = "") -> Mapping[str, Sequence[object]]:
        """Return the records' numbers and texts, None where a record lacks one."""
        if not self._facts:
            facts: dict[str, list[object]] = {}
            for i, name in enumerate(self._places):
                for field, value in json.loads(without_lists(self._bytes(name))).items():
                    if isinstance(value, str | int | float):
                        facts.setdefault(field, [None] * len(self._places))[i] = value
            self._facts = facts
        return self._facts

    def _bytes(self, name: str) -> bytes:
        if name not in self._places:
            raise NoSuchMember
        start, end = self._places[name]
        return self._blocks.read(start, end - start)


def without_lists(record: bytes) -> bytes:
    """Return a record with null in the place of each list of numbers, which takes longest to parse."""
    return _LISTS.sub(lambda found: found[0] if found[0].startswith(b'"') else b"null", record)


def stacked(bands: Sequence[NDArray[np.generic]]) -> NDArray[np.float64]:
    """Return bands as one array, (H, W) or (H, W, N).

    Raises:
        ValueError: They have different shapes, or are no numbers.
    """
    if len({band.shape for band in bands}) > 1:
        raise ValueError("its lists of numbers have different lengths")
    values = bands[0] if len(bands) == 1 else np.stack(bands, axis=-1)
    check_array(values.shape, values.dtype.kind)
    return values.astype(np.float64)


def _n(values: list[object]) -> int:
    first = values[0] if values else None
    return len(values) * (len(first) if isinstance(first, list) else 1)


def _places(path: Path) -> dict[str, tuple[int, int]]:
    """Return where each record begins and ends, by its key."""
    if not path.stat().st_size:  # an empty file cannot be mapped
        raise ValueError("it is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        records = list(_records(content))
    if not records:
        raise ValueError("no JSON file of records")
    unique = len({name for name, _, _ in records if name and not why_no_key(name)}) == len(records)
    return {name if unique else str(i): (start, end) for i, (name, start, end) in enumerate(records)}


def _records(content: mmap.mmap) -> Iterator[tuple[str, int, int]]:
    """Yield the name (empty if it has none), the start and the end of each record.

    Raises:
        ValueError: Brackets remain open.
    """
    depth = start = 0
    name = field = ""
    for mark in _MARKS.finditer(content):
        text, end = mark[0], mark.end()
        if text in (b"{", b"["):
            depth += 1
            if text == b"{" and depth == 2:
                start, name = mark.start(), field
        elif text in (b"}", b"]"):
            if text == b"}" and depth == 2:
                yield name, start, end
            depth -= 1
        elif depth == 1 and _COLON.match(content, end):
            field = str(json.loads(text))
        elif depth == 2 and text == b'"id"' and (found := _VALUE.match(content, end)):
            name = str(json.loads(found[1]))
    if depth:
        raise ValueError("truncated")
