"""Decompress bzip2 and LZMA step by step: Python's zip files expand all that they read at once."""

from __future__ import annotations

import bz2
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Protocol

CHUNK = 1 << 20  # bytes that are expanded at a time
READ = 1 << 16  # compressed bytes that are read at a time
MOST_MEMORY = 1 << 28  # bytes that a decompressor may ask for
_LOCAL_HEADER = 30  # bytes before a member's name and data


class Decompressor(Protocol):
    """The interface that bz2 and lzma share."""

    @property
    def eof(self) -> bool:
        """True at the end of the stream."""

    @property
    def needs_input(self) -> bool:
        """True if all input was used."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Feed bytes; return what they expand to, at most `max_length`."""


def member_chunks(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield a member's bytes in chunks of at most `CHUNK`; at the end its size and checksum are verified.

    Raises:
        zipfile.BadZipFile: Its size or checksum is wrong.
        Exception: Of zipfile or the decompressors: it is damaged.
    """
    plain = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    read = 0
    for chunk in _by_zipfile(archive, member) if plain else _by_steps(archive, member):
        read += len(chunk)
        yield chunk
    if read != member.file_size:
        raise zipfile.BadZipFile(f"{read:,} bytes found, {member.file_size:,} expected")


def _by_zipfile(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(member) as content:
        while chunk := content.read(CHUNK):
            yield chunk


def _by_steps(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(member):  # checks the local header, and that the member is not encrypted
        pass
    file = archive.fp
    if file is None:
        raise zipfile.BadZipFile("the archive is closed")
    file.seek(member.header_offset)
    names = struct.unpack_from("<HH", file.read(_LOCAL_HEADER), 26)
    file.seek(sum(names), 1)
    decoder, rest = _decoder(file, member)
    crc, left = 0, member.file_size
    for chunk in _expanded(decoder, file, rest):
        if len(chunk) > left:
            raise zipfile.BadZipFile(f"more than {member.file_size:,} bytes")
        left -= len(chunk)
        crc = zlib.crc32(chunk, crc)
        yield chunk
        if not left:
            break
    if crc != member.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {member.filename!r}")


def _decoder(file: IO[bytes], member: zipfile.ZipInfo) -> tuple[Decompressor, int]:
    """Return a member's decompressor, and how many compressed bytes there are for it."""
    if member.compress_type == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor(), member.compress_size
    if member.compress_type != zipfile.ZIP_LZMA:
        raise NotImplementedError(f"compression type {member.compress_type}")
    _, size = struct.unpack("<HH", file.read(4))
    settings = file.read(size)
    if size != 5 or len(settings) < 5:
        raise lzma.LZMAError("its settings are damaged")
    mode, dictionary = struct.unpack("<BL", settings)
    needed = max(4096, min(dictionary, member.file_size))  # nothing refers to what is before the beginning
    if needed > MOST_MEMORY:
        raise lzma.LZMAError(f"it needs {needed / 1e9:.1f} GB of memory")
    filters = {"id": lzma.FILTER_LZMA1, "dict_size": needed}
    filters |= {"lc": mode % 9, "lp": mode // 9 % 5, "pb": mode // 45}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filters]), member.compress_size - 4 - size


def _expanded(decoder: Decompressor, file: IO[bytes], rest: int) -> Iterator[bytes]:
    """Yield what the next `rest` bytes of a file expand to."""
    while not decoder.eof:
        data = b""
        if decoder.needs_input:
            data = file.read(min(READ, rest))
            rest -= len(data)
            if not data:
                return
        if chunk := decoder.decompress(data, CHUNK):
            yield chunk


class XzStream:
    """Read an .xz file forward, with a limit to its memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._decoder = file, _xz_decoder()

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end.

        Raises:
            lzma.LZMAError: It is damaged, or needs too much memory.
            EOFError: It is truncated.
        """
        while True:
            data = b""
            if self._decoder.eof:
                data = self._after_padding(self._decoder.unused_data)
                if not data:
                    return b""
                self._decoder = _xz_decoder()
            elif self._decoder.needs_input:
                data = self._file.read(READ)
                if not data:
                    raise EOFError("the compressed file is truncated")
            if chunk := self._decoder.decompress(data, size):
                return chunk

    def _after_padding(self, data: bytes) -> bytes:
        """Return what follows the zeros between two streams; empty at the end of the file."""
        while not (data := data.lstrip(b"\0")):
            data = self._file.read(READ)
            if not data:
                break
        return data


def _xz_decoder() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_MEMORY)
