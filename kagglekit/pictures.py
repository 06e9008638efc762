"""The run's decoded images: which copies its stages need, and loaders over them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kagglekit.decoding import Decoded, Kind, made_store
from kagglekit.device import BATCH
from kagglekit.errors import UserError, listing
from kagglekit.folds import group_numbers
from kagglekit.hooks import Hooks
from kagglekit.loader import Loader, place
from kagglekit.model import DataConfig
from kagglekit.recipe import Recipe, Stage
from kagglekit.store import ImageStore, StoreSpec, bad_images_error
from kagglekit.store_build import hold
from kagglekit.store_choice import (
    Keep,
    describe_kept,
    describe_placed,
    estimated_bytes,
    in_memory,
    may_place,
    why_stream,
    with_sources,
    without_measuring,
)
from kagglekit.view import Fit, View, image_keys
from kagglekit.warp import copy_side

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.progress import Display

BLOCK_BYTES = 1 << 29  # of decoded test images at a time, where they are streamed
Split = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Stream:
    """Test images that are decoded when they are predicted, block by block; the disk holds none of them.

    Attributes:
        specs: By fit and side, the store of all of them that there is no room for.
        read: Decodes one file, see `kagglekit.store_build.build`.
    """

    specs: Mapping[tuple[Fit, int], StoreSpec]
    read: Callable[[Path, int], NDArray[np.uint8] | None]

    @property
    def each(self) -> float:
        """Estimated bytes of an image, in all of its copies and in the one that they are reduced from."""
        return estimated_bytes(with_sources(self.specs.values())) / max(1, len(next(iter(self.specs.values())).files))

    def rows(self, batch: int = BATCH) -> int:
        """Return the images in a block: as many as `BLOCK_BYTES` hold, in full batches."""
        return max(1, int(BLOCK_BYTES / self.each) // batch) * batch

    def block(self, start: int, end: int) -> dict[tuple[Fit, int], ImageStore]:
        """Decode the rows from `start` to before `end` into memory, each file once."""
        cut = {where: spec.part(start, end) for where, spec in self.specs.items()}
        largest = next(spec.source or spec for spec in cut.values())
        source = hold(largest, self.read)
        return {where: hold(spec, self.read, source) if spec.source else source for where, spec in cut.items()}


@dataclass(frozen=True)
class Pictures:
    """Every image of a run, decoded, with its class and split.

    Attributes:
        tables: The image table of the labelled and of the test images; row i is row i of their stores.
        classes: Class names in their fixed order.
        stores: By kind of image, fit and side.
        config: The network's mean and std.
        device: Where batches are wanted.
        seed: The run's.
        usable: By kind, (N,) bool: whether each image could be decoded; of streamed images it is known only when they
            have been predicted.
        keep: Where decoded images are kept.
        stream: How the test images are decoded block by block; None where they have stores.
        decoded: What was decoded so far; what had been before is not among it.
        display: Where it is said what is copied to the device; None to say nothing.
    """

    tables: dict[Kind, pd.DataFrame]
    classes: tuple[str, ...]
    stores: dict[tuple[Kind, Fit, int], ImageStore]
    config: DataConfig
    device: torch.device
    seed: int
    usable: dict[Kind, NDArray[np.bool_]]
    keep: Keep = "auto"
    stream: Stream | None = None
    decoded: list[Decoded] = field(default_factory=list)
    display: Display | None = None
    _resident: dict[Path, Tensor | None] = field(default_factory=dict)

    def rows(self, split: Split) -> NDArray[np.int64]:
        """Return the store rows of a split's usable images."""
        kind: Kind = "test" if split == "test" else "labelled"
        return np.flatnonzero((self.tables[kind]["split"] == split).to_numpy() & self.usable[kind])

    def ids(self, split: Split) -> list[str]:
        """Return the ids of `rows`."""
        table = self.tables["test" if split == "test" else "labelled"]
        return [str(image) for image in table["id"].to_numpy()[self.rows(split)]]

    def labels(self, split: Split) -> NDArray[np.int64]:
        """Return the class numbers of `rows`, for ``train`` or ``valid``."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        labels = self.tables["labelled"]["label"].to_numpy()[self.rows(split)]
        return np.array([numbers[label] for label in labels], dtype=np.int64)

    def groups(self, split: Split) -> NDArray[np.int64] | None:
        """Number the groups of `rows` that must stay together; None where each image is one by itself."""
        rows = self.rows(split)
        numbers = group_numbers(self.tables["test" if split == "test" else "labelled"], rows)
        return None if numbers is None or len(np.unique(numbers)) == len(rows) else numbers

    def valid_labels(self) -> pd.Series[str]:
        """Return the valid images' class names by id."""
        import pandas as pd

        names = [self.classes[number] for number in self.labels("valid")]
        return pd.Series(names, index=self.ids("valid"), dtype="str")

    def loader(self, kind: Kind, view: View, size: int, salt: object = None) -> Loader:
        """Return a loader of a kind's images under a view; its randomness depends on seed and `salt`."""
        store = self.stores[kind, view.fit, copy_side(size)]
        if store.folder not in self._resident:
            self._make_room(size)
            self._resident[store.folder] = self._placed(f"{kind} images at {copy_side(size)} px", store)
        keys = image_keys([str(image) for image in self.tables[kind]["id"]], self.seed, salt)
        return Loader(store, view, size, self.config, keys, self.device, self._resident[store.folder])

    def test_blocks(self, batch: int) -> Iterator[Pictures]:
        """Yield these pictures, or, where the test images are streamed, with one block of them after the other.

        A block's decoded images are forgotten once the next one is decoded: two are held at once.

        Args:
            batch: Images that are predicted at a time; a block has full batches.
        """
        if not self.stream:
            yield self
            return
        n = self.stream.rows(batch)
        for start in range(0, len(self.tables["test"]), n):
            yield self._with_block(self.stream, slice(start, start + n))

    def _with_block(self, stream: Stream, rows: slice) -> Pictures:
        began = time.perf_counter()
        of_block = {("test", *where): store for where, store in stream.block(rows.start, rows.stop).items()}
        stores: dict[tuple[Kind, Fit, int], ImageStore] = {**self.stores, **of_block}  # type: ignore[dict-item]
        table = self.tables["test"].iloc[rows].reset_index(drop=True)
        side, seconds = max(side for _, side in stream.specs), time.perf_counter() - began
        self.decoded.append(Decoded("test", "", side, "files", len(table), seconds))
        self.usable["test"][rows] = _usable("test", len(table), stores)
        usable = {**self.usable, "test": self.usable["test"][rows]}
        tables: dict[Kind, pd.DataFrame] = {**self.tables, "test": table}
        return replace(self, tables=tables, stores=stores, usable=usable, stream=None, display=None)

    def _placed(self, what: str, store: ImageStore) -> Tensor | None:
        if not may_place(self.keep, self.device):
            return None
        flat = place(store, self.device)
        if flat is None and self.keep == "device":
            size = f"{len(store.pixels) / 1e9:.2f} GB of decoded images"
            raise UserError(f"--store device: {self.device} has no room for {size}", "use --store auto")
        if self.display:
            self.display.say(describe_placed(what, store, self.device, flat is not None))
        return flat

    def _make_room(self, size: int) -> None:
        """Forget the copies of other sizes that the device holds: their stages are over."""
        needed = {store.folder for (_, _, side), store in self.stores.items() if side == copy_side(size)}
        for folder in set(self._resident) - needed:
            del self._resident[folder]


