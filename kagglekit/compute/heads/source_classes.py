"""Heads that read what a pretrained network's own classifier says: the probabilities of the classes it was trained on.

Breeds of dogs are classes of ImageNet: there, its classifier knows more than a few images a class can teach.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from kagglekit.compute.heads.neighbours import Link, linked, neighbours_mean
from kagglekit.system.errors import UserError
from kagglekit.types.data_config import SourceClassifier

if TYPE_CHECKING:
    from kagglekit.compute.heads.frozen_features import Columns

PRIOR = 1.0  # images with the mean of all targets that each source class has beside its own


def source_classifier(model: nn.Module, n_features: int) -> SourceClassifier | None:
    """Return the classifier of the network's pretraining, float32 on the CPU; None if it is unknown.

    Args:
        model: The network.
        n_features: Number of the head's inputs.

    Raises:
        UserError: The classifier has another number of inputs.
    """
    found = getattr(model, "source_classifier", None)
    if not isinstance(found, SourceClassifier):
        return None
    weight, bias = (tensor.detach().float().cpu() for tensor in (found.weight, found.bias))
    if weight.shape != (len(bias), n_features):
        raise UserError(
            f"source_classifier has weights of shape {tuple(weight.shape)} and {len(bias)} biases; the head has "
            f"{n_features} inputs",
            "the plugin of this network must give the layer on the same features",
        )
    return SourceClassifier(weight, bias)


def source_chances(features: Tensor, columns: Columns, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the probabilities (B, Z) of the source classes, from the mean of their logits over the sizes.

    Args:
        features: (B, D) of `FrozenFeatures`.
        columns: Its columns.
        weight: (Z, F), for the head's inputs at one size.
        bias: (Z,).
    """
    blocks = columns.slices["last"]
    mean = torch.stack([features[:, start:stop] for start, stop in blocks]).mean(0)  # its logits are the mean logits
    return (mean @ weight.T + bias).softmax(dim=1)


def source_means(chances: Tensor, targets: Tensor) -> Tensor:
    """Return the mean target (Z, C) of each source class, over images weighted by its probability.

    For classes, that is P(y|z) of Nguyen et al. 2020, "LEEP: A New Measure to Evaluate Transferability of Learned
    Representations", arXiv:2002.12462, section 3, step 2, drawn to the mean of all targets as by `PRIOR` images.

    Args:
        chances: (N, Z).
        targets: (N, C); nan where unknown.
    """
    known = (~targets.isnan()).to(chances.dtype)
    targets = targets.nan_to_num().to(chances.dtype)
    mean = targets.sum(0) / known.sum(0).clamp(min=1)
    return (chances.T @ targets + PRIOR * mean) / (chances.T @ known + PRIOR)


class SourceHeads(nn.Module):
    """Two heads on the probabilities of the source classes: features (B, D) to outputs (B, C), their weighted sum.

    The first is the expected mean target of the image's source class, sum_z P(z|x) E[y|z]: the empirical predictor of
    LEEP, see `source_means`. The second is the vote of the training images with similar probabilities: the cosine of
    the square roots is Bhattacharyya's coefficient, 1 for equal ones.

    Attributes:
        weight: (Z, F) of the source classifier.
        bias: (Z,).
        means: (Z, C) from `source_means`.
        bank: (N, Z) float16, square roots of the training images' probabilities; N = 0 without the second head.
        vote: (3,) weights of both heads' outputs, and the sharpness of the second one's kernel.
    """

    weight: Tensor
    bias: Tensor
    means: Tensor
    bank: Tensor
    vote: Tensor

    def __init__(self, n_source: int, n_features: int, n_outputs: int, n_neighbours: int, link: Link) -> None:
        super().__init__()
        self.link = link
        for name, shape, dtype in (
            ("weight", (n_source, n_features), torch.float32),
            ("bias", (n_source,), torch.float32),
            ("means", (n_source, n_outputs), torch.float32),
            ("bank", (n_neighbours, n_source), torch.float16),
            ("vote", (3,), torch.float32),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=dtype))

    def forward(self, features: Tensor, columns: Columns, targets: Tensor) -> Tensor:
        """Return the outputs.

        Args:
            features: (B, D) of `FrozenFeatures`.
            columns: Its columns.
            targets: (N, C) of the bank's images; nan where unknown.
        """
        chances = source_chances(features, columns, self.weight, self.bias)
        outputs = self.vote[0] * linked(chances @ self.means, self.link)
        if len(self.bank):
            found = neighbours_mean(chances.sqrt(), self.bank.float(), targets.float(), self.vote[2])
            outputs = outputs + self.vote[1] * linked(found, self.link)
        return outputs
