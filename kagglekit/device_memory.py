"""What is done where a device's memory does not suffice. The one place that knows how torch says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kagglekit.errors import UserError

_WORDS = (
    "MPS backend out of memory",
    "DefaultCPUAllocator: can't allocate memory",
)  # torch has a class for CUDA's alone


def is_full(error: RuntimeError) -> bool:
    """Return whether an error says that a device's memory does not suffice."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _WORDS)


def give_back() -> None:
    """Give back the memory that torch keeps for later."""
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
