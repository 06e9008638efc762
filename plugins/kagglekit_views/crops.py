"""The part of an image that the network sees in training, prediction and augmented passes.

Every view works in a *frame*, the square that the plain view shows, spanning [-1, 1] on both axes. It is the largest
centred square (``centre``), the whole image squashed (``squash``), or the whole image at its own aspect with padding
(``pad``). Augmentation happens in the frame, so training shows images in the same way as prediction. Only the frame of
``centre`` leaves a part of the image outside; there a crop may lie anywhere along the longer side.

A crop of a frame is a function ``(keys (B,), reach (B, 2), pass_number) -> linear (B, 2, 2), centre (B, 2)``, where
`reach` is the extent of the image from the frame's centre in x and y.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kagglekit import Recipe, Stage, View, uniforms

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kagglekit import CropMode, ViewMode

    Keys = NDArray[np.uint64]
    Floats = NDArray[np.float64]
    Crop = Callable[[Keys, Floats, int], tuple[Floats, Floats]]

FRAMES: dict[str, CropMode] = {"centre": "short", "squash": "both", "pad": "long"}
VIEWS = ("side_on", "top_down", "random-resized-crop", "none")
TTA = (*VIEWS, "flip", "crops")
_CROPS_ZOOM = 256 / 224  # the corner crops of Krizhevsky et al. 2012, section 4.1
_CORNERS = ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0))
_ROTATED = 0.75  # share of images that are rotated
_LONGEST = np.log(4 / 3)  # largest log ratio of the sides of a random resized crop


def view_of(recipe: Recipe, stage: Stage, mode: ViewMode) -> View | None:
    """Return one of these views; the frame is that of ``centre`` if `stage.plain` is another plugin's."""
    if mode == "plain":
        return _view(stage, _whole, passes=0) if stage.plain in FRAMES else None
    name = stage.views if mode == "train" else recipe.tta_views or stage.views
    if mode == "tta" and name == "top_down":
        return _view(stage, _symmetry, passes=7)
    if mode == "tta" and name == "flip":
        return _view(stage, _mirror, passes=1)
    if mode == "tta" and name == "crops":
        return _view(stage, _corner, passes=len(_CORNERS))
    if name == "none":
        return _view(stage, _whole, passes=0)
    if name in _DRAWN:
        return _view(stage, partial(_DRAWN[name], stage), lit=stage.max_light > 0)
    return None


def _view(stage: Stage, crop: Crop, *, lit: bool = False, passes: int | None = None) -> View:
    plain = stage.plain if stage.plain in FRAMES else "centre"
    return View(
        maps=partial(_maps, plain, crop),
        colours=partial(_light, stage.max_light) if lit else None,
        border=stage.border,
        fit=FRAMES[plain],
        passes=passes,
    )


def _maps(plain: str, crop: Crop, keys: Keys, aspects: NDArray[np.float32], pass_number: int) -> NDArray[np.float32]:
    """Compose the map of the crop with the map of the frame."""
    sides = np.stack([np.maximum(aspects, 1.0), np.maximum(1.0 / aspects, 1.0)], axis=1).astype(np.float64)
    ones = np.ones_like(sides)
    scale = {"centre": ones, "squash": sides, "pad": np.repeat(sides.max(axis=1)[:, None], 2, axis=1)}[plain]
    linear, shift = crop(keys, sides if plain == "centre" else ones, pass_number)
    result: NDArray[np.float32] = np.empty((len(keys), 2, 3), np.float32)
    result[:, :, :2] = scale[:, :, None] * linear
    result[:, :, 2] = scale * shift
    return result


def _whole(keys: Keys, reach: Floats, pass_number: int) -> tuple[Floats, Floats]:
    return np.repeat(np.eye(2)[None], len(keys), axis=0), np.zeros((len(keys), 2))


def _mirror(keys: Keys, reach: Floats, pass_number: int) -> tuple[Floats, Floats]:
    return _symmetries(np.full(len(keys), 4)), np.zeros((len(keys), 2))


def _symmetry(keys: Keys, reach: Floats, pass_number: int) -> tuple[Floats, Floats]:
    return _symmetries(np.full(len(keys), pass_number % 8)), np.zeros((len(keys), 2))


