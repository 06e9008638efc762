"""The input that a network expects, where its features can be taken, and what it was trained to tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DataConfig:
    """The input that a network expects; the model hook's network has one as `data_config`.

    Attributes:
        mean: Mean of each channel, for pixels in [0, 1].
        std: Standard deviation of each channel, for pixels in [0, 1].
        multiple: Input sides must be multiples of this, px (a vision transformer's patch).
        any_size: Whether it takes images of another size without being told by `set_input_size`.
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
    any_size: bool = True


@dataclass(frozen=True)
class Tap:
    """A place in a network where a map of features is pooled.

    Attributes:
        module: Name of a module in the network.
        channels: Of the map.
        kind: ``earlier`` averages the module's output; ``max`` takes the maximum of its input or output.
        of_input: Whether the map is the module's input.
    """

    module: str
    channels: int
    kind: Literal["earlier", "max"]
    of_input: bool = False


@dataclass(frozen=True)
class SourceClassifier:
    """The last layer of a network's pretraining, which its new head has replaced: logits of Z classes.

    Attributes:
        weight: (Z, F) for the F inputs of the new head.
        bias: (Z,).
    """

    weight: Tensor
    bias: Tensor
