"""Operations on pixels: images (n, C, S, S) in [0, 1] and a parameter for each (n, K), to images of the same shape.

They work for any number of channels unless they say otherwise, on any device. Each image's result depends on that image
alone, to the last bit: sums over pixels are sums of whole numbers, whose order does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    Operation = Callable[[Tensor, Tensor], Tensor]

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601
_EXACT = 65535  # sums over pixels are sums of this many steps
_WORD = 0xFFFFFFFF


def change(images: Tensor, operation: str, rows: NDArray[np.int64], parameters: NDArray[np.float64]) -> Tensor:
    """Apply an operation to some images of a batch.

    On the CPU one image after the other, which stays in the cache; on other devices all at once.

    Args:
        images: (B, C, S, S) float32 in [0, 1]; written into.
        operation: A name in `OPERATIONS`.
        rows: (n,) the images.
        parameters: (n, K) of the operation.
    """
    on_device = torch.from_numpy(parameters.astype(np.float32)).to(images.device)
    if images.device.type == "cpu":
        for place, row in enumerate(rows.tolist()):
            one = images[row : row + 1]
            one.copy_(OPERATIONS[operation](one.contiguous(), on_device[place : place + 1]))
    elif len(rows):
        chosen = torch.from_numpy(rows).to(images.device)
        images[chosen] = OPERATIONS[operation](images[chosen].contiguous(), on_device)
    return images


def _column(parameters: Tensor, number: int = 0) -> Tensor:
    return parameters[:, number, None, None, None]


def _towards(images: Tensor, other: Tensor, factors: Tensor) -> Tensor:
    """Return images for factor 1, `other` for factor 0, and what lies between or beyond, within [0, 1]."""
    return torch.addcmul(images, other - images, 1.0 - factors).clamp_(0.0, 1.0)


def _mean(values: Tensor) -> Tensor:
    steps = (values * _EXACT).round_().long().sum(dim=(2, 3), keepdim=True)
    return steps.float() / (_EXACT * values.shape[2] * values.shape[3])


def _grey_of(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue)[:, None]


def _brightness(images: Tensor, parameters: Tensor) -> Tensor:
    return (images * _column(parameters)).clamp_(0.0, 1.0)


def _contrast(images: Tensor, parameters: Tensor) -> Tensor:
    """Change the distance from the mean grey; other channels than red, green and blue have a mean each."""
    return _towards(images, _mean(_grey_of(images) if images.shape[1] == 3 else images), _column(parameters))


def _color(images: Tensor, parameters: Tensor) -> Tensor:
    return _towards(images, _grey_of(images), _column(parameters))


def _sharpness(images: Tensor, parameters: Tensor) -> Tensor:
    """Change the distance from a mean over 3 x 3 pixels, the middle one with weight 5, within the border."""
    smooth = images.clone()
    side = images.shape[2]
    inner = smooth[:, :, 1:-1, 1:-1]
    inner.mul_(4.0)
    for row in range(3):
        for column in range(3):
            inner.add_(images[:, :, row : row + side - 2, column : column + side - 2])
    inner.div_(13.0)
    return _towards(images, smooth, _column(parameters))


def _posterize(images: Tensor, parameters: Tensor) -> Tensor:
    """Keep so many bits of 8."""
    step = torch.exp2(8.0 - _column(parameters))
    return ((images * 255.0 + 1e-3) / step).floor_().mul_(step).div_(255.0)


def _solarize(images: Tensor, parameters: Tensor) -> Tensor:
    return torch.where(images >= _column(parameters), 1.0 - images, images)


def _autocontrast(images: Tensor, parameters: Tensor) -> Tensor:
    low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low), images)


def _equalize(images: Tensor, parameters: Tensor) -> Tensor:
    """Make all of 256 levels of a channel equally frequent, by a table; values between levels are interpolated."""
    n, channels, side, _ = images.shape
    levels = (images * 255.0).view(n * channels, -1)
    place = torch.arange(n * channels, device=images.device)[:, None] * 256
    counts = torch.bincount((levels.round().long() + place).view(-1), minlength=n * channels * 256).view(-1, 256)
    last = torch.where(counts > 0, torch.arange(256, device=images.device), 0).amax(dim=1, keepdim=True)
    step = (side * side - counts.gather(1, last)) // 255
    below = counts.cumsum(1) - counts
    tables = torch.where(step > 0, (below + step // 2) // step.clamp_min(1), torch.arange(256, device=images.device))
    tables = tables.clamp_max(255).float() / 255.0
    low = levels.floor().long()
    share = levels - low
    start, end = tables.gather(1, low), tables.gather(1, (low + 1).clamp_max(255))
    return (start + share * (end - start)).view(images.shape)


def _hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue, keeping lightest and darkest channel (the model HSV)."""
    value, low = images.amax(1, keepdim=True), images.amin(1, keepdim=True)
    chroma = value - low
    red, green, blue = images[:, :1], images[:, 1:2], images[:, 2:]
    by = chroma.clamp_min(1e-12)
    hue = torch.where(
        value == red,
        (green - blue) / by,
        torch.where(value == green, (blue - red) / by + 2.0, (red - green) / by + 4.0),
    )
    place = hue + 6.0 * turns
    parts = []
    for offset in (5.0, 3.0, 1.0):
        k = torch.remainder(place + offset, 6.0)
        parts.append(value - chroma * torch.minimum(k, 4.0 - k).clamp_(0.0, 1.0))
    return torch.where(turns == 0, images, torch.cat(parts, 1)).clamp_(0.0, 1.0)


