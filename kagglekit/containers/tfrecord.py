"""Read TFRecord files of tf.train.Example messages: keys are positions, from 0.

A record is a length (uint64), its checksum, the content, and its checksum. The content is a protocol buffer
(https://protobuf.dev/programming-guides/encoding): Example.features = 1, a map of names (1) to Features (2), each of
which is a list (field 1) of bytes (1), float (2) or int64 (3).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from kagglekit.containers.container import Blocks, Container, Heads, NoSuchMember, Value, number_of
from kagglekit.containers.crc32c import crc32c, masked
from kagglekit.containers.encoded import is_encoded
from kagglekit.containers.shapes import check_array
from kagglekit.system.errors import listing

if TYPE_CHECKING:
    from numpy.typing import NDArray

Feature: TypeAlias = "list[memoryview] | list[int] | NDArray[np.float32]"
_HEAD, _TAIL = 12, 4  # bytes around a record's content
_LONGEST = 4096  # bytes of text that is a fact, rather than an image


class TFRecord(Container):
    """An open TFRecord file."""

    def __init__(self, path: Path) -> None:
        self._blocks = Blocks(path)
        self._starts = _starts(self._blocks)
        self._facts: dict[str, list[object]] = {}

    def keys(self, within: str = "") -> Sequence[str]:
        """Return ``0``, ``1``, ...; with `within`, the name of a feature: ``0/NAME``, ..."""
        return [f"{i}/{within}" if within else str(i) for i in range(len(self._starts) - 1)]

    def read(self, key: str) -> Value:
        """Return the image of a record: see `Container.read`. Of several, the key names the feature: ``17/mask``."""
        position, _, name = key.partition("/")
        features = example(self._record(number_of(position, len(self._starts) - 1)))
        if name:
            if name not in features:
                raise NoSuchMember
            return _image(features, name)
        images = [each for each, values in features.items() if _is_image(values)]
        if len(images) > 1:
            raise ValueError(f"several features hold images: name one in its key: {key}/{images[0]}")
        return _image(features, images[0] if images else "")

    def facts(self, within: str = "") -> Mapping[str, Sequence[object]]:
        """Return the features of a single number or text, None where a record lacks one."""
        if not self._facts:
            n = len(self._starts) - 1
            for i in range(n):
                for name, value in _scalars(example(self._record(i, check=False))):
                    self._facts.setdefault(name, [None] * n)[i] = value
        return self._facts

    def _record(self, i: int, check: bool = True) -> memoryview:
        start, end = self._starts[i] + _HEAD, self._starts[i + 1] - _TAIL
        content = memoryview(self._blocks.read(start, end - start + _TAIL))
        record = content[:-_TAIL]
        if check and masked(crc32c(record)) != struct.unpack("<I", content[-_TAIL:])[0]:
            raise ValueError("damaged: the record does not have its checksum")
        return record


def _starts(blocks: Blocks) -> array[int]:
    """Return where each record begins, and where the last one ends, from length to length."""
    starts, place, heads = array("Q", [0]), 0, Heads(blocks)
    while place < blocks.size:
        if place + _HEAD > blocks.size:
            raise ValueError(f"truncated in record {len(starts) - 1}")
        head = heads.read(place, _HEAD)
        length, checksum = struct.unpack("<QI", head)
        if masked(crc32c(head[:8])) != checksum:
            raise ValueError(f"no TFRecord file, or damaged at record {len(starts) - 1}")
        place += _HEAD + length + _TAIL
        if place > blocks.size:
            raise ValueError(f"truncated in record {len(starts) - 1}")
        starts.append(place)
    return starts


def example(record: memoryview) -> dict[str, Feature]:
    """Return the features of an Example by name.

    Raises:
        ValueError: It is no Example.
    """
    features: dict[str, Feature] = {}
    for field, content in _fields(record):
        for _, entry in _fields(_bytes(content)) if field == 1 else ():
            parts = dict(_fields(_bytes(entry)))
            name = bytes(_bytes(parts.get(1, memoryview(b"")))).decode()
            features[name] = _feature(_bytes(parts.get(2, memoryview(b""))))
    return features


def _feature(message: memoryview) -> Feature:
    for kind, content in _fields(message):
        values = [value for field, value in _fields(_bytes(content)) if field == 1]
        if kind == 1:
            return [_bytes(value) for value in values]
        if kind == 2:
            return np.frombuffer(b"".join(map(_bytes, values)), dtype="<f4")
        numbers = [each for value in values for each in ([value] if isinstance(value, int) else _varints(value))]
        return [number - (1 << 64) if number >> 63 else number for number in numbers]
    return []


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and the value of each field of a message."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield tag >> 3, value
            continue
        length, place = _varint(message, place) if kind == 2 else ({1: 8, 5: 4}.get(kind, -1), place)
        if length < 0 or place + length > len(message):
            raise ValueError("no tf.train.Example, or damaged")
        yield tag >> 3, message[place : place + length]
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message) and shift < 64:
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (1 << 64) - 1, place
        shift += 7
    raise ValueError("no tf.train.Example, or damaged")


def _varints(content: memoryview) -> Iterator[int]:
    place = 0
    while place < len(content):
        value, place = _varint(content, place)
        yield value


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("no tf.train.Example, or damaged")
    return value


def _is_image(values: Feature) -> bool:
    return len(values) == 1 and isinstance(values[0], memoryview) and is_encoded(values[0])


def _image(features: Mapping[str, Feature], name: str) -> Value:
    if name and _is_image(features[name]):
        value = features[name][0]
        return bytes(value) if isinstance(value, memoryview) else b""
    return _raw(features, name)


def _raw(features: Mapping[str, Feature], name: str) -> NDArray[np.uint8]:
    """Return pixels of 8 bits whose height and width are features, too."""
    sides = {side: _side(features, side) for side in ("height", "width")}
    height, width = sides.values()
    for each, values in features.items() if height and width else ():
        first = values[0] if len(values) == 1 else None
        if name in ("", each) and isinstance(first, memoryview) and len(first) in (height * width, 3 * height * width):
            shape = (height, width) if len(first) == height * width else (height, width, 3)
            check_array(shape, "u")
            return np.frombuffer(first, dtype=np.uint8).reshape(shape)
    raise ValueError(f"none of its features holds an image: {listing(sorted(features)) or 'it has none'}")


def _side(features: Mapping[str, Feature], name: str) -> int:
    """Return a side, px, from the feature that is called so, such as ``height`` or ``image/height``."""
    found = [values for each, values in features.items() if each.rpartition("/")[2].lower() == name]
    value = found[0][0] if len(found) == 1 and len(found[0]) == 1 else 0
    return value if isinstance(value, int) and value > 0 else 0


def _scalars(features: Mapping[str, Feature]) -> Iterator[tuple[str, object]]:
    for name, values in features.items():
        value = values[0] if len(values) == 1 else None
        if isinstance(value, memoryview):
            if len(value) <= _LONGEST and not is_encoded(value):
                yield name, bytes(value).decode(errors="replace")
        elif value is not None:
            yield name, value if isinstance(value, int) else float(value)
