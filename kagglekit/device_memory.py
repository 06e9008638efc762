"""What is done with a device's memory: kept, given back, and what follows where it does not suffice."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from kagglekit.errors import UserError

_WORDS = (
    "MPS backend out of memory",
    "DefaultCPUAllocator: can't allocate memory",
)  # torch has a class for CUDA's alone


def is_full(error: RuntimeError) -> bool:
    """Return whether an error says that a device's memory does not suffice."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _WORDS)


_KEEPING = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1), "M_TOP_PAD": (-2, 1 << 26)}  # glibc's numbers


def keep_freed_memory() -> None:
    """Let this process keep the memory that a step on the CPU frees, for the next step.

    glibc gives large blocks back to the system, which clears each page again when it is next touched: that took half
    of the time of a training step of mobilenetv2_100 at 160 px (2 cores, batch 64). Other C libraries are left as they
    are, and so is glibc where the user has set its variables.
    """
    if sys.platform == "linux" and not any(name.startswith("MALLOC_") for name in os.environ):
        with suppress(AttributeError):  # not glibc
            for parameter, value in _KEEPING.values():
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
def memory_told(device: torch.device, what: str, hint: str) -> Iterator[None]:
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
