"""Compiled training steps: torch.compile, with CUDA graphs on a GPU."""

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
    """Check that steps can be compiled, by compiling something small, where they are to be in any case.

    Raises:
        UsageError: There is no such choice.
        UserError: They can't be, for example without a C++ compiler.
    """
    if asked not in get_args(Compile):
        raise UsageError(unknown("compile", asked, get_args(Compile)))
    if asked != "on":
        return
    if device.type == "mps":
        raise UserError("compiled steps have not been tried on Apple's GPUs", "use --compile auto")
    with explain_compile_errors():
        torch.compile(_something)(torch.ones(8, device=device))


def _something(numbers: Tensor) -> Tensor:
    return numbers.sin() * 2 + 1


@contextmanager
def explain_compile_errors() -> Iterator[None]:
    """Word what goes wrong in torch's compiler.

    Raises:
        UserError: Something did.
    """
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "triton")):
            raise
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(
            f"torch.compile failed: {reason}",
            "it needs a C++ compiler (g++, or what $CXX names), on a GPU triton and a C compiler; or use --compile off",
        ) from error
