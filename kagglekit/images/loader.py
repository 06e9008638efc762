"""Make batches of one store under one view, in the background while the network computes."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from kagglekit.compute.device import quiet_loader, to_device, use_device
from kagglekit.images.device_warp import gather, slack
from kagglekit.images.placement import fits_device
from kagglekit.images.warp import colour_map, normalise, normalise_on_device, warp
from kagglekit.system.errors import UserError
from kagglekit.types.randomness import channel_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from kagglekit.images.store import ImageStore
    from kagglekit.types.data_config import DataConfig
    from kagglekit.types.view import View

Made = TypeVar("Made")
_CHUNK = 1 << 26  # bytes of the store copied to the device at a time


@dataclass(frozen=True)
class Loader:
    """Makes batches of a store's images under a view.

    Attributes:
        store: The images.
        view: The view of the images.
        size: Side of the square the network sees, px.
        config: Mean and std of the network's input.
        keys: (N,) from `kagglekit.types.randomness.image_keys`, one for each row of the store.
        device: Device of the batches.
        resident: (bytes,) uint8: the store's pixels on `device` and slack (see `place`); None to warp on the CPU.
        waits: Seconds the consumer of `batches` waited for each batch.
    """

    store: ImageStore
    view: View
    size: int
    config: DataConfig
    keys: NDArray[np.uint64]
    device: torch.device
    resident: Tensor | None = None
    waits: list[float] = field(default_factory=list, compare=False, repr=False)

    def batch(self, rows: NDArray[np.int64], pass_number: int) -> Tensor:
        """Make one batch.

        Args:
            rows: (B,) of the store, in any order.
            pass_number: The epoch in training, the pass in test-time augmentation.

        Returns:
            (B, C, S, S) float32, normalised, channels last, on the device.

        Raises:
            UserError: The view returned arrays of a wrong shape.
        """
        return self._delivered(self._made(rows, pass_number))

    def batches(self, rows: Iterable[NDArray[np.int64]], pass_number: int) -> Iterator[Tensor]:
        """Yield the batch of each entry of `rows`, in order; a thread works two batches ahead."""
        for made in _ahead(lambda some: self._made(some, pass_number), rows, self.waits, self.device):
            yield self._delivered(made)

    def fingerprints(self, rows: NDArray[np.int64], pass_number: int) -> NDArray[np.uint64] | None:
        """Return a number (B,) for how the view shows each image: equal ones for the same pixels in the same places.

        Returns:
            None where that cannot be told: of a view that draws at random, and of one whose functions change pixels.
        """
        keys = self.keys[rows]
        shown = self._shown(rows, keys, pass_number)
        if self.view.effects or self.view.pixels or not np.array_equal(shown, self._shown(rows, ~keys, pass_number)):
            return None
        hashed = (blake2b(row.tobytes(), digest_size=8).digest() for row in shown)
        return np.array([int.from_bytes(each) for each in hashed], np.uint64)

    def view_key(self, pass_number: int) -> str:
        """Return what tells the view from others, whatever the images."""
        aspects = np.geomspace(1 / 4, 4, 17).astype(np.float32)
        maps = self.view.maps(np.zeros(len(aspects), np.uint64), aspects, pass_number)
        return f"{self.view.border} {blake2b(maps.tobytes(), digest_size=8).hexdigest()}"

    def _shown(self, rows: NDArray[np.int64], keys: NDArray[np.uint64], pass_number: int) -> NDArray[np.float32]:
        """Return maps and colours as (B, numbers)."""
        maps, colours = self.view.maps(keys, self.store.aspects[rows], pass_number), self._colours(keys, pass_number)
        _check("maps", maps, (len(rows), 2, 3))
        return np.hstack([each.reshape(len(rows), -1) for each in (maps, colours) if each is not None])

    def _delivered(self, images: Tensor) -> Tensor:
        images = images.to(self.device)
        return self.view.pixels(images) if self.view.pixels else images

    def _made(self, rows: NDArray[np.int64], pass_number: int) -> Tensor:
        """Make a batch on the device, except on Apple's: torch must not use those from two threads at once."""
        keys = self.keys[rows]
        maps = self.view.maps(keys, self.store.aspects[rows], pass_number)
        _check("maps", maps, (len(rows), 2, 3))
        colours = self._colours(keys, pass_number)
        if self.view.effects is None:
            return self._finished(rows, maps, colours)
        images = self.view.effects(self._unfinished(rows, maps), keys, pass_number)
        _check("effects", images, (len(rows), self.store.form.channels, self.size, self.size))
        return normalise_on_device(images, colours, self.config, white=1).contiguous(memory_format=torch.channels_last)

    def _colours(self, keys: NDArray[np.uint64], pass_number: int) -> NDArray[np.float32] | None:
        """Return gain and offset, (B, 2) for red, green and blue, which light changes together, else (B, 2, C).

        Other channels were recorded one by one, and each draws its own.
        """
        if self.view.colours is None:
            return None
        apart = [keys] if self.store.form.channels == 3 else channel_keys(keys, self.store.form.channels)
        each = [self.view.colours(own, pass_number) for own in apart]
        for colours in each:
            _check("colours", colours, (len(keys), 2))
        return each[0] if len(each) == 1 else np.stack(each, axis=2)

    def _finished(
        self, rows: NDArray[np.int64], maps: NDArray[np.float32], colours: NDArray[np.float32] | None
    ) -> Tensor:
        store, aspects, border = self.store, self.store.aspects[rows], self.view.border
        if self.resident is not None:
            places = store.offsets[rows], store.heights[rows], store.widths[rows]
            finish = colour_map(colours, self.config, store.form.white)
            return gather(self.resident, *places, maps, aspects, self.size, border, store.form, finish)
        warped = warp([store.image(int(row)) for row in rows], maps, aspects, self.size, border)
        if self.device.type != "cuda" or store.form.depth == 16:
            return normalise(warped, colours, self.config)
        return normalise_on_device(to_device(warped, self.device).permute(0, 3, 1, 2), colours, self.config)

    def _unfinished(self, rows: NDArray[np.int64], maps: NDArray[np.float32]) -> Tensor:
        """Return the warped images, (B, C, S, S) float32 in [0, 1], on the device."""
        store, aspects, border = self.store, self.store.aspects[rows], self.view.border
        if self.resident is not None:
            places = store.offsets[rows], store.heights[rows], store.widths[rows]
            return gather(self.resident, *places, maps, aspects, self.size, border, store.form) / store.form.white
        warped = warp([store.image(int(row)) for row in rows], maps, aspects, self.size, border)
        images = np.divide(warped, store.form.white, dtype=np.float32)
        return to_device(images, self.device if self.device.type == "cuda" else torch.device("cpu")).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Passes:
    """The same rows under several views, as one stream: a batch may span the end of a pass.

    Attributes:
        passes: (P) the loader of each pass with its number: 0 for the plain pass, from 1 for augmented ones.
        rows: (N,) rows of their stores.
    """

    passes: Sequence[tuple[Loader, int]]
    rows: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Side of the images, px."""
        return self.passes[0][0].size

    @property
    def places(self) -> NDArray[np.int64]:
        """(P N,) all places: place p is row ``rows[p % N]`` in pass ``p // N``."""
        return np.arange(len(self.passes) * len(self.rows))

    def batches(self, places: Sequence[NDArray[np.int64]], pass_number: int) -> Iterator[Tensor]:
        """Yield the batch (B, C, S, S) of each array of places, like `Loader.batches`; `pass_number` is ignored."""
        first = self.passes[0][0]
        for parts in _ahead(self._made, places, first.waits, first.device):
            seen = [loader._delivered(images) for loader, images in parts]
            yield seen[0] if len(seen) == 1 else torch.cat(seen)

    def _made(self, places: NDArray[np.int64]) -> list[tuple[Loader, Tensor]]:
        numbers = places // len(self.rows)
        parts = []
        for own in np.split(places, np.flatnonzero(np.diff(numbers)) + 1):
            loader, pass_number = self.passes[own[0] // len(self.rows)]
            parts.append((loader, loader._made(self.rows[own % len(self.rows)], pass_number)))
        return parts


def place(store: ImageStore, device: torch.device) -> Tensor | None:
    """Copy the store's pixels to `device` if it is a GPU with twice that memory free, else return None."""
    return placed(store, device) if fits_device(len(store.pixels), device) else None


def placed(store: ImageStore, device: torch.device) -> Tensor:
    """Copy the store's pixels to `device`, with the slack that `gather` needs behind them.

    While one piece is being copied to a GPU, the next one is read.
    """
    n, gpu = len(store.pixels), device.type == "cuda"
    flat = torch.empty(n + slack(store.widths, store.form), dtype=torch.uint8, device=device)
    flat[n:] = 0
    pieces = [torch.empty(min(n, _CHUNK), dtype=torch.uint8, pin_memory=gpu) for _ in range(2)]
    copied: list[torch.cuda.Event] = []
    for number, start in enumerate(range(0, n, _CHUNK)):
        if number > 1 and gpu:
            copied[number - 2].synchronize()
        piece = pieces[number % 2][: n - start]
        np.copyto(piece.numpy(), store.pixels[start : start + _CHUNK])
        flat[start : start + len(piece)].copy_(piece, non_blocking=gpu)
        if gpu:
            copied.append(torch.cuda.current_stream(device).record_event())
    return flat


def _ahead(
    make: Callable[[NDArray[np.int64]], Made],
    items: Iterable[NDArray[np.int64]],
    waits: list[float],
    device: torch.device,
) -> Iterator[Made]:
    """Yield ``make(item)`` in order; one thread keeps two results ready.

    An error in `make` is raised where its result is due. Leaving the loop early ends the thread. On a GPU, the thread
    uses the default stream, as the consumer does: work runs in the order of submission, and each may reuse the memory
    of tensors that the other has freed. It pauses while the consumer records graphs (`quiet_loader`).
    """
    made: deque[Future[Made]] = deque()

    def quiet(item: NDArray[np.int64]) -> Made:
        with quiet_loader if device.type == "cuda" else nullcontext():
            return make(item)

    def due() -> Made:
        start = time.perf_counter()
        try:
            return made.popleft().result()
        finally:
            waits.append(time.perf_counter() - start)

    with ThreadPoolExecutor(1, "loader", initializer=use_device, initargs=(device,)) as worker:
        try:
            for item in items:
                made.append(worker.submit(quiet, item))
                if len(made) > 2:
                    yield due()
            while made:
                yield due()
        finally:
            for batch in made:
                batch.cancel()


def _check(what: str, array: NDArray[np.float32] | Tensor, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise UserError(
            f"the view returned {what} of shape {tuple(array.shape)} for a batch of {shape[0]}",
            f"return an array of shape {shape}",
        )
