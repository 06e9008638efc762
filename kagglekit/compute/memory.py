"""What is done with a device's memory: kept, given back, and what follows where it does not suffice."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import torch

from kagglekit.system.errors import UserError

_WORDS = (
    "MPS backend out of memory",
    "DefaultCPUAllocator: can't allocate memory",
)  # torch has a class for CUDA's alone


def is_full(error: RuntimeError) -> bool:
    """Return whether an error says that a device's memory does not suffice."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _WORDS)


# glibc's numbers of its parameters (mallopt(3)), with what a run sets them to, and with what it leaves
_KEEPING = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1), "M_TOP_PAD": (-2, 1 << 26)}
_LEFT = {
    "M_MMAP_MAX": (-4, 1 << 16),
    "M_MMAP_THRESHOLD": (-3, 1 << 25),
    "M_TRIM_THRESHOLD": (-1, 1 << 26),
    "M_TOP_PAD": (-2, 1 << 17),
}
_keeping = False  # whether this process was told to


def keep_freed_memory() -> None:
    """Let this process keep the memory that a step on the CPU frees, for the next step.

    glibc gives large blocks back to the system, which clears each page again when it is next touched: that took half
    of the time of a training step of mobilenetv2_100 at 160 px (2 cores, batch 64). Other C libraries are left as they
    are, and so is glibc where the user has set it: by its variables, or by ``glibc.malloc`` in its tunables.
    """
    global _keeping
    chosen = any(name.startswith("MALLOC_") for name in os.environ)
    if not chosen and "glibc.malloc." not in os.environ.get("GLIBC_TUNABLES", ""):
        _set_glibc(_KEEPING)
        _keeping = True


@contextmanager
def memory_returned() -> Iterator[None]:
    """Leave no memory in use that the block needed, and most of what is freed later not kept in this process.

    glibc adjusts its thresholds itself until they are set for the first time, and can't be told to do so again: it is
    left with those at which that ends (malloc.c: ``DEFAULT_MMAP_THRESHOLD_MAX``), and its other parameters' defaults.
    Where other mappings keep the heap from shrinking, what it has grown to serves large blocks first, and is kept.
    """
    global _keeping
    try:
        yield
    finally:
        if _keeping:
            _set_glibc(_LEFT)
            _keeping = False
        give_back()


def _set_glibc(parameters: Mapping[str, tuple[int, int]]) -> None:
    if sys.platform == "linux":
        with suppress(AttributeError):  # not glibc
            for parameter, value in parameters.values():
                ctypes.CDLL(None).mallopt(parameter, value)


def give_back() -> None:
    """Give back the memory that torch and the C library keep for later."""
    if sys.platform == "linux":
        with suppress(AttributeError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)
    torch.cuda.empty_cache()  # without a GPU in use it does nothing
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


@contextmanager
def explain_memory_errors(device: torch.device, what: str, hint: str) -> Iterator[None]:
    """Say it where the device's memory does not hold what the block does.

    Raises:
        UserError: It does not.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_full(error):
            raise
        raise UserError(f"the memory of {device} does not hold {what}", hint) from error
