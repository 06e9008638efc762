"""Activations at the head's input, cached once: a frozen body computes the same for an image every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kagglekit.compute.device import Compute, to_device
from kagglekit.compute.forward import Batches, batches_of, halving
from kagglekit.compute.network import input_of
from kagglekit.system.errors import UserError


@dataclass(frozen=True)
class CachedActivations:
    """The head's input for every image, in place of a loader.

    Attributes:
        features: (N, ...) float32, on the device that trains.
        where: (M,) int64: the position in `features` of each row of the store.
    """

    features: Tensor
    where: NDArray[np.int64]
    size: int = 0  # these are no images

    def batches(self, rows: Sequence[NDArray[np.int64]], pass_number: int) -> Iterator[Tensor]:
        """Yield the activations of each array of rows; without augmentation, `pass_number` is ignored."""
        for chosen in rows:
            yield self.features[to_device(self.where[chosen], self.features.device)]


def head_inputs(
    model: nn.Module, head: nn.Module, images: Batches, rows: NDArray[np.int64], compute: Compute
) -> Iterator[Tensor]:
    """Yield the head's inputs, float32, on the device, for `rows` in order; the model is in eval mode.

    Raises:
        UserError: The model computes more than its head does with that input.
    """
    model.eval()
    yield from halving(lambda left: _head_inputs(model, head, images, left, compute), rows, compute)


@torch.no_grad()
def _head_inputs(
    model: nn.Module, head: nn.Module, images: Batches, rows: NDArray[np.int64], compute: Compute
) -> Iterator[Tensor]:
    for number, (inputs, n) in enumerate(batches_of(images, rows, 0, compute)):
        with compute.infer.autocast(compute.device):
            features = input_of(model, head, inputs)
            if number == 0:
                _check_head(model, head, inputs[:2], features[:2])  # not all: the check costs a forward pass
        yield features[:n].float()


@torch.no_grad()
def head_outputs(
    head: nn.Module, cached: CachedActivations, rows: NDArray[np.int64], activate: Callable[[Tensor], Tensor]
) -> NDArray[np.float32]:
    """Put the head into eval mode; return its predictions (N, C) for cached activations: its activated outputs."""
    head.eval()
    (inputs,) = cached.batches([rows], 0)
    table: NDArray[np.float32] = activate(head(inputs).float()).cpu().numpy()
    return table


def _check_head(model: nn.Module, head: nn.Module, inputs: Tensor, features: Tensor) -> None:
    whole, last = model(inputs), head(features)
    if whole.shape != last.shape or not torch.allclose(whole.float(), last.float(), rtol=0.1, atol=0.1):
        raise UserError(
            "activations cannot be cached: this network computes more than the module of its last layer group",
            "train without them: --set 'stage.*.precompute=false'",
        )
