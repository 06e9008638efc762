"""Where a network looks: Grad-CAM on its last map of features.

Selvaraju et al. 2017, arXiv:1610.02391, eq. 1 and 2: with A_k the channels of a map and y the output to explain,
``a_k = mean over places of dy / dA_k`` and ``map = relu(sum_k a_k A_k)``.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

LEAST_SIDE = 2  # of a map that shows a place


def attention_maps(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return a map of each image, and the number of the output that it explains: the highest one.

    Args:
        network: In eval mode; (B, channels, S, S) to outputs (B, C).
        images: (B, channels, S, S) float32, normalised.

    Returns:
        (B, h, w) float32 in [0, 1], and (B,) int64; None if the network has no map of features that its output
        depends on.
    """
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.requires_grad and (as_map(output) is not None):
            found[:] = [output]

    with ExitStack() as stack, torch.enable_grad():
        for module in network.modules():
            stack.callback(module.register_forward_hook(keep).remove)
        outputs = network(images.detach().clone().requires_grad_()).float()
        explained = outputs.argmax(dim=1)
        if not found:
            return None
        score = outputs.gather(1, explained[:, None]).sum()
        (gradient,) = torch.autograd.grad(score, found[0], allow_unused=True)
    features, slope = as_map(found[0].detach()), None if gradient is None else as_map(gradient)
    if features is None or slope is None:
        return None
    maps = (slope.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1).relu().float()
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12), explained


def as_map(features: Tensor) -> Tensor | None:
    """Return features as (B, F, h, w); None if they have no places.

    Args:
        features: (B, F, h, w), (B, h, w, F), or tokens (B, N, F) of a square after those for the whole image.
    """
    if features.ndim == 4:
        last = features.shape[1] == features.shape[2] != features.shape[3]
        features = features.movedim(3, 1) if last else features
        return features if min(features.shape[2:]) >= LEAST_SIDE else None
    if features.ndim != 3:
        return None
    side = int(features.shape[1] ** 0.5)
    if side < LEAST_SIDE:
        return None
    places = features[:, features.shape[1] - side * side :]
    return places.movedim(2, 1).reshape(len(features), -1, side, side)
