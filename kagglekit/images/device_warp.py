"""Warp stored images on the device that holds their pixels, with few kernels a batch: one of Triton's, else torch's.

Where batches are small, a GPU waits for the thread that launches its kernels, so their number counts.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from kagglekit.compute.device import all_to_device
from kagglekit.images.warp import ColourMap, pixel_maps
from kagglekit.types.pixel_form import RGB, PixelForm

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from kagglekit.types.stage import Border

_LEAST_PERIOD = 1e-6  # px, of the mirror images of an axis with one pixel


def slack(widths: NDArray[np.int32], form: PixelForm) -> int:
    """Return the bytes that must follow the last image on a device: `gather` reads them, with a weight of 0."""
    return (int(widths.max(initial=0)) + 1) * form.pixel_bytes


def gather(
    flat: Tensor,
    offsets: NDArray[np.int64],
    heights: NDArray[np.int32],
    widths: NDArray[np.int32],
    maps: NDArray[np.float32],
    aspects: NDArray[np.float32],
    size: int,
    border: Border,
    form: PixelForm = RGB,
    finish: ColourMap | None = None,
) -> Tensor:
    """Do the work of `kagglekit.images.warp.warp` on the device that holds the store's pixels.

    All that a batch needs is copied to the device in one transfer. Pixel numbers within an image are int32; only an
    image's start is int64, since a store may have more than 2 GB.

    Args:
        flat: (bytes,) uint8: all images, each (h, w, C) in rows, one after the other, then `slack` bytes.
        offsets: (B,) the start of each image in `flat`, bytes, multiples of a pixel's length.
        heights: (B,) of the stored copies, px.
        widths: (B,) of the stored copies, px.
        maps: (B, 2, 3), output to image coordinates (see `kagglekit.types.view`).
        aspects: (B,) width / height of the original images.
        size: Side of the output, px.
        border: How points outside of an image are filled.
        form: Of the stored pixels.
        finish: The colour map to apply, see `kagglekit.images.warp.colour_map`; None for none.

    Returns:
        (B, C, size, size) float32, channels last. Without `finish` in [0, white], not rounded to whole numbers.
    """
    matrices = pixel_maps(maps, heights, widths, aspects, size)
    starts, last = offsets // form.pixel_bytes, np.stack([widths, heights], axis=1).astype(np.int32) - 1
    if flat.device.type == "cuda" and _triton_agrees(flat.device, form.channels, form.depth, border):
        from kagglekit.images.triton_warp import gathered_by_triton

        return gathered_by_triton(flat, starts, last, matrices, size, border, form, finish)
    return gathered_by_torch(flat, starts, last, matrices, size, border, form, finish)


def gathered_by_torch(
    flat: Tensor,
    starts: NDArray[np.int64],
    last: NDArray[np.int32],
    matrices: NDArray[np.float64],
    size: int,
    border: Border,
    form: PixelForm,
    finish: ColourMap | None = None,
) -> Tensor:
    """Gather with torch's own functions: 12 kernels with border ``reflect``, 11 with ``edge``, 17 with ``zero``.

    Args:
        flat: As in `gather`.
        starts: (B,) the start of each image in `flat`, pixels.
        last: (B, 2) the numbers of the last column and the last row of each image.
        matrices: (B, 2, 3), see `kagglekit.images.warp.pixel_maps`.
        size: As in `gather`, as is all that follows, and the result.
        border: As in `gather`.
        form: As in `gather`.
        finish: As in `gather`.

    Raises:
        ValueError: `flat` has no `slack`.
    """
    windows = _windows(flat, form)
    widths = last[:, :1] + 1
    rows = np.concatenate([starts[:, None], starts[:, None] + widths], axis=1)  # (B, 2): two rows that are read
    if (starts + widths[:, 0] * (last[:, 1] + 2)).max(initial=0) > len(windows):
        raise ValueError("the pixels on the device lack the slack behind the last image")
    shift = matrices[:, :, 2] + (last if border == "reflect" else 0)
    lines = shift[:, :, None] + matrices[:, :, 1, None] * np.arange(size)  # (B, 2, S): the first point of each row
    numbers = (matrices[:, :, 0], last, np.maximum(2 * last, _LEAST_PERIOD), lines, *(finish or ()))
    sent = all_to_device([rows, widths, *(each.astype(np.float32) for each in numbers)], flat.device)
    first, width, step, end, period, line, *colours = sent
    at = torch.addcmul(line[..., None], step[:, :, None, None], _columns(size, flat.device))
    at, fade = _into_image(at, end[:, :, None, None], period[:, :, None, None], border)
    low = at.int()
    share = at.frac_()[..., None]
    pixel = torch.addcmul(low[:, 0], low[:, 1], width[:, :, None])
    taken = windows[pixel[:, None] + first[:, :, None, None]]
    values = (taken.view(torch.uint16) if form.depth == 16 else taken).float()  # (B, 2, S, S, 2 C)
    two = torch.lerp(values[:, 0], values[:, 1], share[:, 1])
    result = torch.lerp(two[..., : form.channels], two[..., form.channels :], share[:, 0])
    if fade is not None:
        result *= fade[..., None]
    if colours:
        scale, bias, least, most = (part[:, None, None] for part in colours)
        result = torch.addcmul(bias, result, scale).clamp_(least, most)
    return result.permute(0, 3, 1, 2)


def _windows(flat: Tensor, form: PixelForm) -> Tensor:
    """Return a view of all pairs of pixels that follow one another, (N - 1, 2 C)."""
    pixels = flat if form.depth == 8 else flat[: len(flat) // 2 * 2].view(torch.int16)
    return pixels.as_strided((len(pixels) // form.channels - 1, 2 * form.channels), (form.channels, 1))


def _into_image(at: Tensor, end: Tensor, period: Tensor, border: Border) -> tuple[Tensor, Tensor | None]:
    """Move points (B, 2, S, S) into the image, whose axes have the points from 0 to `end`.

    Interpolating an image that goes on as its mirror image, or as its edge, is interpolating it at the moved point. Of
    one that goes on with zeros, the value also fades within a pixel: with ``max(0, 1 - move)`` for each axis.

    Returns:
        The points, and the factors (B, S, S) of ``zero``. For ``reflect``, `at` has been shifted by `end`.
    """
    if border == "reflect":
        return at.remainder_(period).sub_(end).abs_(), None
    inside = torch.minimum(at.clamp_min(0.0), end)
    if border == "edge":
        return inside, None
    fade = (1.0 - at.sub_(inside).abs_()).relu_()
    return inside, fade[:, 0] * fade[:, 1]


@lru_cache(maxsize=16)
def _columns(size: int, device: torch.device) -> Tensor:
    return torch.arange(size, device=device, dtype=torch.float32)


@lru_cache
def _triton_agrees(device: torch.device, channels: int, depth: int, border: Border) -> bool:
    """Return whether Triton's kernel can be compiled here, and gives the values of torch's functions.

    It needs a C compiler. Any failure is a reason to do without it: the values are the same.
    """
    form = PixelForm(channels, 16 if depth == 16 else 8)
    draw = np.random.default_rng(0)
    last = np.array([[6, 4], [0, 5], [8, 0]], np.int32)
    lengths = (last + 1).prod(axis=1)
    starts = np.cumsum(lengths) - lengths
    n_bytes = int(lengths.sum()) * form.pixel_bytes + slack(last[:, 0] + 1, form)
    try:
        from kagglekit.images.triton_warp import gathered_by_triton

        flat = torch.from_numpy(draw.integers(0, 256, n_bytes, dtype=np.uint8)).to(device)
        given = flat, starts, last, draw.normal(0, 4, (3, 2, 3)), 20, border, form
        with warnings.catch_warnings():  # Triton's own, while it compiles: they say nothing to users
            warnings.simplefilter("ignore")
            difference = gathered_by_triton(*given) - gathered_by_torch(*given)
        return float(difference.abs().max()) < form.white / 255
    except Exception:
        return False
