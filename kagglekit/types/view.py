"""The `View` that a plugin returns: how the network sees a batch of images.

Coordinates. A view knows only the aspect (width / height) of an image, not its pixels. The output square spans [-1, 1]
in x (right) and y (down), edge to edge. The image has *isotropic* units: its shorter side spans [-1, 1], its longer one
[-r, r] with r = max(aspect, 1 / aspect). A map is a (2, 3) matrix from output to image coordinates,
``image = A @ (x, y) + b`` with A its first two columns. So a rotation remains a rotation for every aspect. The core
converts maps to pixels of the stored copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from kagglekit.types.recipe import Border

CropMode = Literal["short", "long", "both"]


@dataclass(frozen=True)
class View:
    """A view of images, computed for a whole batch at a time.

    Attributes:
        maps: ``(keys (B,) uint64, aspects (B,) float32, pass_number) -> (B, 2, 3) float32``: output to image
            coordinates, as above. `pass_number` is the epoch (from 0) in training and the pass (from 1) in
            test-time augmentation. All randomness comes from `uniforms(keys, pass_number, ...)`.
        colours: ``(keys, pass_number) -> (B, 2) float32``: gain and offset for pixels in [0, 1], before normalisation;
            None for no change. For other channels than red, green and blue it is called for each, with other keys.
        pixels: An optional function of the normalised batch, float (B, C, S, S), on the device.
        border: How points outside of the image are filled.
        fit: The largest part of an image that the view shows, which determines the stored copy: ``short`` shows up to
            the short side (a crop), ``long`` the whole image at its own aspect (padded), ``both`` the whole image
            squashed.
        passes: Number of different passes in test-time augmentation; None for any number.
    """

    maps: Callable[[NDArray[np.uint64], NDArray[np.float32], int], NDArray[np.float32]]
    colours: Callable[[NDArray[np.uint64], int], NDArray[np.float32]] | None = None
    pixels: Callable[[Tensor], Tensor] | None = None
    border: Border = "reflect"
    fit: CropMode = "short"
    passes: int | None = None
