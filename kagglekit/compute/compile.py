"""Check that torch.compile works here, and explain its errors; on a GPU it uses CUDA graphs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor

from kagglekit.system.errors import UsageError, UserError, unknown

Compile = Literal["auto", "off", "on"]
WARM_UP = 3  # calls until a step's CUDA graphs are recorded and replayed


def check_compile(asked: str, device: torch.device) -> None:
    """Check the choice of `--compile`; for ``on``, compile a small function.

    Raises:
        UsageError: There is no such choice.
        UserError: Compiling fails, for example without a C++ compiler.
    """
    if asked not in get_args(Compile):
        raise UsageError(unknown("compile", asked, get_args(Compile)))
    if asked != "on":
        return
    if device.type == "mps":
        raise UserError("torch.compile has not been tested on Apple's GPUs", "use --compile auto")
    with explain_compile_errors():
        torch.compile(_small_function)(torch.ones(8, device=device))


def _small_function(numbers: Tensor) -> Tensor:
    return numbers.sin() * 2 + 1


@contextmanager
def explain_compile_errors() -> Iterator[None]:
    """Turn errors of torch's compiler into messages.

    Raises:
        UserError: Compiling failed.
    """
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "triton")):
            raise
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(
            f"torch.compile failed: {reason}",
            "install a C++ compiler (g++ or $CXX), on a GPU also triton and a C compiler; or use --compile off",
        ) from error
