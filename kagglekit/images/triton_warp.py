"""The warp of `kagglekit.images.device_warp` as one kernel of Triton's; importing this needs triton."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import triton
import triton.language as tl

from kagglekit.compute.device import all_to_device

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from kagglekit.images.warp import ColourMap
    from kagglekit.types.pixel_form import PixelForm
    from kagglekit.types.stage import Border

BLOCK = 256  # output pixels of a program
_FILLS = {"reflect": 0, "edge": 1, "zero": 2}


@triton.jit  # type: ignore[untyped-decorator]
def _moved(at, last, fill: tl.constexpr):  # type: ignore[no-untyped-def]
    """Move points into an axis of the pixels 0 to `last`; return them and their factors."""
    inside = tl.minimum(tl.maximum(at, 0.0), last)
    factor = tl.full(at.shape, 1.0, tl.float32)
    if fill == 0:
        period = tl.maximum(2.0 * last, 1e-6)
        ahead = at + last
        ahead -= period * tl.floor(ahead / period)
        inside = tl.minimum(tl.abs(ahead - last), last)
    if fill == 2:
        factor = tl.maximum(1.0 - tl.abs(at - inside), 0.0)
    return inside, factor


@triton.jit(do_not_specialize=["size"])  # type: ignore[untyped-decorator]
def warp_kernel(  # type: ignore[no-untyped-def]
    flat, starts, table, out, size, channels: tl.constexpr, fill: tl.constexpr, block: tl.constexpr
):
    """Compute `block` pixels of an image; a row of `table` has its matrix, last column and row, and colour map."""
    image = tl.program_id(0)
    at = tl.program_id(1) * block + tl.arange(0, block)
    valid = at < size * size
    row, column = (at // size).to(tl.float32), (at % size).to(tl.float32)
    mine = table + image * (8 + 4 * channels)
    last_x, last_y = tl.load(mine + 6), tl.load(mine + 7)
    x = tl.load(mine) * column + tl.load(mine + 1) * row + tl.load(mine + 2)
    y = tl.load(mine + 3) * column + tl.load(mine + 4) * row + tl.load(mine + 5)
    x, factor_x = _moved(x, last_x, fill)
    y, factor_y = _moved(y, last_y, fill)
    left, upper = tl.floor(x), tl.floor(y)
    share_x, share_y = x - left, y - upper
    right, lower = tl.minimum(left + 1.0, last_x), tl.minimum(upper + 1.0, last_y)
    width = last_x.to(tl.int32) + 1
    above, below = upper.to(tl.int32) * width, lower.to(tl.int32) * width
    left, right = left.to(tl.int32), right.to(tl.int32)
    source = flat + tl.load(starts + image) * channels  # int64; all that is added to it fits int32
    target = out + image.to(tl.int64) * size * size * channels + at * channels
    for channel in tl.static_range(channels):
        upper_left = tl.load(source + (above + left) * channels + channel, mask=valid, other=0).to(tl.float32)
        upper_right = tl.load(source + (above + right) * channels + channel, mask=valid, other=0).to(tl.float32)
        lower_left = tl.load(source + (below + left) * channels + channel, mask=valid, other=0).to(tl.float32)
        lower_right = tl.load(source + (below + right) * channels + channel, mask=valid, other=0).to(tl.float32)
        upper_mean = upper_left + (upper_right - upper_left) * share_x
        lower_mean = lower_left + (lower_right - lower_left) * share_x
        value = (upper_mean + (lower_mean - upper_mean) * share_y) * factor_x * factor_y
        colours = mine + 8 + channel
        value = value * tl.load(colours) + tl.load(colours + channels)
        value = tl.minimum(tl.maximum(value, tl.load(colours + 2 * channels)), tl.load(colours + 3 * channels))
        tl.store(target + channel, value, mask=valid)


def gathered_by_triton(
    flat: Tensor,
    starts: NDArray[np.int64],
    last: NDArray[np.int32],
    matrices: NDArray[np.float64],
    size: int,
    border: Border,
    form: PixelForm,
    finish: ColourMap | None = None,
) -> Tensor:
    """Do the work of `kagglekit.images.device_warp.gathered_by_torch` in one kernel."""
    n, channels = len(starts), form.channels
    colours = finish or (np.ones((1, 1)), np.zeros((1, 1)), np.full((1, 1), -np.inf), np.full((1, 1), np.inf))
    parts: list[NDArray[Any]] = [matrices.reshape(n, 6), last]
    parts += [np.broadcast_to(part, (n, channels)) for part in colours]
    table = np.concatenate(parts, axis=1).astype(np.float32)
    out = torch.empty((n, size, size, channels), device=flat.device)
    pixels = flat if form.depth == 8 else flat[: len(flat) // 2 * 2].view(torch.uint16)
    given = pixels, *all_to_device([starts, table], flat.device), out
    grid = (n, triton.cdiv(size * size, BLOCK))
    if n:
        warp_kernel[grid](*given, size, channels=channels, fill=_FILLS[border], block=BLOCK)
    return out.permute(0, 3, 1, 2)