def _jittered(images: Tensor, parameters: Tensor) -> Tensor:
    """Change brightness, contrast, saturation (by factors) and hue (by turns); the latter two need three channels."""
    images = _contrast(_brightness(images, parameters[:, :1]), parameters[:, 1:2])
    return _hue(_color(images, parameters[:, 2:3]), _column(parameters, 3)) if images.shape[1] == 3 else images


def _grey(images: Tensor, parameters: Tensor) -> Tensor:
    return _grey_of(images).expand_as(images)


def _blurred(images: Tensor, parameters: Tensor) -> Tensor:
    """Blur each image by its own standard deviation, px, up to three of them far; images are mirrored at the border."""
    sigma = _column(parameters)
    reach = min(int(np.ceil(3.0 * float(parameters.max()))), images.shape[2] - 1)
    weights = [torch.exp(-0.5 * (offset / sigma) ** 2) * (offset < 3.0 * sigma + 1.0) for offset in range(reach + 1)]
    total = weights[0] + 2.0 * sum(weights[1:], torch.zeros_like(sigma))
    for axis in (2, 3):
        around = [0, 0, reach, reach] if axis == 2 else [reach, reach, 0, 0]
        padded = torch.nn.functional.pad(images, around, mode="reflect")
        shifted = [padded.narrow(axis, start, images.shape[axis]) for start in range(2 * reach + 1)]
        result = images * (weights[0] / total)
        for offset in range(1, reach + 1):
            result.addcmul_(shifted[reach - offset] + shifted[reach + offset], weights[offset] / total)
        images = result
    return images.clamp_(0.0, 1.0)


def _compressed(images: Tensor, parameters: Tensor) -> Tensor:
    """Encode as JPEG of a quality, and decode, on the CPU; other channels than red, green and blue one by one."""
    pixels = (images * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    result = np.empty_like(pixels)
    for image, quality, out in zip(pixels, parameters[:, 0].tolist(), result, strict=True):
        how = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
        for part in (slice(None, None, -1),) if image.shape[2] == 3 else range(image.shape[2]):  # OpenCV expects BGR
            _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., part]), how)
            out[..., part] = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    return torch.from_numpy(result).to(images.device).permute(0, 3, 1, 2).float() / 255.0


def _erased(images: Tensor, parameters: Tensor) -> Tensor:
    """Fill a rectangle: centre x and y, half width and half height in [-1, 1], grey (below 0: noise), seed."""
    side = images.shape[2]
    at = (2.0 * torch.arange(side, device=images.device) + 1.0) / side - 1.0
    inside_x = (at - _column(parameters, 0)).abs() < _column(parameters, 2)
    inside_y = (at[:, None] - _column(parameters, 1)).abs() < _column(parameters, 3)
    fill = _column(parameters, 4)
    if bool((fill < 0).any()):
        fill = torch.where(fill < 0, _noise(_column(parameters, 5), images), fill)
    return torch.where(inside_x & inside_y, fill, images)


def _noise(seeds: Tensor, images: Tensor) -> Tensor:
    """Return uniform noise in [0, 1) of the images' shape, by a hash of seed and place: lowbias32 of C. Wellons."""
    places = torch.arange(images[0].numel(), device=images.device).view(1, *images.shape[1:])
    z = (places + seeds.long() * 0x9E3779B1) & _WORD
    z = ((z ^ (z >> 16)) * 0x7FEB352D) & _WORD
    z = ((z ^ (z >> 15)) * 0x846CA68B) & _WORD
    return ((z ^ (z >> 16)) >> 8).float() * 2.0**-24


OPERATIONS: dict[str, Operation] = {
    "brightness": _brightness,
    "color": _color,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "jittered": _jittered,
    "grey": _grey,
    "blurred": _blurred,
    "compressed": _compressed,
    "erased": _erased,
}
