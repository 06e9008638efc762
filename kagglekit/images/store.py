"""The image store: every image decoded once, kept as plain bytes and memory-mapped.

A store is a folder of the cache, named after everything its bytes depend on, with

- ``pixels.u8``: the images one after another, each (h, w, C) in rows: uint8 RGB, or what their `PixelForm` says. Each
  has its own size: images are neither cropped, enlarged nor padded;
- ``pictures.jsonl``: a line for each image, its `Entry` with a checksum of its pixels. During the build it is called
  ``journal.jsonl``; the final name marks the store as complete;
- ``info.json``: facts for `kagglekit cache`;
- ``features-*``: what frozen networks see in the images, see `kagglekit.images.feature_file`.

`kagglekit.images.build` builds stores, `kagglekit.images.cache` lists and removes them; this module names and opens
them.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from zlib import crc32

import numpy as np

from kagglekit.system.errors import UserError
from kagglekit.system.fingerprints import fingerprints
from kagglekit.system.in_use import mark_in_use
from kagglekit.system.paths import own_place
from kagglekit.system.pixel_limit import MAX_PIXELS, max_pixels
from kagglekit.types.image_path import channel_files
from kagglekit.types.pixel_form import RGB, PixelForm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from kagglekit.types.view import CropMode

FORMAT = 4
CHECKED_BYTES = 1 << 25  # of pixels compared with their checksums when a store is opened
PIXELS, ENTRIES, JOURNAL, INFO, LOCK = "pixels.u8", "pictures.jsonl", "journal.jsonl", "info.json", "lock"
FEATURES = "features-"  # what names of feature files begin with, see `feature_file`
USED = "used"  # locked by its users; `LOCK` by its builder, who would wait for itself if it used it before


@dataclass(frozen=True)
class StoreSpec:
    """Describes the images of a store and their form.

    Attributes:
        files: The image files, in the store's row order.
        root: The data folder; only the files' names below it matter, so that it may be moved.
        side: The length to which images are reduced, px; `fit` says which side it is.
        fit: ``short``: the short side becomes min(own, side). ``long``: the long side does. Both keep the
            aspect. ``both``: each side becomes min(own, side).
        reader: Name and version of the plugin that decodes, for example ``kagglekit_reader 1``.
        source: The larger store from which this one is reduced; None if it is decoded from the files.
        form: Channels, bits and range of the numbers.
    """

    files: tuple[Path, ...]
    root: Path
    side: int
    fit: CropMode
    reader: str
    source: Self | None = None
    form: PixelForm = RGB

    def __post_init__(self) -> None:
        if self.side < 1:
            raise ValueError(f"side is {self.side}: it must be at least 1")
        if self.source and (self.source.fit != "short" or self.source.side < self.side):
            raise ValueError("the source of a smaller copy must have fit 'short' and be at least as large")
        if self.source and self.source.files != self.files:
            raise ValueError("a smaller copy must have the same images as its source")

    def smaller(self, side: int, fit: CropMode = "short") -> Self:
        """Return the spec of the same images reduced further from this store."""
        return replace(self, side=side, fit=fit, source=self)

    def part(self, start: int, end: int) -> Self:
        """Return the spec of the rows from `start` up to `end` (exclusive)."""
        source = self.source.part(start, end) if self.source else None
        return replace(self, files=self.files[start:end], source=source)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The files' names, below `root` where they lie there, with forward slashes."""
        below = f"{self.root}{os.sep}"
        return tuple(str(path).removeprefix(below).replace(os.sep, "/") for path in self.files)

    @cached_property
    def key(self) -> str:
        """The hash (32 hex digits) of everything the bytes depend on: no label and no split is part of it.

        It covers the files' names and fingerprints (size, first and last 4 kB), the reader, side, fit, format version
        and the limit of pixels, if it was changed: images beyond it are stored as bad ones. So a copy of the folder
        has the same store, whatever its times, and changed files do not.
        A smaller copy has its source's key instead of the files: an image reduced twice differs in its last bits from
        one reduced once.
        """
        form = [FORMAT, self.reader, self.side, self.fit, self.source.key if self.source else None]
        form += self.form.key
        if max_pixels() != MAX_PIXELS:
            form.append(max_pixels())
        hashed = blake2b(json.dumps(form).encode(), digest_size=16)
        if not self.source:
            apart = [channel_files(path) for path in self.files]
            contents = iter(fingerprints([file for files in apart for file in files]))
            for name, files in zip(self.names, apart, strict=True):
                hashed.update(json.dumps([name, *(next(contents).hex() for _ in files)]).encode())
        return hashed.hexdigest()

    @cached_property
    def folder(self) -> Path:
        """The store's folder in the cache, or in a private one (see `own_place`)."""
        return own_place("stores", self.key, files=(PIXELS, ENTRIES, JOURNAL, INFO, LOCK, USED))


class Entry(NamedTuple):
    """One stored image.

    Attributes:
        height: In px.
        width: In px.
        aspect: Width / height of the upright image in the file.
        bad: Why the file cannot be decoded; empty if it can.
        checksum: CRC-32 of the stored pixels.
        constant: Whether it holds nearly one value, such as black.
        pixel_bytes: Length of a pixel.
    """

    height: int
    width: int
    aspect: float
    bad: str
    checksum: int
    constant: bool
    pixel_bytes: int = 3

    @property
    def n_bytes(self) -> int:
        """Length in the pixels file."""
        return self.height * self.width * self.pixel_bytes


def read_entries(path: Path) -> Iterator[Entry]:
    """Yield the entries of a list, up to the first torn line (the process died while writing it)."""
    with contextlib.suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                entry = Entry(*json.loads(line))
            except (ValueError, TypeError):
                return
            if not line.endswith("\n"):
                return
            yield entry


