"""Ctrl-C in the middle of a long step: the step is left where it is, and the network is as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from kagglekit.system.signals import Stopped, stop_anywhere

if TYPE_CHECKING:
    from torch import Tensor

    from kagglekit.training.state import StageFit, TrainState

LONG = 1.0  # s; the end of a shorter step is waited for


@contextmanager
def leavable(fit: StageFit, state: TrainState) -> Iterator[None]:
    """Let a signal raise `Stopped` while a block computes gradients, if steps are long.

    Until the optimizer's step, a training step changes nothing but buffers, such as BatchNorm's statistics, and
    gradients. Both are put back. A GPU's steps are short, compiled ones run no Python within, and several processes end
    at the same step.
    """
    if fit.ranks.several or state.took < LONG or fit.compute.device.type != "cpu" or state.forward is not fit.model:
        yield
        return
    before = [(buffer, buffer.clone()) for buffer in fit.model.buffers()]
    trained = [parameter for parameter in fit.model.parameters() if parameter.requires_grad]
    hooks = [
        parameter.register_post_accumulate_grad_hook(let_signals_in)  # type: ignore[no-untyped-call]
        for parameter in trained
    ]
    try:
        with stop_anywhere():
            yield
    except Stopped:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
        fit.optimizer.zero_grad(set_to_none=True)
        raise
    finally:
        for hook in hooks:
            hook.remove()


def let_signals_in(parameter: Tensor) -> None:
    """Do nothing, in Python: only there does a signal interrupt a backward pass, which is one call into torch."""
