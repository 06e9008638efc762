"""What the core needs to know of a network: its input, its layer groups, what is frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class DataConfig:
    """What a network expects of its input; the model hook's answer carries one as `data_config`.

    Attributes:
        mean: Of each channel, for pixels in [0, 1].
        std: Likewise.
        multiple: Input sides must be multiples of this, px (a vision transformer's patch).
        licence: Of the pretrained weights, as their authors state it; empty for none.
        weights: Where the weights came from, for the log: a hub name, a file, or ``random``.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    multiple: int = 1
    licence: str = ""
    weights: str = ""
