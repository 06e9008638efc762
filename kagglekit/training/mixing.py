"""Changes to a batch before the network sees it: mixup and CutMix."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kagglekit.compute.device import to_device
from kagglekit.types.stage import Stage


def mix(inputs: Tensor, targets: Tensor, stage: Stage, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mix each image with another of its batch: by mixup, CutMix, or one of the two at even odds.

    Mixup: ``x = l x_i + (1 - l) x_j`` with l from Beta(alpha, alpha) (Zhang et al. 2017, arXiv:1710.09412, eq. 1).
    CutMix: a rectangle of area 1 - l from x_j (Yun et al. 2019, arXiv:1905.04899, eq. 1 and 2).
    """
    if not stage.mixup and not stage.cutmix:
        return inputs, targets
    cut = bool(stage.cutmix) and (not stage.mixup or draw.random() < 0.5)
    alpha = stage.cutmix if cut else stage.mixup
    share = float(draw.beta(alpha, alpha))
    other = to_device(draw.permutation(len(inputs)), inputs.device)
    if cut:
        rows, columns, share = _rectangle(inputs.shape[-1], share, draw)
        mixed = inputs.clone(memory_format=torch.preserve_format)
        mixed[:, :, rows, columns] = inputs[other][:, :, rows, columns]
    else:
        mixed = inputs * share + inputs[other] * (1 - share)
    return mixed, targets * share + targets[other] * (1 - share)


def _rectangle(size: int, share: float, draw: np.random.Generator) -> tuple[slice, slice, float]:
    """Draw a square of area ``1 - share`` around a random centre, cut at the edge; return the true share too."""
    half = size * (1 - share) ** 0.5 / 2
    (top, bottom), (left, right) = (
        (max(0, round(c - half)), min(size, round(c + half))) for c in draw.uniform(0, size, 2)
    )
    return slice(top, bottom), slice(left, right), 1 - (bottom - top) * (right - left) / size**2
