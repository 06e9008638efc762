"""How a batch of pictures is looked at: the `View` a plugin answers and the randomness it draws from.

Coordinates. A view never sees pixels of a file, only its aspect (width / height). The output square spans
[-1, 1] in x (right) and y (down), edge to edge. The picture spans its own plane in *isotropic* units: its
shorter side is [-1, 1], its longer one [-r, r] with r = max(aspect, 1 / aspect). A map takes output
coordinates to picture coordinates, ``picture = A @ (x, y) + b`` with A the first two columns of a (2, 3)
row block, so a rotation stays a rotation whatever the aspect. The core turns it into pixels of the stored
copy.
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
    """One way of looking at pictures, for a whole batch at a time.

    Attributes:
        maps: ``(keys (B,) uint64, aspects (B,) float32, pass_number) -> (B, 2, 3) float32``: output to picture
            coordinates, as above. `pass_number` is the epoch (from 0) in training and the pass (from 1) in
            test-time augmentation. All randomness comes from `uniforms(keys, pass_number, ...)`.
        colours: ``(keys, pass_number) -> (B, 2) float32``: gain and offset, applied to pixels in [0, 1] before they
            are normalised; None for no change.
        pixels: An optional function of the finished batch, float (B, 3, S, S), normalised, on the device.
        border: What lies outside of the picture.
        fit: How much of a picture the view shows at most, which decides the copy that serves it: ``short``
            shows up to the short side (a crop), ``long`` the whole picture at its own aspect (padded),
            ``both`` the whole picture squashed.
        passes: How many different passes it has in test-time augmentation; None for any number.
    """

    maps: Callable[[NDArray[np.uint64], NDArray[np.float32], int], NDArray[np.float32]]
    colours: Callable[[NDArray[np.uint64], int], NDArray[np.float32]] | None = None
    pixels: Callable[[Tensor], Tensor] | None = None
    border: Border = "reflect"
    fit: CropMode = "short"
    passes: int | None = None
