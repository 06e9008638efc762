"""What the loop of a stage trains on where images have targets beside their labels, or weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from kagglekit.tasks.targets import Targets
from kagglekit.tasks.task import Task
from kagglekit.training.state import StageFit

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class PreparedTargets:
    """Stands in for the task where targets are prepared before the loop.

    Attributes:
        counts: (N,) the rarity of each image's label, see `Task.rarity`.
    """

    counts: NDArray[np.float64]

    def train_targets(self, truth: Tensor, smoothing: float) -> Tensor:
        """Return them as they are: the labels in them are smoothed already."""
        return truth

    def rarity(self, truth: NDArray[Any]) -> NDArray[np.float64]:
        """Return the rarity of the images' labels."""
        return self.counts


def with_targets(fit: StageFit, task: Task, targets: Targets | None, ids: Sequence[str]) -> StageFit:
    """Return what a stage trains with, its labels mixed with targets.

    With y the label, s the soft targets, z the outputs, a the share, T the temperature and w the weight, the loss of an
    image is ``w ((1 - a) loss(z, y) + a T^2 loss(z / T, s))``: Hinton et al. 2015, arXiv:1503.02531, section 2, with
    the cross-entropy in place of the divergence, from which it differs by a constant. Weights are divided by their
    mean. Without temperature and weights, y and s are mixed instead: for losses that are linear in the targets, and
    for the squared error, the gradient is the same.

    Args:
        fit: With labels alone.
        task: What is predicted.
        targets: See `Targets`; None changes nothing.
        ids: (N) of `fit.rows`.
    """
    if targets is None or (targets.soft is None and targets.weights is None):
        return fit
    hard = task.train_targets(torch.from_numpy(fit.truth), fit.stage.label_smoothing)
    soft, share = _soft(task, targets, ids, hard)
    prepared = PreparedTargets(task.rarity(fit.truth))
    weights = _weights(targets, ids)
    if targets.temperature == 1 and weights is None:
        return replace(fit, task=prepared, truth=torch.lerp(hard, soft, share).numpy())
    of_each = torch.ones_like(share) if weights is None else weights
    columns = torch.cat([hard, soft, share, of_each], dim=1)
    return replace(fit, task=prepared, truth=columns.numpy(), loss=_loss(fit.loss, hard.shape[1], targets.temperature))


def _soft(task: Task, targets: Targets, ids: Sequence[str], hard: Tensor) -> tuple[Tensor, Tensor]:
    """Return the soft targets (N, C), and how much each image's count (N, 1): 0 where it has none."""
    if targets.soft is None:
        return hard, torch.zeros(len(ids), 1)
    place = targets.soft.index.get_indexer(pd.Index(list(ids), dtype="str"))
    there = torch.from_numpy(place >= 0)
    values = torch.from_numpy(targets.soft.to_numpy(np.float32)[place])
    soft = torch.where(there[:, None], task.soft_targets(values, targets.temperature), hard)
    return soft, there.float()[:, None] * targets.share


def _weights(targets: Targets, ids: Sequence[str]) -> Tensor | None:
    if targets.weights is None or targets.weights.eq(1).all():
        return None
    found = targets.weights.reindex(list(ids)).fillna(1.0).to_numpy(np.float32)
    return None if (found == 1).all() else torch.from_numpy(found / found.mean())[:, None]


def _loss(loss: Loss, n: int, temperature: float) -> Loss:
    """Return the loss of outputs (B, C) and the columns (B, 2 C + 2) of `with_targets`."""

    def of_row(output: Tensor, hard: Tensor, soft: Tensor, share: Tensor, weight: Tensor) -> Tensor:
        z, y, s = output[None], hard[None], soft[None]
        taught = temperature**2 * loss(z / temperature, s)
        return weight * ((1 - share) * loss(z, y) + share * taught)

    def mean(outputs: Tensor, columns: Tensor) -> Tensor:
        hard, soft, share, weight = columns[:, :n], columns[:, n : 2 * n], columns[:, 2 * n], columns[:, 2 * n + 1]
        rows: Tensor = torch.vmap(of_row)(outputs, hard, soft, share, weight)
        return rows.mean()

    return mean
