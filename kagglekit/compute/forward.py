"""Forward passes without gradients, in batches that shrink when memory is short."""

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

FILLED = 16  # images: on a CPU, batches of a multiple of this are as fast per image as full ones


class Batches(Protocol):
    """A source of a network's inputs: images under a view, or cached activations.

    Attributes:
        size: Side of the images, px; 0 for activations.
    """

    @property
    def size(self) -> int: ...  # noqa: D102

    def batches(self, rows: Sequence[NDArray[np.int64]], pass_number: int) -> Iterator[Tensor]:
        """Yield the inputs for each array of rows; `pass_number` is the epoch (from 0) or the pass of a prediction."""


def predict_pass(
    model: nn.Module,
    images: Batches,
    rows: NDArray[np.int64],
    pass_number: int,
    compute: Compute,
    activate: Callable[[Tensor], Tensor],
) -> Iterator[Tensor]:
    """Yield predictions, float32 (B, C) on the CPU, for `rows` in order.

    The last batch is padded with repeated images (see `batches_of`), so that an image's result does not depend on the
    number of images.

    Args:
        model: Returns outputs (B, C); it is put into eval mode.
        images: The source of its inputs.
        rows: (N,) rows of `images`.
        pass_number: 0 for the plain view, k for pass k of test-time augmentation.
        compute: Device, format and images of a forward pass; this number is halved when the device runs out of memory.
        activate: Turns outputs (B, C) float32 into predictions, see `kagglekit.tasks.task.Task.activate`.
    """
    model.eval()
    yield from halving(lambda left: _predicted(model, images, left, pass_number, compute, activate), rows, compute)


def halving(
    passed: Callable[[NDArray[np.int64]], Iterator[Tensor]], rows: NDArray[np.int64], compute: Compute
) -> Iterator[Tensor]:
    """Yield the results of `passed` for `rows`; when the device runs out of memory, continue with half the batch.

    Raises:
        UserError: Not even one image fits.
    """
    done, hint = 0, "stop other programs that use it, or choose a smaller --size or --arch"
    while done < len(rows):
        try:
            with (
                explain_memory_errors(compute.device, "not even one image fits for prediction", hint)
                if compute.batch == 1
                else nullcontext()
            ):
                for part in passed(rows[done:]):
                    done += len(part)
                    yield part
        except RuntimeError as error:
            if not is_full(error):
                raise
        if done < len(rows):  # only here: before, the error's frames still hold the batch
            compute.batch //= 2
            give_back()


def batches_of(
    images: Batches, rows: NDArray[np.int64], pass_number: int, compute: Compute
) -> Iterator[tuple[Tensor, int]]:
    """Yield the inputs of batches, in the inference format, each with its number of rows before the padding.

    A GPU gets full batches only, since cuDNN benchmarks its kernels for each new shape. On a CPU a repeated image costs
    as much as any other, so batches are a multiple of `FILLED`. On all CPUs tested, the bytes equal those of full
    batches.
    """
    batch = compute.batch_at(images.size)
    filled = min(batch, FILLED) if compute.device.type == "cpu" else batch
    chunks = [rows[i : i + batch] for i in range(0, len(rows), batch)]
    padded = [np.resize(chunk, -(-len(chunk) // filled) * filled) for chunk in chunks]
    for chunk, inputs in zip(chunks, images.batches(padded, pass_number), strict=True):
        yield inputs.contiguous(memory_format=compute.infer.memory_format), len(chunk)


@torch.no_grad()
def _predicted(
    model: nn.Module,
    images: Batches,
    rows: NDArray[np.int64],
    pass_number: int,
    compute: Compute,
    activate: Callable[[Tensor], Tensor],
) -> Iterator[Tensor]:
    before: Fetched | None = None
    for inputs, n in batches_of(images, rows, pass_number, compute):
        with compute.infer.autocast(compute.device):
            outputs = model(inputs)
        fetched = Fetched(activate(outputs.float())[:n])
        if before:
            yield before.tensor()
        before = fetched
    if before:
        yield before.tensor()


class Fetched:
    """A tensor that is being copied to the CPU; a GPU receives its next work before anyone waits for the copy."""

    def __init__(self, result: Tensor) -> None:
        gpu = result.device.type == "cuda"
        self._copy = result.to("cpu", non_blocking=gpu)  # into pinned memory, behind the work that makes it
        self._done = torch.cuda.current_stream(result.device).record_event() if gpu else None

    def tensor(self) -> Tensor:
        """Wait for the copy and return the tensor on the CPU."""
        if self._done:
            self._done.synchronize()
        return self._copy
