"""The vote of an image's neighbours among the training images."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Link = Literal["log", "logit", "identity"]
SMALLEST = 1e-12  # a class that no neighbour has keeps this share


def neighbours_mean(unit: Tensor, bank: Tensor, targets: Tensor, sharpness: Tensor | float) -> Tensor:
    """Return the mean (B, C) of the known targets of all images of a bank, weighted by exp(s (cosine - 1)).

    That is the vote of Wu et al. 2018, arXiv:1805.01978, section 3.4.

    Args:
        unit: (B, U) of unit length.
        bank: (N, U) of unit length.
        targets: (N, C); nan where unknown.
        sharpness: s.
    """
    kernel = ((unit @ bank.T - 1) * sharpness).exp()
    known = (~targets.isnan()).to(kernel.dtype)
    return (kernel @ targets.nan_to_num()) / (kernel @ known).clamp(min=SMALLEST)


def linked(mean: Tensor, link: Link) -> Tensor:
    """Return the outputs (B, C) whose predictions are `mean`, of labels that exclude each other nearly so."""
    if link == "log":
        return mean.clamp(min=SMALLEST).log()
    return mean.clamp(SMALLEST**0.5, 1 - SMALLEST**0.5).logit() if link == "logit" else mean
