"""The operations among which TrivialAugment and RandAugment draw, and their ranges.

Both draw among the same fourteen operations. Five of them are affine and become part of the map of the image; the
others change its pixels, after the map. So operations keep their order within each of the two kinds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kagglekit import uniforms

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Keys = NDArray[np.uint64]
    Floats = NDArray[np.float64]

MOVING = ("shear-x", "shear-y", "translate-x", "translate-y", "rotate")
SIGNED = (*MOVING, "brightness", "color", "contrast", "sharpness")
PLAIN = ("identity", "autocontrast", "equalize")  # of a single strength
_LEVELS = 31  # 0 to 30, as in both papers' implementations


@dataclass(frozen=True)
class Space:
    """The operations with their largest strengths.

    Attributes:
        operations: Names, equally likely.
        shear: Largest shear of an axis, as a share of the other one.
        translate: Largest shift, as a share of the side.
        rotate: Largest angle, degrees.
        enhance: Largest change of the factor of brightness, color, contrast and sharpness, which is 1 for no change.
        posterize: Most bits that are dropped, of 8.
    """

    operations: tuple[str, ...]
    shear: float
    translate: float
    rotate: float
    enhance: float
    posterize: int

    def for_channels(self, channels: int) -> Space:
        """Return the operations that exist for so many channels: saturation needs red, green and blue."""
        return self if channels == 3 else replace(self, operations=tuple(o for o in self.operations if o != "color"))

    def drawn(
        self, keys: Keys, pass_number: int, n: int, level: float | None
    ) -> list[tuple[NDArray[np.int64], Floats]]:
        """Draw, for each of `n` steps, the operation of each image (B,) and its level (B,), signed, in [-1, 1]."""
        draws = uniforms(keys, pass_number, 3 * n).reshape(len(keys), n, 3)
        numbers = (draws[:, :, 0] * len(self.operations)).astype(np.int64)
        levels = np.floor(draws[:, :, 1] * _LEVELS) / (_LEVELS - 1) if level is None else np.full(numbers.shape, level)
        signed = np.isin(np.array(self.operations), SIGNED)[numbers]
        levels = np.where(signed & (draws[:, :, 2] < 0.5), -levels, levels)
        return [(numbers[:, step], levels[:, step]) for step in range(n)]

    def matrices(self, operation: str, levels: Floats) -> Floats:
        """Return the maps (n, 2, 3) of an affine operation, from the output square to the square it shows."""
        maps = np.repeat(np.eye(2, 3)[None], len(levels), axis=0)
        if operation == "rotate":
            angle = np.radians(self.rotate) * levels
            maps[:, 0, 0] = maps[:, 1, 1] = np.cos(angle)
            maps[:, 1, 0] = np.sin(angle)
            maps[:, 0, 1] = -maps[:, 1, 0]
        elif operation.startswith("shear"):
            maps[(slice(None), *((0, 1) if operation == "shear-x" else (1, 0)))] = self.shear * levels
        else:
            maps[:, 0 if operation == "translate-x" else 1, 2] = 2.0 * self.translate * levels  # the square's side is 2
        return maps

    def parameters(self, operation: str, levels: Floats) -> Floats:
        """Return what an operation on pixels takes, (n, 1): a factor, bits that are kept, a threshold in [0, 1]."""
        if operation == "posterize":
            result = 8.0 - np.round(self.posterize * levels)
        elif operation == "solarize":
            result = (1.0 - levels) * 256.0 / 255.0  # at level 0 above white
        else:
            result = 1.0 + self.enhance * levels
        return result[:, None]


_ALL = (
    "identity",
    *MOVING,
    "brightness",
    "color",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)
WIDE = Space(_ALL, shear=0.99, translate=32 / 224, rotate=135.0, enhance=0.99, posterize=6)
"""Müller and Hutter 2021, arXiv:2103.10158, the wide space; its 32 px as a share of ImageNet's usual 224 px."""
STANDARD = Space(_ALL, shear=0.3, translate=150 / 331, rotate=30.0, enhance=0.9, posterize=4)
"""Cubuk et al. 2018, arXiv:1805.09501, table 6, which RandAugment took over; 150 px as a share of its 331 px."""


def moved(space: Space, n: int, level: float | None, keys: Keys, pass_number: int) -> NDArray[np.float32]:
    """Return the product (B, 2, 3) of the affine operations among those drawn."""
    result = np.repeat(np.eye(3)[None], len(keys), axis=0)
    for numbers, levels in space.drawn(keys, pass_number, n, level):
        for number in np.unique(numbers):
            if space.operations[number] in MOVING:
                rows = np.flatnonzero(numbers == number)
                step = np.repeat(np.eye(3)[None], len(rows), axis=0)
                step[:, :2] = space.matrices(space.operations[number], levels[rows])
                result[rows] = result[rows] @ step
    return result[:, :2].astype(np.float32)


def repainted(space: Space, n: int, level: float | None, images: Tensor, keys: Keys, pass_number: int) -> Tensor:
    """Apply the operations on pixels among those drawn, in order."""
    from kagglekit_views.pixels import change

    for numbers, levels in space.drawn(keys, pass_number, n, level):
        for number in np.unique(numbers):
            operation, rows = space.operations[number], np.flatnonzero(numbers == number)
            if operation not in (*MOVING, "identity"):
                images = change(images, operation, rows, space.parameters(operation, levels[rows]))
    return images
