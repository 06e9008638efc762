"""Build an image store: decoded by threads, written in order, safe to kill at any moment.

Images are appended to the pixels file. Every few seconds the journal gets a line for each image whose bytes have
reached the disk. A restart keeps the images that the journal lists, truncates the rest and continues.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from filelock import FileLock, Timeout

from kagglekit.images.make_room import make_room
from kagglekit.images.picture import StoredImage, decoded, reduced_further
from kagglekit.images.store import (
    ENTRIES,
    INFO,
    JOURNAL,
    LOCK,
    PIXELS,
    ImageStore,
    StoreSpec,
    exists,
    open_store,
    read_entries,
    store_of,
)
from kagglekit.system.display.console import amount
from kagglekit.system.errors import UserError
from kagglekit.system.files import NO_SPACE, open_own, write_text
from kagglekit.system.limits import cores
from kagglekit.system.paths import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SECONDS_A_CHUNK = 2.0
IN_FLIGHT = 16  # images a thread may be ahead of the writer: enough to hide one slow image among them
POLL_SECONDS = 0.5  # between two looks at a store that another process builds


def build(
    spec: StoreSpec, read: Callable[[Path, int], NDArray[Any] | None], *, threads: int | None = None
) -> Iterator[int]:
    """Decode the files into the store, unless it is complete; continue an interrupted build.

    While another process builds the same store, this one waits for it and takes over if that one dies. The numbers
    yielded meanwhile are those of the other process.

    Args:
        spec: What to build; its `source` is None.
        read: ``(path, size) -> (H, W, C)``, any numbers, the short side not below `size` where the file allows.
            Called from several threads. An exception makes the file a bad image (`ImageStore.bad`), except
            an OSError of the system (permission, a lost network drive), which ends the build.
        threads: Number of decoding threads; by default one for each core. The bytes do not depend on it.

    Yields:
        The number of finished images, finally ``len(spec.files)``.

    Raises:
        UserError: The disk is full, the cache folder cannot be written to, or a file cannot be read.
    """
    if spec.source:
        raise ValueError("the store is reduced from a larger one: call build_smaller")
    yield from _build(spec, lambda: partial(decoded, spec, read), threads)


def build_smaller(spec: StoreSpec, *, threads: int | None = None) -> Iterator[int]:
    """Fill the store from its larger source; otherwise like `build`.

    Raises:
        FileNotFoundError: The source is not complete.
        UserError: As in `build`.
    """
    if not spec.source:
        raise ValueError("the store has no source: call build")
    source = spec.source
    yield from _build(spec, lambda: partial(reduced_further, spec, open_store(source)), threads)


def hold(
    spec: StoreSpec,
    read: Callable[[Path, int], NDArray[Any] | None],
    source: ImageStore | None = None,
    *,
    threads: int | None = None,
) -> ImageStore:
    """Build a store in memory, with the images that `build` would write, or `build_smaller` from `source`."""
    image = partial(reduced_further, spec, source) if source else partial(decoded, spec, read)
    made = list(_in_order(image, range(len(spec.files)), threads or math.ceil(cores())))
    return store_of(spec, np.concatenate([pixels.reshape(-1) for pixels, _ in made]), [entry for _, entry in made])


def being_built(spec: StoreSpec) -> bool:
    """Return whether another process is building the store, so that `build` would wait for it."""
    if exists(spec) or not (spec.folder / LOCK).exists():
        return False
    try:
        with FileLock(spec.folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True


def _build(spec: StoreSpec, opened: Callable[[], Callable[[int], StoredImage]], threads: int | None) -> Iterator[int]:
    if not exists(spec):
        image = opened()
        with _cache_errors(spec.folder):
            make_room(spec.folder, str(spec.root.absolute()))
            lock = FileLock(spec.folder / LOCK, thread_local=False)
            spec.folder.mkdir(parents=True, exist_ok=True)
            yield from _wait_for(lock, spec.folder)
            try:
                if not exists(spec):
                    yield from _fill(spec, image, threads or math.ceil(cores()))
            finally:
                lock.release()
    yield len(spec.files)


def _wait_for(lock: FileLock, folder: Path) -> Iterator[int]:
    while True:
        try:
            lock.acquire(timeout=POLL_SECONDS)
            return
        except Timeout:
            yield sum(1 for _ in read_entries(folder / JOURNAL))


def _fill(spec: StoreSpec, image: Callable[[int], StoredImage], threads: int) -> Iterator[int]:
    """Append the missing images, then give the journal the name that marks the store as complete."""
    folder = spec.folder
    _write_info(spec)
    done, total = _resume(folder), len(spec.files)
    with open_own(folder / PIXELS) as pixels, open_own(folder / JOURNAL) as journal:
        lines: list[bytes] = []
        flushed = time.monotonic()
        for array, entry in _in_order(image, range(done, total), threads):
            pixels.write(array.data)
            lines.append(json.dumps(entry).encode() + b"\n")
            done += 1
            if time.monotonic() - flushed > SECONDS_A_CHUNK:
                _flush(pixels, journal, lines)
                _check_space(folder, needed=pixels.tell() / done * (total - done))
                flushed = time.monotonic()
            yield done
        _flush(pixels, journal, lines)
    (folder / JOURNAL).replace(folder / ENTRIES)


def _flush(pixels: BinaryIO, journal: BinaryIO, lines: list[bytes]) -> None:
    """Sync the pixels, then write the lines of these images; empty `lines`."""
    _to_disk(pixels)
    journal.writelines(lines)
    _to_disk(journal)
    lines.clear()


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _resume(folder: Path) -> int:
    """Truncate pixels and journal to the images that both hold whole, and return their number."""
    with open_own(folder / PIXELS) as pixels, open_own(folder / JOURNAL):
        there = pixels.seek(0, os.SEEK_END)
    n_bytes = n_lines = n_done = 0
    for entry in read_entries(folder / JOURNAL):
        if n_bytes + entry.n_bytes > there:
            break
        n_done += 1
        n_bytes += entry.n_bytes
        n_lines += len(json.dumps(entry)) + 1
    os.truncate(folder / PIXELS, n_bytes)
    os.truncate(folder / JOURNAL, n_lines)
    return n_done


def _in_order(work: Callable[[int], StoredImage], rows: range, threads: int) -> Iterator[StoredImage]:
    """Yield ``work(row)`` for each row in order; threads compute a limited number of rows ahead."""
    remaining = iter(rows)
    # The first row is read in this thread: readers import their libraries on first use, and threads that import the
    # same library at once can see it half loaded.
    yield from map(work, islice(remaining, 1))
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        pending: deque[Future[StoredImage]] = deque()
        try:
            for row in remaining:
                pending.append(pool.submit(work, row))
                if len(pending) > IN_FLIGHT * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _write_info(spec: StoreSpec) -> None:
    info = {
        "root": str(spec.root.absolute()),
        "images": len(spec.files),
        "side": spec.side,
        "fit": spec.fit,
        "reader": spec.reader,
        "source": spec.source.key if spec.source else None,
    }
    write_text(spec.folder / INFO, json.dumps(info, indent=1))


def _check_space(folder: Path, needed: float) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise _no_space(folder, f"{amount(needed)} needed for the remaining images, {amount(free)} free")


@contextlib.contextmanager
def _cache_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the cache folder into messages; those of image files are `UserError`s already."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise _no_space(folder, str(error.strerror)) from error
        raise UserError(
            f"cannot write to the cache folder {cache_folder()}: {error.strerror or error}",
            "set KAGGLEKIT_CACHE to a writable folder",
        ) from error


def _no_space(folder: Path, why: str) -> UserError:
    return UserError(
        f"disk full: the image store in {folder} does not fit ({why})",
        "free some space (kagglekit cache --clear removes all stores) or set KAGGLEKIT_CACHE to a folder on a larger "
        "disk; images decoded so far are kept",
    )
