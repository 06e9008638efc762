"""Predictions of one set of weights: plain, and averaged over the views of test-time augmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kagglekit.compute.device import Compute
from kagglekit.compute.memory import explain_memory_errors, give_back, is_full

FILLED = 16  # images: batches of a multiple of this are as fast as full ones on a CPU


class Batches(Protocol):
    """Where a network's inputs come from: images under a view, or cached activations."""

    def batches(self, rows: Sequence[NDArray[np.int64]], pass_number: int) -> Iterator[Tensor]:
        """Yield the inputs of each array of rows; `pass_number` is the epoch (from 0), or the pass of a prediction."""


def predict_pass(
    model: nn.Module, images: Batches, rows: NDArray[np.int64], pass_number: int, compute: Compute
) -> Iterator[Tensor]:
    """Yield class probabilities, float32 (B, C) on the CPU, for `rows` in order.

    The last batch is filled up with repeated images (see `batches_of`), so that an image's result does not depend on
    how many others there are.

    Args:
        model: Logits (B, C); put into eval mode.
        images: Where its inputs come from.
        rows: (N,) rows of `images`.
        pass_number: 0 for the plain view, k for pass k of test-time augmentation.
        compute: Device, format and images of a forward pass; that number is halved where the device's memory does not
            hold them.
    """
    model.eval()
    yield from halving(lambda left: _predicted(model, images, left, pass_number, compute), rows, compute)


def halving(
    passed: Callable[[NDArray[np.int64]], Iterator[Tensor]], rows: NDArray[np.int64], compute: Compute
) -> Iterator[Tensor]:
    """Yield what `passed` does of `rows`; where the device's memory does not hold a batch, go on with half of it.

    Raises:
        UserError: It does not hold one image.
    """
    done, hint = 0, "let nothing else use it, or choose a smaller --size or --arch"
    while done < len(rows):
        try:
            with (
                explain_memory_errors(compute.device, "one image to predict", hint)
                if compute.batch == 1
                else nullcontext()
            ):
                for part in passed(rows[done:]):
                    done += len(part)
                    yield part
        except RuntimeError as error:
            if not is_full(error):
                raise
        if done < len(rows):  # only here is nothing of the batch held any more, by the error's frames
            compute.batch //= 2
            give_back()


def batches_of(
    images: Batches, rows: NDArray[np.int64], pass_number: int, compute: Compute
) -> Iterator[tuple[Tensor, int]]:
    """Yield the inputs of batches, in the inference format, and how many of each are not repeated ones.

    A GPU gets full batches only: cuDNN times its kernels for each shape it meets. A CPU, where a repeated image takes
    as long as any other, gets a multiple of `FILLED`: on those tried to the same bytes as full batches.
    """
    batch = compute.batch
    filled = min(batch, FILLED) if compute.device.type == "cpu" else batch
    chunks = [rows[i : i + batch] for i in range(0, len(rows), batch)]
    padded = [np.resize(chunk, -(-len(chunk) // filled) * filled) for chunk in chunks]
    for chunk, inputs in zip(chunks, images.batches(padded, pass_number), strict=True):
        yield inputs.contiguous(memory_format=compute.infer.memory_format), len(chunk)


@torch.no_grad()
def _predicted(
    model: nn.Module, images: Batches, rows: NDArray[np.int64], pass_number: int, compute: Compute
) -> Iterator[Tensor]:
    before: Fetched | None = None
    for inputs, n in batches_of(images, rows, pass_number, compute):
        with compute.infer.autocast(compute.device):
            logits = model(inputs)
        fetched = Fetched(logits.float().softmax(1)[:n])
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
