"""Compiled training steps: torch.compile, with CUDA graphs on a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from kagglekit.device import synchronise
from kagglekit.errors import UsageError, UserError, unknown

if TYPE_CHECKING:
    from kagglekit.train import Fit

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
    with worded():
        torch.compile(_something)(torch.ones(8, device=device))


def _something(numbers: Tensor) -> Tensor:
    return numbers.sin() * 2 + 1


@contextmanager
def worded() -> Iterator[None]:
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


def compiled(fit: Fit, batch: int) -> tuple[Callable[[Tensor], Tensor], float]:
    """Compile the forward and backward pass of a stage's steps on images.

    The weights stay where they are: the model is saved, loaded and validated as ever.

    Args:
        fit: What the stage trains with, its modules in their modes.
        batch: Images a step.

    Returns:
        What to call in the model's place, and how long it took, s.

    Raises:
        UserError: It can't be compiled.
        torch.OutOfMemoryError: The memory does not hold a step with what the graphs keep.
    """
    began, device = time.perf_counter(), fit.compute.device
    torch.compiler.reset()  # earlier stages' code, and the memory of its graphs
    graphs = device.type == "cuda"
    forward = torch.compile(fit.model, dynamic=False, mode="reduce-overhead" if graphs else None)
    before = {name: buffer.clone() for name, buffer in fit.model.named_buffers()}  # BatchNorm's statistics
    images = torch.zeros(batch, 3, fit.stage.size, fit.stage.size, device=device)
    images = images.contiguous(memory_format=fit.format.memory_format)
    try:
        with worded():
            for _ in range(WARM_UP if graphs else 1):  # now, while the loader's thread has nothing to do
                with fit.format.autocast(device):
                    logits = forward(images)
                logits.float().logsumexp(1).mean().backward()
                fit.optimizer.zero_grad(set_to_none=True)
    finally:
        fit.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, buffer in fit.model.named_buffers():
                buffer.copy_(before[name])
    synchronise(device)
    return forward, time.perf_counter() - began
