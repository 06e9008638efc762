"""What a network expects of its input."""

from __future__ import annotations

from dataclasses import dataclass


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
