"""Write the files that hold many images and that no package of the tests writes: TFRecord and BSON."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from kagglekit.containers.crc32c import crc32c, masked


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


def drawn(number: int, side: int = 24) -> np.ndarray:
    """An image that no other number has, smooth enough for JPEG."""
    y, x = np.mgrid[0:side, 0:side]
    return np.stack([x * 4 + number, y * 4, (x + y) * 2], axis=2).astype(np.uint8)


def write_tfrecord(path: Path, rows: Iterable[Mapping[str, bytes | int | float | Sequence[int]]]) -> Path:
    """Write a file of Examples; a bytes, a number or a list of whole numbers a feature."""
    path.write_bytes(b"".join(record(_field(1, b"".join(map(_entry, row.items())))) for row in rows))
    return path


def record(data: bytes) -> bytes:
    """Frame a record with its length and checksums."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(crc32c(length))) + data + struct.pack("<I", masked(crc32c(data)))


def _entry(item: tuple[str, bytes | int | float | Sequence[int]]) -> bytes:
    name, value = item
    if isinstance(value, bytes):
        feature = _field(1, _field(1, value))
    elif isinstance(value, float):
        feature = _field(2, _field(1, struct.pack("<f", value)))
    else:
        numbers = [value] if isinstance(value, int) else value
        feature = _field(3, _field(1, b"".join(_varint(number % 2**64) for number in numbers)))
    return _field(1, _field(1, name.encode()) + _field(2, feature))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def bson(document: Mapping[str, object]) -> bytes:
    """Return a document of numbers, texts, bytes, lists and documents."""
    body = b"".join(_element(name, value) for name, value in document.items()) + b"\0"
    return struct.pack("<i", len(body) + 4) + body


def _element(name: str, value: object) -> bytes:
    key = name.encode() + b"\0"
    if isinstance(value, int):
        return b"\x10" + key + struct.pack("<i", value)
    if isinstance(value, bytes):
        return b"\x05" + key + struct.pack("<i", len(value)) + b"\0" + value
    if isinstance(value, str):
        return b"\x02" + key + struct.pack("<i", len(value.encode()) + 1) + value.encode() + b"\0"
    if isinstance(value, list):
        return b"\x04" + key + bson({str(i): each for i, each in enumerate(value)})
    assert isinstance(value, dict)
    return b"\x03" + key + bson(value)
