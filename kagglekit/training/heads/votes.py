"""Heads of a stack that compare an image with the training images, or with the classes of the network's pretraining."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kagglekit.compute.heads.frozen_features import Columns
from kagglekit.compute.heads.neighbours import Link, linked, neighbours_mean
from kagglekit.compute.heads.source_classes import source_means
from kagglekit.compute.heads.stacked_head import StackedHead, unit_length
from kagglekit.tasks.cross_validation import Split
from kagglekit.types.data_config import SourceClassifier

Vote = Literal["neighbours", "source neighbours", "source classes"]
Rows = NDArray[Any]

SHARPNESS = 20.0  # of the neighbours' kernels
MOST_NEIGHBOURS = 20_000  # images: with more, comparing an image with all of them costs more than its features
MOST_CHANCES = 2e8  # numbers of a table of source classes' probabilities, 0.8 GB
MOST_BANK = 4e7  # numbers of a bank of source classes' probabilities, 80 MB in the weight file for each of two banks


@dataclass(frozen=True)
class Votes:
    """Training images, by what others are compared with.

    Attributes:
        features: (N, D) float32 from `FrozenFeatures`.
        chances: (N, Z) probabilities of the source classes, see `source_chances`; None without a source classifier.
        targets: (N, C); nan where unknown.
        columns: Of the features.
    """

    features: NDArray[np.float32]
    chances: Tensor | None
    targets: Tensor
    columns: Columns

    @cached_property
    def unit(self) -> Tensor:
        """(N, U) features of unit length."""
        return unit_length(torch.from_numpy(self.features), self.columns)

    def roots(self) -> Tensor:
        """Return the square roots (N, Z) of the source classes' probabilities."""
        assert self.chances is not None
        return self.chances.sqrt()

    def held_out(self, splits: Sequence[Split], link: Link) -> dict[Vote, NDArray[np.float32]]:
        """Return the outputs (N, C) of each head, for each image by a head that has not seen it.

        Args:
            splits: The (rows, held-out rows) of cross-validation.
            link: Turns means of targets into outputs.
        """
        found = {}
        for name, mean in self._means().items():
            outputs = np.full(self.targets.shape, np.nan, np.float32)
            for rows, held in splits:
                outputs[held] = linked(mean(rows, held), link).numpy()
            found[name] = outputs
        return found

    def _means(self) -> dict[Vote, Callable[[Rows, Rows], Tensor]]:
        """Return what gives the mean targets (H, C) of held-out rows, by the others."""
        chances, targets, few = self.chances, self.targets, len(self.targets) <= MOST_NEIGHBOURS
        means: dict[Vote, Callable[[Rows, Rows], Tensor]] = {}
        if few:
            unit = self.unit
            means["neighbours"] = lambda rows, held: neighbours_mean(unit[held], unit[rows], targets[rows], SHARPNESS)
        if few and chances is not None and chances.numel() <= MOST_BANK:
            roots = self.roots()
            means["source neighbours"] = lambda rows, held: neighbours_mean(
                roots[held], roots[rows], targets[rows], SHARPNESS
            )
        if chances is not None:
            means["source classes"] = lambda rows, held: chances[held] @ source_means(chances[rows], targets[rows])
        return means

    def fill(self, head: StackedHead, weights: Mapping[Vote, float], source: SourceClassifier | None) -> None:
        """Give a stack of heads what it compares new images with.

        Args:
            head: Its form has room for it.
            weights: Of the heads' outputs.
            source: The source classifier.
        """
        if len(head.targets):
            head.targets.copy_(self.targets)
        if len(head.bank):
            head.bank.copy_(self.unit)
            head.vote.copy_(torch.tensor([weights["neighbours"], SHARPNESS]))
        if head.source is None or source is None or self.chances is None:
            return
        made = head.source
        made.weight.copy_(source.weight)
        made.bias.copy_(source.bias)
        made.means.copy_(source_means(self.chances, self.targets))
        made.vote.copy_(
            torch.tensor([weights.get("source classes", 0.0), weights.get("source neighbours", 0.0), SHARPNESS])
        )
        if len(made.bank):
            made.bank.copy_(self.roots())