def prepare_pictures(
    table: pd.DataFrame,
    classes: tuple[str, ...],
    data: Path,
    hooks: Hooks,
    recipe: Recipe,
    stages: Iterable[Stage],
    config: DataConfig,
    device: torch.device,
    display: Display,
    skip_bad: bool,
    keep: Keep = "auto",
    deterministic: bool = False,
) -> Pictures:
    """Decode what has not been decoded before, and open it; say where it is kept.

    With `deterministic`, only ``device`` copies pixels to the device: `without_measuring` says why.

    Raises:
        UserError: Images can't be decoded (unless `skip_bad`), or the cache can't hold them.
    """
    tables: dict[Kind, pd.DataFrame] = {
        "labelled": table[table["split"] != "test"].reset_index(drop=True),
        "test": table[table["split"] == "test"].reset_index(drop=True),
    }
    stages = list(stages)
    needs = _needs(hooks, recipe, stages, config)
    first = {copy_side(stage.size): stage.name for stage in reversed(stages)}
    decoded: list[Decoded] = []
    specs: dict[Kind, dict[tuple[Fit, int], StoreSpec]] = {}
    for kind, rows in tables.items():
        files = tuple(Path(path) for path in rows["path"])
        specs[kind] = dict(_specs(files, data, hooks.reader(), sorted(needs[kind]))) if files else {}
    stream = _stream(keep, specs, hooks, display)
    stores = {
        (kind, fit, side): made_store(spec, hooks, display, kind, first, decoded)
        for kind, by_size in specs.items()
        if kind == "labelled" or not stream
        for (fit, side), spec in by_size.items()
    }
    keep = without_measuring(keep) if deterministic else keep
    if keep == "ram":
        stores = {which: in_memory(store) for which, store in stores.items()}
    display.say(describe_kept(keep, list(stores.values()), device))
    usable = {kind: _usable(kind, len(rows), stores) for kind, rows in tables.items()}
    if not skip_bad:
        _refuse_bad(stores.values())
    return Pictures(tables, classes, stores, config, device, recipe.seed, usable, keep, stream, decoded, display)


