"""Fingerprints of files: they tell versions of a data set apart without reading all of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from itertools import chain
from pathlib import Path

from kagglekit.system.members import Member, members_of

END_BYTES = 4096  # at each end: headers, and the directory of an archive
THREADS = 8  # reads wait for the disk: with a cold file cache, 8 threads took a third of the time of one
CHUNK = 256  # files a thread takes at a time
WHOLE = 64 * 2**20  # bytes of a container that are all hashed
BLOCKS = 1000  # of END_BYTES each, evenly spaced, of a larger container


def fingerprint(path: Path) -> bytes:
    """Return a hash of a file's size, its first and its last 4 kB; times play no part.

    A file that cannot be read has an empty fingerprint: reading its content will fail, too, with the reason.
    """
    try:
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            ends = file.read(END_BYTES)
            if size > END_BYTES:
                file.seek(max(END_BYTES, size - END_BYTES))
                ends += file.read(END_BYTES)
    except OSError:
        return b""
    return blake2b(ends, digest_size=16, key=str(size).encode()).digest()


def fingerprints(paths: Sequence[Path]) -> list[bytes]:
    """Return the fingerprint of each file, read by several threads.

    A member of a container has one of the container's content and of its own key: see `container_fingerprint`.
    """
    members = members_of(map(str, paths))
    files = [path for path, member in zip(paths, members, strict=True) if member is None]
    of_files = iter(_of_files(files))
    of_members = _of_members([member for member in members if member is not None])
    return [next(of_files if member is None else of_members) for member in members]


def container_fingerprint(path: Path) -> bytes:
    """Return a hash of a file's size and content: all of it up to 64 MB, else `BLOCKS` blocks and both ends.

    A container's images may change while both ends stay the same. A file that cannot be read has an empty one.
    """
    try:
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            hashed = blake2b(digest_size=16, key=str(size).encode())
            step = max(1, (size - END_BYTES) // BLOCKS)
            starts = range(1) if size <= WHOLE else chain(range(0, size - END_BYTES, step), [size - END_BYTES])
            for start in starts:
                file.seek(start)
                hashed.update(file.read(WHOLE if size <= WHOLE else END_BYTES))
    except OSError:
        return b""
    return hashed.digest()


def _of_files(paths: Sequence[Path]) -> list[bytes]:
    if len(paths) <= CHUNK:
        return [fingerprint(path) for path in paths]
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    with ThreadPoolExecutor(THREADS, "fingerprint") as pool:
        return list(chain.from_iterable(pool.map(lambda chunk: [fingerprint(path) for path in chunk], chunks)))


def _of_members(members: Sequence[Member]) -> Iterator[bytes]:
    containers = {name: container_fingerprint(Path(name)) for name in dict.fromkeys(each.container for each in members)}
    for container, key in members:
        content = containers[container]
        yield blake2b(content + key.encode(), digest_size=16).digest() if content else b""
