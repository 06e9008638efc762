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
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from kagglekit.recipe import Border

Fit = Literal["short", "long", "both"]


@dataclass(frozen=True)
class View:
    """One way of looking at pictures, for a whole batch at a time.

    Attributes:
        maps: ``(keys (B,) uint64, aspects (B,) float32, turn) -> (B, 2, 3) float32``: output to picture
            coordinates, as above. `turn` is the epoch (from 0) in training and the pass (from 1) in
            test-time augmentation. All randomness comes from `uniforms(keys, turn, ...)`.
        colours: ``(keys, turn) -> (B, 2) float32``: gain and offset, applied to pixels in [0, 1] before they
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
    fit: Fit = "short"
    passes: int | None = None


def image_keys(ids: Sequence[str], *salt: object) -> NDArray[np.uint64]:
    """Hash each image id, with whatever else the randomness depends on, to a key (N,) uint64.

    The same id and salt give the same key everywhere: neither order, nor batch size, nor platform matter.
    """
    key = blake2b(repr(salt).encode()).digest()
    hashes = b"".join(blake2b(image.encode(), digest_size=8, key=key).digest() for image in ids)
    return np.frombuffer(hashes, dtype="<u8").astype(np.uint64)


def uniforms(keys: NDArray[np.uint64], turn: int, n: int) -> NDArray[np.float64]:
    """Draw `n` uniform numbers in [0, 1) for each key, (B, n), as a pure function of key and turn.

    The generator is splitmix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
    generators"), counted instead of stepped: draw j of turn t is the mixing function of
    ``mix(key + (t + 1) * gamma) + (j + 1) * gamma``.
    """
    gamma = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        start = _mix(keys + np.uint64(turn + 1) * gamma)
        bits = _mix(start[:, None] + np.arange(1, n + 1, dtype=np.uint64) * gamma)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