def _stream(
    keep: Keep, specs: dict[Kind, dict[tuple[Fit, int], StoreSpec]], hooks: Hooks, display: Display
) -> Stream | None:
    """Decide whether the test images are streamed, and say why."""
    why = why_stream(keep, specs["labelled"].values(), list(specs["test"].values()))
    if not why:
        return None
    stream = Stream(specs["test"], hooks.read_image)
    n = len(next(iter(specs["test"].values())).files)
    rows = min(n, stream.rows())
    display.say(
        f"the test images are decoded when they are predicted, in about {-(-n // rows):,} blocks of {rows:,}: {why}"
    )
    return stream


def _needs(hooks: Hooks, recipe: Recipe, stages: list[Stage], config: DataConfig) -> dict[Kind, set[tuple[int, Fit]]]:
    """Find the sides and fits that the stages' views look at; the test images only appear at prediction."""
    labelled: set[tuple[int, Fit]] = set()
    test: set[tuple[int, Fit]] = set()
    for stage in stages:
        plain = hooks.views(recipe, stage, "plain", config).fit
        labelled.add((copy_side(stage.size), plain))
        if not stage.precompute:
            labelled.add((copy_side(stage.size), hooks.views(recipe, stage, "train", config).fit))
    for stage in predicting_stages(stages):
        side = copy_side(recipe.predict_size or stage.size)
        test.add((side, hooks.views(recipe, stage, "plain", config).fit))
        if recipe.tta:
            test.add((side, hooks.views(recipe, stage, "tta", config).fit))
    return {"labelled": labelled | test, "test": test}


def predicting_stages(stages: list[Stage]) -> list[Stage]:
    """Return the stages whose weights predict: those that keep snapshots, else the last one."""
    return [stage for stage in stages if stage.snapshots] or stages[-1:]


def _specs(
    files: tuple[Path, ...], data: Path, reader: str, needs: list[tuple[int, Fit]]
) -> Iterator[tuple[tuple[Fit, int], StoreSpec]]:
    """Name each needed copy: the largest is decoded from the files, the others are reduced from it."""
    largest = StoreSpec(files, data, max(side for side, _ in needs), "short", reader)
    for side, fit in reversed(needs):
        yield (fit, side), largest if (side, fit) == (largest.side, "short") else largest.smaller(side, fit)


def _usable(kind: Kind, n: int, stores: dict[tuple[Kind, Fit, int], ImageStore]) -> NDArray[np.bool_]:
    good = np.ones(n, dtype=bool)
    for (of, _, _), store in stores.items():
        if of == kind and store.bad:
            good[list(store.bad)] = False
    return good


def _refuse_bad(stores: Iterable[ImageStore]) -> None:
    by_names = {store.names: store for store in stores if store.bad}  # one of each kind says it for all its copies
    errors = [bad_images_error(store) for store in by_names.values()]
    if errors:
        raise UserError("\n".join(error.what for error in errors), errors[0].hint)


def bad_ids(pictures: Pictures, kind: Kind) -> list[str]:
    """Return the ids of the images that could not be decoded."""
    table = pictures.tables[kind]
    return [str(image) for image in table["id"].to_numpy()[~pictures.usable[kind]]]


def describe_bad(pictures: Pictures) -> str:
    """Word which images are left out, and what becomes of test images among them; empty if none are bad."""
    labelled, test = bad_ids(pictures, "labelled"), bad_ids(pictures, "test")
    lines = []
    if labelled:
        lines.append(f"left out {len(labelled)} labelled images that cannot be decoded: {listing(labelled)}")
    if test:
        lines.append(f"{len(test)} test images cannot be decoded and get the mean prediction: {listing(test)}")
    return "; ".join(lines)


def require_images(pictures: Pictures, to_validate: bool = True) -> None:
    """Check that every class still has a training image and, if asked, that there is something to validate on.

    Raises:
        UserError: It has not.
    """
    seen = set(pictures.labels("train").tolist())
    missing = [name for number, name in enumerate(pictures.classes) if number not in seen]
    if missing:
        raise UserError(f"no usable training image is left of: {listing(missing)}")
    if to_validate and not len(pictures.rows("valid")):
        raise UserError("no usable image is left to validate on", "use a larger share: --set valid=0.3")
