"""The `View` that a plugin returns: how the network sees a batch of images; and what an `Augmentation` does to it.

Coordinates. A view knows only the aspect (width / height) of an image, not its pixels. The output square spans [-1, 1]
in x (right) and y (down), edge to edge. The image has *isotropic* units: its shorter side spans [-1, 1], its longer one
[-r, r] with r = max(aspect, 1 / aspect). A map is a (2, 3) matrix from output to image coordinates,
``image = A @ (x, y) + b`` with A its first two columns. So a rotation remains a rotation for every aspect. The core
converts maps to pixels of the stored copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from kagglekit.types.randomness import augmentation_keys

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from kagglekit.types.stage import Border

CropMode = Literal["short", "long", "both"]


@dataclass(frozen=True)
class Augmentation:
    """What is done to a batch of training images after a view has chosen what they show.

    Attributes:
        maps: ``(keys (B,) uint64, pass_number) -> (B, 2, 3) float32``: maps from the output square to the square that
            the view shows. The maps of a view and of all its augmentations become one, so that pixels are interpolated
            once. None for no change.
        pixels: ``(images (B, C, S, S) float32, keys, pass_number) -> images`` of the same shape, on the device, in
            [0, 1], before normalisation. It may write into the images it is given, and each result must depend on that
            image and its key alone. None for no change.
    """

    maps: Callable[[NDArray[np.uint64], int], NDArray[np.float32]] | None = None
    pixels: Callable[[Tensor, NDArray[np.uint64], int], Tensor] | None = None


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
        effects: As `Augmentation.pixels`; before `colours`.
    """

    maps: Callable[[NDArray[np.uint64], NDArray[np.float32], int], NDArray[np.float32]]
    colours: Callable[[NDArray[np.uint64], int], NDArray[np.float32]] | None = None
    pixels: Callable[[Tensor], Tensor] | None = None
    border: Border = "reflect"
    fit: CropMode = "short"
    passes: int | None = None
    effects: Callable[[Tensor, NDArray[np.uint64], int], Tensor] | None = None

    def augmented(self, augmentations: Sequence[Augmentation]) -> Self:
        """Return this view followed by augmentations, in order; each draws from keys of its own.

        The order holds among maps and among functions of pixels: all maps come first.
        """
        moving = [(number, each.maps) for number, each in enumerate(augmentations) if each.maps]
        changing = [(number, each.pixels) for number, each in enumerate(augmentations) if each.pixels]

        def maps(keys: NDArray[np.uint64], aspects: NDArray[np.float32], pass_number: int) -> NDArray[np.float32]:
            result = self.maps(keys, aspects, pass_number)
            for number, move in moving:
                result = _after(result, move(augmentation_keys(keys, number), pass_number))
            return result

        def effects(images: Tensor, keys: NDArray[np.uint64], pass_number: int) -> Tensor:
            if self.effects:
                images = self.effects(images, keys, pass_number)
            for number, change in changing:
                images = change(images, augmentation_keys(keys, number), pass_number)
            return images

        return replace(self, maps=maps if moving else self.maps, effects=effects if changing else self.effects)


def _after(outer: NDArray[np.float32], inner: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compose maps (B, 2, 3): the output goes through `inner`, then through `outer`."""
    result = outer[:, :, :2].astype(np.float64) @ inner
    result[:, :, 2] += outer[:, :, 2]
    return result.astype(np.float32)
