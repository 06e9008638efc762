"""Predictions of one set of weights: plain, and averaged over the views of test-time augmentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kagglekit.device import Compute
from kagglekit.device_memory import memory_told

BATCH = 64  # images a forward pass; a fixed number, so that results do not depend on a choice


class Batches(Protocol):
    """Where a network's inputs come from: images under a view, or cached activations."""

    def batches(self, rows: Sequence[NDArray[np.int64]], turn: int) -> Iterator[Tensor]:
        """Yield the inputs of each array of rows; `turn` is the epoch (from 0), or the pass of a prediction."""


@torch.no_grad()
def predict_pass(
    model: nn.Module,
    images: Batches,
    rows: NDArray[np.int64],
    turn: int,
    compute: Compute,
    batch: int = BATCH,
) -> Iterator[Tensor]:
    """Yield class probabilities, float32 (B, C) on the CPU, for `rows` in order.

    The last batch is filled up with repeated images, so that every image goes through kernels of one shape and
    its result does not depend on how many others there are.

    Args:
        model: Logits (B, C); put into eval mode.
        images: Where its inputs come from.
        rows: (N,) rows of `images`.
        turn: 0 for the plain view, k for pass k of test-time augmentation.
        compute: Device and format.
        batch: Images a forward pass.

    Raises:
        UserError: The device's memory does not hold them.
    """
    model.eval()
    chunks = [rows[i : i + batch] for i in range(0, len(rows), batch)]
    padded = [np.resize(chunk, batch) for chunk in chunks]
    before: Fetched | None = None
    for chunk, inputs in zip(chunks, images.batches(padded, turn), strict=True):
        formatted = inputs.contiguous(memory_format=compute.infer.memory_format)
        what, hint = f"{batch} images to predict", "let nothing else use it, or choose a smaller --size or --arch"
        with memory_told(compute.device, what, hint), compute.infer.autocast(compute.device):
            logits = model(formatted)
        fetched = Fetched(logits.float().softmax(1)[: len(chunk)])
        if before:
            yield before.tensor()
        before = fetched
    if before:
        yield before.tensor()


class Fetched:
    """A tensor on its way from the device to the CPU: a GPU gets its next work before this copy is waited for."""

    def __init__(self, result: Tensor) -> None:
        gpu = result.device.type == "cuda"
        self._copy = result.to("cpu", non_blocking=gpu)  # into pinned memory, behind the work that makes it
        self._done = torch.cuda.current_stream(result.device).record_event() if gpu else None

    def tensor(self) -> Tensor:
        """Return it on the CPU, when it is there."""
        if self._done:
            self._done.synchronize()
        return self._copy


def mean_over_passes(passes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Average the probabilities (N, C) of several passes, in float64, each as heavy as the others."""
    mean: NDArray[np.float64] = np.mean([p.astype(np.float64) for p in passes], axis=0)
    return mean.astype(np.float32)
