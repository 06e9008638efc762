"""BatchNorm where several processes have a share of each batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kagglekit.compute.processes.ranks import Ranks


def learning(model: nn.Module) -> list[_BatchNorm]:
    """Return the layers that normalise by the images of a batch, and whose statistics follow them."""
    return [each for each in model.modules() if isinstance(each, _BatchNorm) and each.training]


def statistics(model: nn.Module, device: torch.device) -> list[Tensor]:
    """Return the running statistics of which processes must take the mean: on a GPU those are equal anyway."""
    layers = learning(model) if device.type != "cuda" else []
    return [kept for each in layers for kept in (each.running_mean, each.running_var) if kept is not None]


def describe(model: nn.Module, device: torch.device, ranks: Ranks) -> str:
    """Return how the processes share BatchNorm; empty if they have nothing to share."""
    if not ranks.several or not learning(model):
        return ""
    if device.type == "cuda":
        return f"BatchNorm normalises over the images of all {ranks.world} processes"
    return (
        f"BatchNorm normalises over each process's own images, and its running statistics are the mean over "
        f"{ranks.world} processes"
    )


@contextmanager
def synchronised(model: nn.Module, device: torch.device, ranks: Ranks) -> Iterator[None]:
    """On GPUs, let BatchNorm layers that learn normalise over the images of all processes in the block.

    They are replaced by layers with the same parameters and statistics, and come back at its end.
    """
    if not ranks.several or device.type != "cuda" or not learning(model):
        yield
        return
    from timm.layers.norm_act import convert_sync_batchnorm  # which knows timm's BatchNorm with an activation

    places = [(parent, name, child) for parent in model.modules() for name, child in parent.named_children()]
    replaced = [place for place in places if isinstance(place[2], _BatchNorm) and place[2].training]
    for parent, name, child in replaced:
        setattr(parent, name, convert_sync_batchnorm(child))  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for parent, name, child in replaced:
            child.train(getattr(parent, name).training)
            setattr(parent, name, child)