@dataclass(frozen=True, eq=False)
class ImageStore:
    """An open store, read-only.

    Attributes:
        folder: Its location.
        names: (N) names of the files, as in `StoreSpec`.
        pixels: (bytes,) uint8, the whole file, memory-mapped.
        offsets: (N,) int64: the start of each image in `pixels`.
        heights: (N,) int32, px, of the stored images.
        widths: (N,) int32, px.
        aspects: (N,) float32: width / height of the upright image in the file.
        bad: Row to reason, for files that cannot be decoded; a grey pixel stands in for each.
        constant: Rows of the images that hold nearly one value, such as black.
        form: Channels, bits and range of the numbers.
    """

    folder: Path
    names: tuple[str, ...]
    pixels: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    heights: NDArray[np.int32]
    widths: NDArray[np.int32]
    aspects: NDArray[np.float32]
    bad: dict[int, str]
    constant: tuple[int, ...]
    form: PixelForm = RGB

    def __len__(self) -> int:
        return len(self.names)

    def image(self, row: int) -> NDArray[Any]:
        """Return the image of a row, (h, w, C) in the store's form, as a view of the map."""
        start, height, width = int(self.offsets[row]), int(self.heights[row]), int(self.widths[row])
        flat = self.pixels[start : start + height * width * self.form.pixel_bytes]
        return flat.view(self.form.dtype).reshape(height, width, self.form.channels)


def exists(spec: StoreSpec) -> bool:
    """Return whether the store is complete."""
    return (spec.folder / ENTRIES).exists()


def made(spec: StoreSpec) -> StoreSpec | None:
    """Return the complete store with the images of `spec`: its own, or its source's if none would be reduced further.

    So images that are smaller than all copies, which many competitions have, are stored once.
    """
    if exists(spec):
        return spec
    source = spec.source
    if source is None or not exists(source):
        return None
    measured = min if spec.fit == "short" else max
    entries = read_entries(source.folder / ENTRIES)
    return source if all(measured(each.height, each.width) <= spec.side for each in entries) else None


def open_store(spec: StoreSpec) -> ImageStore:
    """Open a complete store.

    Raises:
        FileNotFoundError: Its build has not finished.
        UserError: Its files do not fit together, or pixels have changed since the build. The latter is checked for a
            random sample of `CHECKED_BYTES`.
    """
    folder = spec.folder
    if not exists(spec):
        raise FileNotFoundError(f"no complete image store in {folder}")
    entries = list(read_entries(folder / ENTRIES))
    pixels = _map(folder / PIXELS)
    if len(entries) != len(spec.files) or sum(entry.n_bytes for entry in entries) != len(pixels):
        raise _damaged(folder, "its files do not fit together")
    with contextlib.suppress(OSError):  # `kagglekit cache` shows it as the time of last use
        os.utime(folder / INFO)
    store = store_of(spec, pixels, entries)
    mark_in_use(folder / USED, by=store)
    _check_sample(store, [entry.checksum for entry in entries])
    return store


def _check_sample(store: ImageStore, checksums: Sequence[int]) -> None:
    """Compare images with their checksums: the first, the last and random ones, until enough bytes are checked."""
    n, n_bytes = len(store), 0
    sample = np.random.default_rng().permutation(n)
    for row in dict.fromkeys([*range(n)[:1], *range(n)[-1:], *sample.tolist()]):
        image = store.image(row)
        if checksum(image) != checksums[row]:
            raise _damaged(store.folder, f"the pixels of {store.names[row]} have changed since they were decoded")
        n_bytes += image.nbytes
        if n_bytes >= CHECKED_BYTES:
            return


def checksum(pixels: NDArray[Any]) -> int:
    """Return the checksum of an image's pixels, contiguous."""
    return crc32(pixels.data)


def _damaged(folder: Path, why: str) -> UserError:
    return UserError(
        f"the image store in {folder} is damaged: {why}", "remove that folder; the images are decoded again"
    )


def store_of(spec: StoreSpec, pixels: NDArray[np.uint8], entries: Sequence[Entry]) -> ImageStore:
    """Join pixels, in memory or mapped, and their entries."""
    lengths = np.array([entry.n_bytes for entry in entries], dtype=np.int64)
    return ImageStore(
        folder=spec.folder,
        names=spec.names,
        pixels=pixels,
        offsets=np.cumsum(lengths) - lengths,
        heights=np.array([entry.height for entry in entries], dtype=np.int32),
        widths=np.array([entry.width for entry in entries], dtype=np.int32),
        aspects=np.array([entry.aspect for entry in entries], dtype=np.float32),
        bad={row: entry.bad for row, entry in enumerate(entries) if entry.bad},
        constant=tuple(row for row, entry in enumerate(entries) if entry.constant),
        form=spec.form,
    )


def _map(path: Path) -> NDArray[np.uint8]:
    if not path.stat().st_size:  # an empty file cannot be mapped
        return np.zeros(0, dtype=np.uint8)
    # As a plain array: slices of np.memmap are objects that take microseconds to make.
    return np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))


def bad_images_error(
    store: ImageStore, hint: str = "fix or remove them, or skip them with --skip-bad-images", most: int = 10
) -> UserError:
    """Return the error for files that cannot be decoded: their number, and the first `most` with reasons."""
    shown = [f"  {store.names[row]}: {reason}" for row, reason in list(store.bad.items())[:most]]
    if len(store.bad) > most:
        shown.append(f"  ... ({len(store.bad)} in all)")
    return UserError(
        f"{len(store.bad)} of {len(store)} images cannot be decoded:\n" + "\n".join(shown),
        hint,
    )
