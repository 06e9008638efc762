"""What a stack of heads reads: features of the frozen network, computed once and kept beside the images.

The folds of a cross-validation, other seeds and later runs of the same network take them from there.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import blake2b
from importlib.metadata import version

import numpy as np
import torch
from filelock import Timeout
from numpy.typing import NDArray
from torch import Tensor, nn

from kagglekit._version import __version__
from kagglekit.compute.device import BATCH
from kagglekit.compute.forward import predict_pass
from kagglekit.compute.heads.frozen_features import FrozenFeatures
from kagglekit.compute.heads.stacked_head import StackForm
from kagglekit.compute.network import head_module
from kagglekit.images.feature_file import FeatureFile
from kagglekit.images.loader import Loader
from kagglekit.images.make_room import LEAST_FREE
from kagglekit.images.store import ENTRIES
from kagglekit.training.context import RunContext
from kagglekit.types.stage import Stage

FORMAT = 1
CHECKED = 16  # images whose features are computed again and compared: the code of a network may have changed


def keeps(context: RunContext, stage: Stage) -> bool:
    """Return whether the features that a stage's stack reads are kept.

    Not of weights that the run has trained, which no other run has; nor on a GPU, where they take seconds and differ in
    their last digits each time; nor by several processes, each of which computes a part.
    """
    first = context.stage(context.stages[0])
    return stage == first and context.compute.device.type == "cpu" and not context.ranks.several


@dataclass(frozen=True)
class Asked:
    """Images whose features are asked for.

    Attributes:
        loader: Of the images.
        pass_number: Of the view.
        rows: (N,) of the loader's store.
        title: For people.
    """

    loader: Loader
    pass_number: int
    rows: NDArray[np.int64]
    title: str

    @cached_property
    def seen(self) -> NDArray[np.uint64] | None:
        """(N,) how each image is seen; None if its features cannot be kept: streamed images have no folder."""
        if not len(self.rows) or not (self.loader.store.folder / ENTRIES).exists():
            return None
        return self.loader.fingerprints(self.rows, self.pass_number)


@dataclass(frozen=True)
class StackFeatures:
    """Features of a run's frozen network.

    Attributes:
        context: The run, whose network has the weights.
        network: The same network, folded.
        form: Of the stack.
        kept: From `keeps`.
    """

    context: RunContext
    network: FrozenFeatures
    form: StackForm
    kept: bool

    def n_known(self, asked: Asked) -> int:
        """Return how many of the images have features already."""
        if not self.kept or asked.seen is None:
            return 0
        return int((~self._file(asked).missing(asked.rows, asked.seen)).sum())

    def parts(self, asked: Asked) -> Iterator[Tensor]:
        """Yield the features (B, D) float32, on the CPU if they are kept, of the images in order."""
        file = self._completed(asked) if self.kept else None
        if file is None:
            yield from self._computed(asked, asked.rows)
            return
        for start in range(0, len(asked.rows), BATCH):
            rows = asked.rows[start : start + BATCH]
            features = file.read(rows)
            yield torch.cat(list(self._passed(asked, rows))) if features is None else torch.from_numpy(features)

    def _completed(self, asked: Asked) -> FeatureFile | None:
        """Return the file that has all images' features; None if it cannot be written."""
        if asked.seen is None:
            return None
        file = self._file(asked)
        if not file.missing(asked.rows, asked.seen).any() and not self._differs(asked, file, asked.rows):
            return file
        folder = asked.loader.store.folder
        if shutil.disk_usage(folder).free < 4 * len(asked.loader.store) * self.form.columns.width + LEAST_FREE:
            return None
        with ExitStack() as stack:
            try:
                stack.enter_context(self._locked(file, asked))
                write = stack.enter_context(file.writing())
            except OSError:  # a cache that is read-only, or has no room
                return None
            missing = file.missing(asked.rows, asked.seen)
            if self._differs(asked, file, asked.rows[~missing]):
                self.context.display.report(f"{asked.title}: those of an earlier run differ: all are computed anew")
                file.forget()
                missing[:] = True
            rows, seen, at = asked.rows[missing], asked.seen[missing], 0
            for part in self._computed(asked, rows):
                write(rows[at : at + len(part)], seen[at : at + len(part)], part.numpy())
                at += len(part)
        return file

    def _file(self, asked: Asked) -> FeatureFile:
        loader, form = asked.loader, self.form
        depends = [FORMAT, __version__, *(version(name) for name in ("torch", "timm")), self._weights_key]
        depends += [form.sizes, [asdict(tap) for tap in form.taps], asdict(self.context.compute.infer)]
        depends += [asdict(loader.config), loader.size, asked.pass_number, loader.view_key(asked.pass_number)]
        key = blake2b(json.dumps(depends).encode(), digest_size=8).hexdigest()
        return FeatureFile(loader.store.folder, key, len(loader.store), form.columns.width)

    @cached_property
    def _weights_key(self) -> str:
        return weights_key(self.context.model, head_module(self.context.model, self.context.groups)[0])

    @contextmanager
    def _locked(self, file: FeatureFile, asked: Asked) -> Iterator[None]:
        """Hold a file's lock; while another process computes the same, as another fold may, wait for it."""
        try:
            file.lock.acquire(timeout=0)
        except Timeout:
            with self.context.display.status(f"{asked.title}: another process computes them"):
                file.lock.acquire()
        try:
            yield
        finally:
            file.lock.release()

    def _differs(self, asked: Asked, file: FeatureFile, known: NDArray[np.int64]) -> bool:
        """Return whether the network computes anything else for some of the known images than the file has."""
        some = known[np.unique(np.linspace(0, len(known) - 1, CHECKED).astype(int))] if len(known) else known
        found = file.read(some) if len(some) else None
        if found is None:
            return bool(len(some))
        return not np.array_equal(found, torch.cat(list(self._passed(asked, some))).numpy(), equal_nan=True)

    def _computed(self, asked: Asked, rows: NDArray[np.int64]) -> Iterator[Tensor]:
        """Yield the features of rows, with a bar."""
        context, began = self.context, time.perf_counter()
        cost = float(context.ranks.world * sum(size**2 for size in self.form.sizes))
        with context.display.bar(asked.title, len(rows)) as bar, context.recorded_batch():
            for part in self._passed(asked, rows):
                context.count_step(len(part) * cost, began)
                yield part
                bar.advance(len(part))
                began = time.perf_counter()

    def _passed(self, asked: Asked, rows: NDArray[np.int64]) -> Iterator[Tensor]:
        return predict_pass(self.network, asked.loader, rows, asked.pass_number, self.context.compute, _same)


def _same(features: Tensor) -> Tensor:
    return features


def weights_key(model: nn.Module, head: str) -> str:
    """Return a hash of all numbers of a network but the head's.

    Args:
        model: The network.
        head: Name of its head, see `head_module`.
    """
    hashed = blake2b(type(model).__qualname__.encode(), digest_size=16)
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if not name.startswith(f"{head}."):
            hashed.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            hashed.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return hashed.hexdigest()
