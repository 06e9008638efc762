"""Memory of a training step, estimated before the first one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from kagglekit.compute.device import Format
from kagglekit.compute.fuse_batchnorm import copied
from kagglekit.compute.memory import is_full
from kagglekit.compute.network import in_channels

TRIED = 4  # images of the forward pass that is measured
STATES = 4  # numbers a weight: itself, its gradient, two of the optimizer
REST = 1.1  # the kernels' own buffers, and what fragmentation costs: 1.00 to 1.10 in three networks


def step_bytes(model: nn.Module, size: int, batch: int, chosen: Format) -> float | None:
    """Estimate the memory of a training step, bytes; None if it is unknown.

    It is if the network cannot be copied, or not even a few images fit. A forward pass of those counts what autograd
    keeps for the backward pass, which grows with the batch. The backward pass holds about two gradients of the largest
    tensor beside it.

    Args:
        model: On the CPU, in the modes of training; not changed.
        size: Side of the images, px.
        batch: Images in memory at once.
        chosen: The format of training.
    """
    twin = copied(model)
    if twin is None:
        return None
    parameters = list(twin.parameters())
    weights = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    drawn = np.random.default_rng(0).random((TRIED, in_channels(model), size, size), np.float32)
    images = torch.from_numpy(drawn).contiguous(memory_format=chosen.memory_format)
    with torch.random.fork_rng(devices=()), saved_tensors_hooks(pack, lambda tensor: tensor):
        try:
            with chosen.autocast(images.device):
                outputs = twin(images)  # held meanwhile: the address of a freed tensor would come again
        except RuntimeError as error:
            if not is_full(error):
                raise
            return None
    del outputs
    images_share = (sum(kept.values()) + 2 * max(kept.values(), default=0)) * batch / TRIED
    trained = sum(parameter.nbytes for parameter in parameters if parameter.requires_grad)
    return REST * (images_share + STATES * trained)


def parts_for(needed: float, allowed: float, batch: int) -> int:
    """Return over how many parts a batch's gradients are accumulated to stay within memory: a power of two.

    A part keeps two images, which BatchNorm needs, even if it does not fit.

    Args:
        needed: Memory of a step with the whole batch, bytes.
        allowed: Memory that a step may use, bytes.
        batch: Images.
    """
    parts = 1
    while needed / parts > allowed and batch >= 4 * parts:
        parts *= 2
    return parts
