"""What a stack of heads reads: features of the frozen network, computed once and kept beside the images.

The folds of a cross-validation, other seeds and later runs of the same network take them from there.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from importlib.metadata import version

import numpy as np
import torch
from filelock import Timeout
from numpy.typing import NDArray
from torch import Tensor, nn

from kagglekit.compute.device import BATCH
from kagglekit.compute.forward import predict_pass
from kagglekit.compute.frozen_features import FrozenFeatures
from kagglekit.images.feature_file import FeatureFile
from kagglekit.images.loader import Loader
from kagglekit.images.store import ENTRIES
from kagglekit.training.context import RunContext

FORMAT = 1
CHECKED = 16  # images whose features are computed again and compared: the code of a network may have changed
CLOSE = 0.02  # relative difference of these on a GPU, which chooses other kernels each time; on a CPU they are equal
SPARE = 1e9  # bytes of the disk that stay free


@dataclass
class StackFeatures:
    """Features of a frozen network for images of one store under one view.

    Attributes:
        context: The run.
        network: The network, folded.
        width: D, the number of its features.
        weights: From `weights_key`.
        loader: Of the images.
        pass_number: Of the view.
        title: For the bar.
        n_known: How many of the images asked for were there.
    """

    context: RunContext
    network: FrozenFeatures
    width: int
    weights: str
    loader: Loader
    pass_number: int
    title: str
    n_known: int = 0

    def parts(self, rows: NDArray[np.int64]) -> Iterator[Tensor]:
        """Yield the features (B, D) float32, on the CPU, of rows of the store in order."""
        seen = self._seen(rows)
        file = None if seen is None else self._completed(rows, seen)
        if file is None:
            yield from self._computed(rows)
            return
        for start in range(0, len(rows), BATCH):
            yield torch.from_numpy(file.read(rows[start : start + BATCH]))

    def n_missing(self, rows: NDArray[np.int64]) -> int:
        """Return how many of the images have to be computed."""
        seen = self._seen(rows)
        return len(rows) if seen is None else int(self._file().missing(rows, seen).sum())

    def _seen(self, rows: NDArray[np.int64]) -> NDArray[np.uint64] | None:
        """Return how each image is seen; None if its features are not kept."""
        store = self.loader.store
        if self.context.ranks.several or not len(rows) or not (store.folder / ENTRIES).exists():
            return None  # several processes compute parts; streamed images have no folder
        if shutil.disk_usage(store.folder).free < 4 * len(store) * self.width + SPARE:
            return None
        return self.loader.fingerprints(rows, self.pass_number)

    def _file(self) -> FeatureFile:
        compute, loader, network = self.context.compute, self.loader, self.network
        device = torch.cuda.get_device_name(compute.device) if compute.device.type == "cuda" else compute.device.type
        depends = [FORMAT, self.weights, device, asdict(compute.infer), asdict(loader.config), loader.size]
        depends += [network.sizes, [asdict(tap) for tap in network.taps], self.pass_number]
        depends += [loader.view_key(self.pass_number), *(version(name) for name in ("torch", "timm"))]
        key = blake2b(json.dumps(depends).encode(), digest_size=8).hexdigest()
        return FeatureFile(loader.store.folder, key, len(loader.store), self.width)

    def _completed(self, rows: NDArray[np.int64], seen: NDArray[np.uint64]) -> FeatureFile | None:
        """Return the file that has all images' features; None if it cannot be written."""
        file = self._file()
        try:
            with self._alone(file):
                missing = file.missing(rows, seen)
                if self._differs(file, rows[~missing]):
                    missing[:] = True
                self.n_known = int((~missing).sum())
                if not missing.any():
                    return file
                with file.writing() as write:
                    at = 0
                    for part in self._computed(rows[missing]):
                        now = slice(at, at := at + len(part))
                        write(rows[missing][now], seen[missing][now], part.numpy())
        except OSError:  # the disk is full, or the cache is read-only
            return None
        return file

    @contextmanager
    def _alone(self, file: FeatureFile) -> Iterator[None]:
        """Hold the file's lock; while another process computes the same, as another fold may, wait for it."""
        try:
            file.lock.acquire(timeout=0)
        except Timeout:
            with self.context.display.status(f"{self.title}: another process computes them"):
                file.lock.acquire()
        try:
            yield
        finally:
            file.lock.release()

    def _differs(self, file: FeatureFile, rows: NDArray[np.int64]) -> bool:
        """Return whether the network computes something else for the first of the known images than is known."""
        some = rows[:CHECKED]
        if not len(some):
            return False
        known, now = file.read(some), torch.cat(list(self._passed(some))).numpy()
        if self.context.compute.device.type == "cpu":
            differs = not np.array_equal(known, now, equal_nan=True)
        else:
            differs = bool(np.linalg.norm(known - now) > CLOSE * np.linalg.norm(now))
        if differs:
            self.context.display.report(f"{self.title}: those of an earlier run differ, so all are computed anew")
        return differs

    def _computed(self, rows: NDArray[np.int64]) -> Iterator[Tensor]:
        """Yield the features of rows, with a bar."""
        cost, began = float(sum(size**2 for size in self.network.sizes)), time.perf_counter()
        world = self.context.ranks.world
        with self.context.display.bar(self.title, len(rows)) as bar, self.context.recorded_batch():
            for part in self._passed(rows):
                self.context.count_step(world * len(part) * cost, began)
                yield part
                bar.advance(len(part))
                began = time.perf_counter()

    def _passed(self, rows: NDArray[np.int64]) -> Iterator[Tensor]:
        return predict_pass(self.network, self.loader, rows, self.pass_number, self.context.compute, _same)


def _same(features: Tensor) -> Tensor:
    return features


def weights_key(model: nn.Module, head: str) -> str:
    """Return a hash of all numbers of a network but the head's.

    Args:
        model: The network.
        head: Name of its head, see `head_module`.
    """
    hashed = blake2b(type(model).__qualname__.encode(), digest_size=16)
    for name, value in model.state_dict().items():
        if not name.startswith(f"{head}."):
            hashed.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            hashed.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return hashed.hexdigest()
