"""The input that a network expects."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataConfig:
    """The input that a network expects; the model hook's network has one as `data_config`.

    Attributes:
        mean: Mean of each channel, for pixels in [0, 1].
        std: Standard deviation of each channel, for pixels in [0, 1].
        multiple: Input sides must be multiples of this, px (a vision transformer's patch).
        size: The side that the pretrained weights were trained at, px; 0 for random weights, or if it is unknown.
        licence: Licence of the pretrained weights, as their authors state it; empty for none.
        weights: Origin of the weights, for the log: a hub name, a file, or ``random``.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    multiple: int = 1
    licence: str = ""
    weights: str = ""
    size: int = 0
