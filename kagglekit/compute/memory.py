"""Memory of the device: keep it, give it back, recognise and explain out-of-memory errors."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import torch

from kagglekit.system.errors import UserError

_MESSAGES = re.compile(
    "MPS backend out of memory|"
    "DefaultCPUAllocator: (can't allocate|not enough) memory|"
    "could not create a primitive(?! descriptor)"  # oneDNN's, which says "descriptor" of what it does not support
)  # torch has a class for CUDA's alone


def is_full(error: RuntimeError) -> bool:
    """Return whether an error says that the device is out of memory."""
    return isinstance(error, torch.OutOfMemoryError) or bool(_MESSAGES.search(str(error)))


# numbers of glibc's parameters (mallopt(3)), with their values during a run and after it
_KEEPING = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1), "M_TOP_PAD": (-2, 1 << 26)}
_LEFT = {
    "M_MMAP_MAX": (-4, 1 << 16),
    "M_MMAP_THRESHOLD": (-3, 1 << 25),
    "M_TRIM_THRESHOLD": (-1, 1 << 26),
    "M_TOP_PAD": (-2, 1 << 17),
}
_keeping = False  # whether this process keeps freed memory now


def keep_freed_memory() -> None:
    """Let this process keep the memory that a step on the CPU frees, for the next step.

    glibc returns large blocks to the system, which clears each page again at its next use. That took half of the time
    of a training step of mobilenetv2_100 at 160 px (2 cores, batch 64). Other C libraries are left unchanged. So is
    glibc if the user has configured it, by its variables or by ``glibc.malloc`` in its tunables.
    """
    global _keeping
    chosen = any(name.startswith("MALLOC_") for name in os.environ)
    if not chosen and "glibc.malloc." not in os.environ.get("GLIBC_TUNABLES", ""):
        _set_glibc(_KEEPING)
        _keeping = True


@contextmanager
def memory_returned() -> Iterator[None]:
    """Return the memory that the block used, and let the process return most of what it frees later.

    glibc adapts its thresholds until they are first set, and cannot be made to adapt again. They are left at the end of
    their range (malloc.c: ``DEFAULT_MMAP_THRESHOLD_MAX``), its other parameters at their defaults. If other mappings
    keep the heap from shrinking, the grown heap is kept and serves large blocks first.
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
    """Return the memory that torch and the C library cache."""
    if sys.platform == "linux":
        with suppress(AttributeError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)
    torch.cuda.empty_cache()  # without a GPU in use it does nothing
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


@contextmanager
def explain_memory_errors(device: torch.device, what: str, hint: str) -> Iterator[None]:
    """Turn out-of-memory errors of the block into a message; `what` says what does not fit.

    Raises:
        UserError: The device is out of memory.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_full(error):
            raise
        raise UserError(f"out of memory on {device}: {what}", hint) from error
