"""The vector that processes of one training sum in each step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from kagglekit.compute.processes.ranks import connected


class FlatSum:
    """One vector with all that the processes agree on in a step: it is summed over them by a single call.

    It holds the gradients, what else is averaged, the loss, and how many processes have met what; so no process takes a
    step that another does not take.

    Args:
        parameters: Those that may have gradients.
        averaged: Tensors of which all processes get the mean.
        device: Of the vector.
    """

    NUMBERS = 2  # beside the loss: out of memory, asked to stop

    def __init__(self, parameters: Sequence[Tensor], averaged: Sequence[Tensor], device: torch.device) -> None:
        self._parameters, self._averaged = list(parameters), list(averaged)
        kept = [*self._parameters, *self._averaged]
        sizes = [tensor.numel() for tensor in kept]
        self._tail = sum(sizes)
        self._flat = torch.zeros(self._tail + 1 + self.NUMBERS + len(self._parameters), device=device)
        pieces = torch.split(self._flat[: self._tail], sizes) if sizes else ()
        self._views = [piece.view(tensor.shape) for piece, tensor in zip(pieces, kept, strict=True)]

    @torch.no_grad()
    def sum(self, loss: Tensor | None, share: float, asked: bool) -> tuple[Tensor, bool, bool]:
        """Sum over the processes, and replace gradients and averaged tensors unless one is out of memory.

        Args:
            loss: This process's part of the loss; None if it is out of memory.
            share: Its share of the batch, by which it counts in averages.
            asked: Whether it was asked to stop.

        Returns:
            The loss; whether a process is out of memory; whether one was asked to stop.
        """
        n, tail = len(self._parameters), self._flat[self._tail :]
        there = [parameter.grad is not None and loss is not None for parameter in self._parameters]
        numbers = [0.0, float(loss is None), float(asked), *map(float, there)]
        tail.copy_(torch.tensor(numbers))
        if loss is not None:
            tail[0] = loss
            self._flat[: self._tail].zero_()
            met = [place for place, is_there in enumerate(there) if is_there]
            _copy([self._views[place] for place in met], [self._parameters[place].grad for place in met])
            for view, tensor in zip(self._views[n:], self._averaged, strict=True):
                view.copy_(tensor).mul_(share)
        with connected():
            dist.all_reduce(self._flat)
        full, stop, *counts = tail[1:].tolist()  # one wait for the device
        if not full:
            self._spread([place for place, count in enumerate(counts) if count])
        return tail[0].clone(), bool(full), bool(stop)

    def _spread(self, met: Sequence[int]) -> None:
        """Replace gradients, those that any process has, and averaged tensors."""
        parameters = [self._parameters[place] for place in met]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
        _copy([parameter.grad for parameter in parameters], [self._views[place] for place in met])
        _copy(self._averaged, self._views[len(self._parameters) :])


def _copy(to: Sequence[Tensor | None], values: Sequence[Tensor | None]) -> None:
    if to:
        torch._foreach_copy_(to, values)  # type: ignore[arg-type]  # in one call, where a loop takes hundreds
