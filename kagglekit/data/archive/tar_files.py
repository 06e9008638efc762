"""Unpack tar files for `kagglekit.data.archive.extract`."""

from __future__ import annotations

import bz2
import gzip
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, cast

from kagglekit.data.archive.destination import LARGE_IN_ALL, RATIO, Place, safe_parts
from kagglekit.data.archive.expand import CHUNK, XzStream


def tar_steps(place: Place, kind: str) -> Iterator[int]:
    """Unpack a tar file in one pass; yield, about every MB, how many of the archive's bytes were consumed.

    Args:
        place: The archive and its destination.
        kind: ``tar``, or its compression: ``gz``, ``bz2``, ``xz``.

    Raises:
        BadArchive: It is unsafe, or too large. Files written before the unsafe member remain.
        UserError: The disk is too full.
        Exception: Of tarfile or its decompressors: the archive is damaged.
    """
    with place.opened() as file:
        yield from stream_steps(place, _expanded(file, kind), file.tell)


def stream_steps(place: Place, stream: IO[bytes], consumed: Callable[[], int] | None = None) -> Iterator[int]:
    """Unpack a stream of uncompressed tar; yield, about every MB, how many bytes were consumed.

    Args:
        place: The archive and its destination.
        stream: Read forward only.
        consumed: Returns how many bytes of the archive were read; None to count the stream's.

    Raises:
        See `tar_steps`.
    """
    done = 0
    content = _Forward(stream, place)
    at = consumed or content.tell
    with tarfile.open(fileobj=cast(IO[bytes], content), mode="r:") as archive:
        while (member := archive.next()) is not None:
            place.member = member.name
            for _ in _write_member(place, member, content):
                if at() >= done + CHUNK:
                    yield at() - done
                    done = at()
    if content.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes an invalid header for the end, silently
        raise tarfile.ReadError("the archive ends, or is damaged, after it")
    place.member = ""
    while content.read(CHUNK):  # to the checksum at the end of the compressed stream
        pass


def table_steps(place: Place, kind: str, name: str) -> Iterator[int]:
    """Unpack a single compressed file; yield, about every MB, how many of its bytes were consumed.

    Args:
        place: The compressed file and its destination.
        kind: ``gz``, ``bz2`` or ``xz``.
        name: The name of what is written.

    Raises:
        See `tar_steps`.
    """
    done, place.member = 0, name
    with place.opened() as file:
        content = _Forward(_expanded(file, kind), place)
        for _ in place.write((name,), iter(partial(content.read, CHUNK), b"")):
            if file.tell() >= done + CHUNK:
                yield file.tell() - done
                done = file.tell()


def holds_tar(place: Place, kind: str) -> bool:
    """Return whether a compressed file begins as tar files do.

    Raises:
        Exception: Of the decompressors: it is damaged.
    """
    with place.opened() as file:
        return _expanded(file, kind).read(tarfile.BLOCKSIZE)[257:262] == b"ustar"


def _expanded(file: IO[bytes], kind: str) -> IO[bytes]:
    if kind == "gz":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if kind == "bz2":
        return cast("IO[bytes]", bz2.BZ2File(file))
    return cast("IO[bytes]", XzStream(file)) if kind == "xz" else file


def _write_member(place: Place, member: tarfile.TarInfo, content: _Forward) -> Iterator[int]:
    parts = safe_parts(member.name)
    place.refuse_deep([member.name])
    if parts is None or member.issym() or member.islnk():
        place.refuse_unsafe([member.name])
    elif member.isdir():
        place.make_folder(parts)
    elif not member.isreg() or member.issparse() or not parts:
        place.refuse_strange([member.name])
    else:
        place.check_budget(member.size)
        place.check_room(member.size)
        content.seek(member.offset_data)
        yield from place.write(parts, content.chunks(member.size))


class _Forward:
    """Let tarfile read a stream forward only; hold what it expands to within the budget, and refuse giant headers."""

    def __init__(self, stream: IO[bytes], place: Place) -> None:
        self.last = b""
        self._stream, self._place, self._at = stream, place, 0
        self._most = max(LARGE_IN_ALL, RATIO * place.packed_size)
        if place.budget:
            self._most = place.budget.left + CHUNK  # of headers and padding

    def tell(self) -> int:
        return self._at

    def seek(self, place: int) -> None:
        if place < self._at:
            raise tarfile.ReadError("a member begins before the end of the last one")
        for _ in self.chunks(place - self._at):
            pass

    def read(self, size: int) -> bytes:
        if not 0 <= size <= CHUNK:  # tarfile reads a header's names at once, which have a few hundred bytes
            raise tarfile.ReadError(f"a header claims {size:,} bytes")
        self.last = self._stream.read(size)
        self._at += len(self.last)
        if self._at > self._most:
            self._place.check_budget(self._at)
            raise tarfile.ReadError(f"the archive expands more than {RATIO} times")
        return self.last

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes."""
        while size > 0:
            chunk = self.read(min(size, CHUNK))
            if not chunk:
                raise tarfile.ReadError("the archive is truncated")
            size -= len(chunk)
            yield chunk
