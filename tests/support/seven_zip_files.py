"""Writes 7z files: good ones by py7zr, and bad ones byte by byte, as the format's description has it."""

from __future__ import annotations

import io
import lzma
import stat
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import py7zr

UNIX = 0x8000  # the attributes' upper half is a Unix mode
LINK = UNIX | (stat.S_IFLNK | 0o777) << 16
GIANT = b"\x21\x21\1\x28"  # LZMA2 with a dictionary of 4 GB
PIPE = UNIX | (stat.S_IFIFO | 0o666) << 16


def seven_zip_file(path: Path, members: Mapping[str, bytes], **options: Any) -> Path:
    with py7zr.SevenZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(content, name)
    return path


def seven_zipped(members: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with py7zr.SevenZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(content, name)
    return target.getvalue()


def stored_7z(
    path: Path,
    members: list[tuple[str, bytes]],
    attributes: int = 0,
    sizes: Mapping[str, int] | None = None,
    n_files: int | None = None,
    coder: bytes = b"\1\0",
) -> Path:
    """Write a 7z file: any names, twice too, one kind of attributes, and headers that may lie.

    Its content is stored, or compressed by LZMA2 if the `coder` is another one.
    """
    packed = b"".join(content for _, content in members)
    if coder != b"\1\0":
        packed = lzma.compress(packed, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 4096}])
    claimed = [(sizes or {}).get(name, len(content)) for name, content in members]
    crcs = b"".join(struct.pack("<I", zlib.crc32(content)) for _, content in members)
    names = b"\0" + b"".join(f"{name}\0".encode("utf-16-le") for name, _ in members)
    flags = b"\1\0" + struct.pack("<I", attributes) * len(members)
    header = b"\1\4" + b"\6\0" + _number(1) + b"\x09" + _number(len(packed)) + b"\0"
    header += b"\7\x0b" + _number(1) + b"\0" + b"\1" + coder + b"\x0c" + _number(sum(claimed)) + b"\0"
    header += b"\x08\x0d" + _number(len(members)) + b"\x09" + b"".join(map(_number, claimed[:-1]))
    header += b"\x0a\1" + crcs + b"\0\0"
    header += b"\5" + _number(len(members) if n_files is None else n_files)
    header += b"\x11" + _number(len(names)) + names + b"\x15" + _number(len(flags)) + flags + b"\0\0"
    start = struct.pack("<QQI", len(packed), len(header), zlib.crc32(header))
    path.write_bytes(SIGN + struct.pack("<I", zlib.crc32(start)) + start + packed + header)
    return path


SIGN = b"7z\xbc\xaf\x27\x1c\0\4"


def _number(n: int) -> bytes:
    """Return a number as 7z writes it: the leading ones of the first byte say how many bytes follow."""
    for extra in range(8):
        if n < 1 << (7 * (extra + 1)):
            first = (0xFF00 >> extra) & 0xFF | n >> (8 * extra)
            return bytes([first]) + (n & ((1 << (8 * extra)) - 1)).to_bytes(extra, "little")
    return b"\xff" + n.to_bytes(8, "little")
