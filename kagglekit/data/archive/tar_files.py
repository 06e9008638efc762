"""Tar files for `kagglekit.data.archive.extract`."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Iterator
from typing import IO, cast

from kagglekit.data.archive.destination import CHUNK, LARGE_IN_ALL, RATIO, Place, safe_parts


def tar_steps(place: Place, kind: str) -> Iterator[int]:
    """Unpack a tar file in one pass; yield, about every MB, how many of the archive's bytes that took.

    Args:
        place: What and where to.
        kind: ``tar``, or its compression: ``gz``, ``bz2``, ``xz``.

    Raises:
        BadArchive: It is unsafe. What was written before the member at fault was met stays.
        UserError: There is not enough room.
        Exception: One of tarfile and its decompressors: it is broken.
    """
    done, size = 0, place.archive.stat().st_size
    with place.archive.open("rb") as file, _expanded(file, kind) as opened:
        content = _Forward(opened, max(LARGE_IN_ALL, RATIO * size))
        with tarfile.open(fileobj=cast(IO[bytes], content), mode="r:") as archive:
            while (member := archive.next()) is not None:
                place.member = member.name
                for _ in _write_member(place, member, content):
                    if file.tell() >= done + CHUNK:
                        yield file.tell() - done
                        done = file.tell()
        if content.last != bytes(tarfile.BLOCKSIZE):  # tarfile itself ends at what is no header without a word
            raise tarfile.ReadError("the archive ends, or is damaged, after it")
        place.member = ""
        while content.read(CHUNK):  # the checksum of what is compressed comes at the end
            pass


def _expanded(file: IO[bytes], kind: str) -> IO[bytes]:
    if kind == "gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if kind == "bz2":
        return cast(IO[bytes], bz2.BZ2File(file))
    return cast(IO[bytes], lzma.LZMAFile(file)) if kind == "xz" else file


def _write_member(place: Place, member: tarfile.TarInfo, content: _Forward) -> Iterator[int]:
    parts = safe_parts(member.name)
    if parts is None or member.issym() or member.islnk():
        place.refuse_unsafe([member.name])
    elif member.isdir():
        place.make_folder(parts)
    elif not member.isreg() or member.issparse() or not parts:
        place.refuse_strange([member.name])
    else:
        place.check_room(member.size)
        content.seek(member.offset_data)
        yield from place.write(parts, content.chunks(member.size))


class _Forward:
    """A stream that tarfile can read: it goes forward only, counts what it expands to, and holds no giant headers."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self.last = b""
        self._stream, self._limit, self._at = stream, limit, 0

    def tell(self) -> int:
        return self._at

    def seek(self, place: int) -> None:
        if place < self._at:
            raise tarfile.ReadError("a member that begins before the end of the last")
        for _ in self.chunks(place - self._at):
            pass

    def read(self, size: int) -> bytes:
        if not 0 <= size <= CHUNK:  # tarfile asks for a header's names in one piece, which have some hundreds
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        self.last = self._stream.read(size)
        self._at += len(self.last)
        if self._at > self._limit:
            raise tarfile.ReadError(f"the archive expands more than {RATIO} times")
        return self.last

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes."""
        while size > 0:
            chunk = self.read(min(size, CHUNK))
            if not chunk:
                raise tarfile.ReadError("the archive ends in the middle")
            size -= len(chunk)
            yield chunk