def _corner(keys: Keys, reach: Floats, pass_number: int) -> tuple[Floats, Floats]:
    """Show corner number `pass_number`, from 1, zoomed so that the corners of a square image differ, too."""
    linear, _ = _whole(keys, reach, pass_number)
    corner = np.array(_CORNERS[(pass_number - 1) % len(_CORNERS)])
    return linear / _CROPS_ZOOM, corner * (reach - 1.0 / _CROPS_ZOOM)


def _side_on(stage: Stage, keys: Keys, reach: Floats, pass_number: int) -> tuple[Floats, Floats]:
    """Mirror half of the images, then rotate, zoom and shift."""
    mirrored = uniforms(keys, pass_number, 1)[:, 0] < 0.5
    return _rotated(stage, _symmetries(np.where(mirrored, 4, 0)), keys, reach, pass_number)


def _top_down(stage: Stage, keys: Keys, reach: Floats, pass_number: int) -> tuple[Floats, Floats]:
    """Draw one of the square's eight symmetries, then rotate, zoom and shift."""
    number = (uniforms(keys, pass_number, 1)[:, 0] * 8).astype(np.int64)
    return _rotated(stage, _symmetries(number), keys, reach, pass_number)


def _rotated(stage: Stage, first: Floats, keys: Keys, reach: Floats, pass_number: int) -> tuple[Floats, Floats]:
    """Rotate, zoom and shift.

    The crop stays inside the image if there is room; otherwise the same crop without the rotation does.
    """
    draws = uniforms(keys, pass_number, 6)[:, 1:]
    half = 1.0 / (1.0 + draws[:, 0] * (stage.max_zoom - 1.0))
    angle = np.where(draws[:, 1] < _ROTATED, np.radians(stage.max_rotate) * (2.0 * draws[:, 2] - 1.0), 0.0)
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)
    covered = half * (np.abs(cos) + np.abs(sin))
    room = np.maximum(reach - covered[:, None], 1.0 - half[:, None])
    return half[:, None, None] * rotation @ first, room * (2.0 * draws[:, 3:] - 1.0)


def _resized_crop(stage: Stage, keys: Keys, reach: Floats, pass_number: int) -> tuple[Floats, Floats]:
    """Crop a part of random size, shape and place, half of them mirrored.

    After Szegedy et al. 2015, arXiv:1409.4842, section 6. The area is a uniform share of the largest crop of the drawn
    shape in a square of the frame's size. So no draw is rejected, and none shows more than the short side.
    """
    draws = uniforms(keys, pass_number, 5)
    ratio = np.exp(_LONGEST * (2.0 * draws[:, 1] - 1.0))
    height = np.minimum(1.0, 1.0 / ratio)
    share = stage.min_scale + (1.0 - stage.min_scale) * draws[:, 2]
    half = np.sqrt(share)[:, None] * np.stack([height * ratio, height], axis=1)
    mirrored = _symmetries(np.where(draws[:, 0] < 0.5, 4, 0))
    return half[:, :, None] * mirrored, (reach - half) * (2.0 * draws[:, 3:] - 1.0)


def _symmetries(numbers: NDArray[np.int64]) -> Floats:
    """Return symmetries of the square, (B, 2, 2): 0 to 3 are quarter turns, 4 to 7 those of the mirror image."""
    quarter, mirror = np.array([[0, -1], [1, 0]]), np.diag([-1, 1])
    turns = [np.linalg.matrix_power(quarter, n) for n in range(4)]
    return np.array([*turns, *(turn @ mirror for turn in turns)], np.float64)[numbers]


def _light(most: float, keys: Keys, pass_number: int) -> NDArray[np.float32]:
    """Draw contrast (around mid grey, 1 - most to 1 / (1 - most)) and brightness (by `most` of mid grey)."""
    draws = 2.0 * uniforms(keys, pass_number, 8)[:, 6:] - 1.0
    gain = np.exp(-np.log1p(-most) * draws[:, 0])
    offset = 0.5 * (1.0 - gain) + 0.5 * most * draws[:, 1]
    return np.stack([gain, offset], axis=1).astype(np.float32)


_DRAWN = {"side_on": _side_on, "top_down": _top_down, "random-resized-crop": _resized_crop}
