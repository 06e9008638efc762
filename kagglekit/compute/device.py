"""Device, precision and memory layout of a run, chosen once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from kagglekit.compute.accelerators import check_device, missing_device
from kagglekit.compute.memory import give_back, keep_freed_memory

Precision = Literal["fp32", "bf16", "fp16"]
BATCH = 64  # images of a forward pass without gradients, unless a GPU's number was probed
LEAST = 16  # of them on a CPU, however large they are
PIXELS = BATCH * 224**2  # of a forward pass on a CPU
quiet_loader = threading.Lock()  # held while a batch is made: who holds it is alone with the device
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Format:
    """A precision with a memory layout."""

    precision: Precision
    channels_last: bool

    def __str__(self) -> str:
        return f"{self.precision} {'channels_last' if self.channels_last else 'contiguous'}"

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout in torch's terms."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self, device: torch.device, cached: bool = True) -> AbstractContextManager[Any]:
        """Return the context in which a forward pass runs; `cached` weights are converted once in it."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(device.type, dtype=DTYPES[self.precision], cache_enabled=cached)


@dataclass
class Compute:
    """Device and formats of a run; only `batch` changes during a run.

    Attributes:
        device: Device of the model.
        train: Format of training steps through the body.
        infer: Format of passes through the body without gradients.
        why: How the formats were chosen, for the log.
        train_cost: Time of a training step through all layers, in forward passes for inference; used for estimates of
            the remaining time. None if it could not be measured.
        batch: Images of a forward pass without gradients; halved when the device runs out of memory.
    """

    device: torch.device
    train: Format
    infer: Format
    why: str
    train_cost: float | None = 3.0  # forward, and backward twice as long
    batch: int = BATCH

    def batch_at(self, size: int) -> int:
        """Return how many images of a side, px, a forward pass without gradients takes.

        On a CPU larger images come in smaller batches, so that predictions at a large size need less memory than
        training at a small one.
        """
        if self.device.type != "cpu":
            return self.batch
        fitting = 1 << max(LEAST.bit_length(), (PIXELS // max(size, 1) ** 2).bit_length()) - 1
        return min(self.batch, fitting)


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; ``auto`` prefers CUDA, then Apple's GPU, then the CPU.

    Of several GPUs, the named one becomes this thread's current device: otherwise calls that name no device (pinned
    memory, supported precisions) would create a context on the first GPU. On the CPU, this process keeps freed memory.

    Raises:
        UserError: This machine has no such device.
    """
    check_device(name)
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    device = torch.device(next(kind for kind, there in found.items() if there) if name == "auto" else name)
    there = found.get(device.type, False)
    if not there or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise missing_device(name, ", ".join(kind for kind, is_there in found.items() if is_there))
    use_device(device)
    if device.type == "cpu":
        keep_freed_memory()
    return device


def use_device(device: torch.device) -> None:
    """Make a GPU the current device of the calling thread."""
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)


@contextmanager
def chosen_algorithms(deterministic: bool) -> Iterator[None]:
    """Let torch use only deterministic algorithms in the block, if `deterministic`.

    Otherwise cuDNN benchmarks its convolutions once for each shape; all batches of a stage have one shape. And cuBLAS
    rounds the factors of float32 products to TF32, as cuDNN does by default; a CPU's products do not change. cuBLAS
    reads its setting when a process first uses it.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    tf32 = torch.backends.cuda.matmul.allow_tf32
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cuda.matmul.allow_tf32 = not deterministic
    try:
        yield
    finally:
        if torch.are_deterministic_algorithms_enabled() != before[0]:  # or torch loads its compiler, for 2 s
            torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
        torch.backends.cuda.matmul.allow_tf32 = tf32


@contextmanager
def without_search() -> Iterator[None]:
    """Let cuDNN choose its kernels by rules in the block, as a probe of shapes that are not used later should.

    Its search runs every kernel of every layer once for each new shape.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def device_title(device: torch.device) -> str:
    """Return the name of the hardware, for messages and run.json."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({_threads(torch.get_num_threads())})" if device.type == "cpu" else device.type


def _threads(n: int) -> str:
    return f"{n} thread{'s' * (n != 1)}"


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the random generators of the device.

    torch.manual_seed would also queue a call, with a stack trace, for every kind of device that is not in use. That is
    too slow for each step, and the queue would never be emptied.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def free_bytes(device: torch.device) -> int:
    """Return the free memory of the device, bytes; 0 for one that shares the CPU's.

    The cache of torch's allocator (from a probe, or another size's store) is released first, since it counts as used.
    """
    if device.type != "cuda":
        return 0
    give_back()
    return int(torch.cuda.mem_get_info(device)[0])


def to_device(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """Copy an array to a device without waiting for the copy to finish."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def all_to_device(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    """Copy arrays to a device in one transfer, without waiting for it; return tensors of their types and shapes."""
    kept = [np.ascontiguousarray(array) for array in arrays]
    ends = np.cumsum([-(-array.nbytes // 16) * 16 for array in kept])  # aligned for any type
    sent = torch.empty(int(ends[-1]) if kept else 0, dtype=torch.uint8, pin_memory=device.type == "cuda")
    packed = sent.numpy()
    places = [slice(start, start + array.nbytes) for start, array in zip((0, *ends), kept, strict=False)]
    for place, array in zip(places, kept, strict=True):
        packed[place] = array.reshape(-1).view(np.uint8)
    there = sent.to(device, non_blocking=True)
    types = [torch.from_numpy(array[:0]).dtype for array in kept]
    return [there[place].view(dtype).view(array.shape) for place, dtype, array in zip(places, types, kept, strict=True)]
