"""The decoded images of a run, and loaders over them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kagglekit.compute.device import BATCH
from kagglekit.images.build import hold
from kagglekit.images.loader import Loader, place
from kagglekit.images.placement import (
    Keep,
    describe_placed,
    estimated_bytes,
    may_place,
    with_sources,
)
from kagglekit.images.store import ImageStore, StoreSpec
from kagglekit.images.warp import copy_side
from kagglekit.system.display.console import amount
from kagglekit.system.errors import UserError, listing
from kagglekit.types.data_config import DataConfig
from kagglekit.types.decoded import Decoded, Kind
from kagglekit.types.image_table import group_numbers
from kagglekit.types.randomness import image_keys
from kagglekit.types.view import CropMode, View

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.system.display.console import Display
    from kagglekit.tasks.task import Task

BLOCK_BYTES = 1 << 29  # of decoded test images at a time, where they are streamed
Split = Literal["train", "added", "valid", "test"]
"""``added`` are copies of test images that gradient steps learn under labels of a teacher, see `Targets.added`."""


@dataclass(frozen=True)
class Stream:
    """Test images that are decoded block by block while they are predicted, and never written to the disk.

    Attributes:
        specs: By fit and side, the store of all test images that the disk has no room for.
        read: Decodes one file, see `kagglekit.images.build.build`.
    """

    specs: Mapping[tuple[CropMode, int], StoreSpec]
    read: Callable[[Path, int], NDArray[Any] | None]

    @property
    def each(self) -> float:
        """Estimated bytes of an image in all of its copies, the largest one included."""
        return estimated_bytes(with_sources(self.specs.values())) / max(1, len(next(iter(self.specs.values())).files))

    def rows(self, batch: int = BATCH) -> int:
        """Return the number of images in a block: as many full batches as fit `BLOCK_BYTES`."""
        return max(1, int(BLOCK_BYTES / self.each) // batch) * batch

    def block(self, start: int, end: int) -> dict[tuple[CropMode, int], ImageStore]:
        """Decode the rows from `start` up to `end` (exclusive) into memory, each file once."""
        cut = {where: spec.part(start, end) for where, spec in self.specs.items()}
        largest = next(spec.source or spec for spec in cut.values())
        source = hold(largest, self.read)
        return {where: hold(spec, self.read, source) if spec.source else source for where, spec in cut.items()}


@dataclass(frozen=True)
class ImageSet:
    """Every image of a run, decoded, with its label and split.

    Attributes:
        tables: The image tables of the labelled and of the test images; row i is row i of their stores.
        task: What is predicted.
        stores: Stores by kind of image, fit and side.
        config: Mean and std of the network's input.
        device: Device of the batches.
        seed: Seed of the run.
        usable: By kind, (N,) bool: whether each image could be decoded; for streamed images it is known only after
            prediction.
        keep: Where decoded images are kept.
        stream: Decodes the test images block by block; None if they have stores.
        decoded: Stores built by this run; those found in the cache are not listed.
        display: Reports which images are copied to the device; None for silence.
    """

    tables: dict[Kind, pd.DataFrame]
    task: Task
    stores: dict[tuple[Kind, CropMode, int], ImageStore]
    config: DataConfig
    device: torch.device
    seed: int
    usable: dict[Kind, NDArray[np.bool_]]
    keep: Keep = "auto"
    stream: Stream | None = None
    decoded: list[Decoded] = field(default_factory=list)
    display: Display | None = None
    _resident: dict[Path, Tensor | None] = field(default_factory=dict)
    _truth: dict[Split, NDArray[Any]] = field(default_factory=dict)
    _splits: dict[Split, NDArray[np.bool_]] = field(default_factory=dict)
    _keys: dict[tuple[Kind, str], NDArray[np.uint64]] = field(default_factory=dict)

    def rows(self, split: Split) -> NDArray[np.int64]:
        """Return the store rows of a split's usable images."""
        kind: Kind = "test" if split == "test" else "labelled"
        if split not in self._splits:  # asked for after each epoch, as are the keys of all images
            self._splits[split] = (self.tables[kind]["split"] == split).to_numpy()
        return np.flatnonzero(self._splits[split] & self.usable[kind])

    def ids(self, split: Split) -> list[str]:
        """Return the ids of `rows`."""
        table = self.tables["test" if split == "test" else "labelled"]
        return [str(image) for image in table["id"].to_numpy()[self.rows(split)]]

    def table(self, split: Split) -> pd.DataFrame:
        """Return the image table's rows of `rows`, indexed by id."""
        table = self.tables["test" if split == "test" else "labelled"].iloc[self.rows(split)]
        return table.set_index(table["id"].astype("str").rename("id"), drop=False)

    def truth(self, split: Split) -> NDArray[Any]:
        """Return the truth of `rows`, see `kagglekit.tasks.task.Task`, for another split than ``test``."""
        if split not in self._truth:  # asked for after each epoch
            labels = self.tables["labelled"]["label"].to_numpy()[self.rows(split)]
            self._truth[split] = self.task.encode(labels.tolist())
        return self._truth[split]

    def groups(self, split: Split) -> NDArray[np.int64] | None:
        """Return the group numbers of `rows`; None where each image is a group of its own."""
        rows = self.rows(split)
        numbers = group_numbers(self.tables["test" if split == "test" else "labelled"], rows)
        return None if numbers is None or len(np.unique(numbers)) == len(rows) else numbers

    def group_names(self, split: Split) -> pd.Series[str] | None:
        """Return `groups` as names by id, as ensembles and `assign_parts` take them."""
        import pandas as pd

        numbers = self.groups(split)
        if numbers is None:
            return None
        return pd.Series([f"group {number}" for number in numbers], index=self.ids(split), dtype="str")

    def valid_labels(self) -> pd.Series[str]:
        """Return the valid images' labels by id."""
        import pandas as pd

        labels = self.tables["labelled"]["label"].to_numpy()[self.rows("valid")]
        return pd.Series(labels.tolist(), index=self.ids("valid"), dtype="str")

    def loader(self, kind: Kind, view: View, size: int, salt: object = None) -> Loader:
        """Return a loader of a kind's images under a view; its randomness depends on seed and `salt`."""
        side = self._side(kind, view.fit, size)
        store = self.stores[kind, view.fit, side]
        if store.folder not in self._resident:
            self._make_room(side)
            self._resident[store.folder] = self._placed(f"{kind} images at {side} px", store)
        keys = self._image_keys(kind, salt)
        return Loader(store, view, size, self.config, keys, self.device, self._resident[store.folder])

    def _image_keys(self, kind: Kind, salt: object) -> NDArray[np.uint64]:
        if (kind, repr(salt)) not in self._keys:
            keys = image_keys([str(image) for image in self.tables[kind]["id"]], self.seed, salt)
            self._keys[kind, repr(salt)] = keys
        return self._keys[kind, repr(salt)]

    def test_blocks(self, batch: int, first: int = 0, step: int = 1) -> Iterator[ImageSet]:
        """Yield this set once or, if the test images are streamed, once for each block of them.

        Two blocks are held at once: one is dropped when the next one has been decoded.

        Args:
            batch: Images of a forward pass; a block has full batches.
            first: The block to begin with, from 0.
            step: How many blocks to go on by, where several processes share them.
        """
        if not self.stream:
            yield self
            return
        n = self.stream.rows(batch)
        for start in range(first * n, len(self.tables["test"]), step * n):
            yield self._with_block(self.stream, slice(start, start + n))

    def _with_block(self, stream: Stream, rows: slice) -> ImageSet:
        began = time.perf_counter()
        of_block = {("test", *where): store for where, store in stream.block(rows.start, rows.stop).items()}
        stores: dict[tuple[Kind, CropMode, int], ImageStore] = {**self.stores, **of_block}  # type: ignore[dict-item]
        table = self.tables["test"].iloc[rows].reset_index(drop=True)
        side, seconds = max(side for _, side in stream.specs), time.perf_counter() - began
        self.decoded.append(Decoded("test", "", side, "files", len(table), seconds))
        self.usable["test"][rows] = usable_rows("test", len(table), stores)
        usable = {**self.usable, "test": self.usable["test"][rows]}
        tables: dict[Kind, pd.DataFrame] = {**self.tables, "test": table}
        own: dict[str, Any] = {"tables": tables, "stores": stores, "usable": usable, "_splits": {}, "_keys": {}}
        return replace(self, **own, stream=None, display=None)

    def _placed(self, what: str, store: ImageStore) -> Tensor | None:
        if not may_place(self.keep, self.device):
            return None
        flat = place(store, self.device)
        if flat is None and self.keep == "device":
            size = f"{amount(len(store.pixels))} of decoded images"
            raise UserError(f"--store device: not enough memory on {self.device} for {size}", "use --store auto")
        if self.display:
            self.display.report(describe_placed(what, store, self.device, flat is not None))
        return flat

    def _side(self, kind: Kind, fit: CropMode, size: int) -> int:
        """Return the side of the copies that serve a size best: `copy_side`, or the one nearest to it by ratio."""
        wanted = copy_side(size)
        sides = [side for of, own, side in self.stores if (of, own) == (kind, fit)]
        return min(sides, key=lambda side: (abs(math.log(side / wanted)) + 10 * (side < size), side))

    def _make_room(self, side: int) -> None:
        """Drop the copies of other sizes from the device: their stages are over."""
        needed = {store.folder for (_, _, each), store in self.stores.items() if each == side}
        for folder in set(self._resident) - needed:
            del self._resident[folder]


def usable_rows(kind: Kind, n: int, stores: dict[tuple[Kind, CropMode, int], ImageStore]) -> NDArray[np.bool_]:
    """Return (N,) bool: whether each of a kind's `n` images is good in all of its stores."""
    good = np.ones(n, dtype=bool)
    for (of, _, _), store in stores.items():
        if of == kind and store.bad:
            good[list(store.bad)] = False
    return good


def bad_ids(images: ImageSet, kind: Kind) -> list[str]:
    """Return the ids of the images that could not be decoded."""
    table = images.tables[kind]
    return [str(image) for image in table["id"].to_numpy()[~images.usable[kind]]]


def describe_bad(images: ImageSet) -> str:
    """Describe which images cannot be decoded and the consequence; return an empty string if all can."""
    labelled, test = bad_ids(images, "labelled"), bad_ids(images, "test")
    lines = []
    if labelled:
        lines.append(f"skipping {len(labelled)} labelled images that cannot be decoded: {listing(labelled)}")
    if test:
        lines.append(f"{len(test)} test images cannot be decoded and get the mean prediction: {listing(test)}")
    return "; ".join(lines)
