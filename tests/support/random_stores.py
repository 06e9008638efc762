"""Stores of random images of many sizes, and loaders over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from kagglekit import DataConfig, View, uniforms
from kagglekit.images.loader import Loader
from kagglekit.images.store import ImageStore
from kagglekit.types.pixel_form import PixelForm
from kagglekit.types.randomness import image_keys
from kagglekit.types.stage import Border

FORMS = {"rgb": PixelForm(), "four": PixelForm(4, 8), "deep": PixelForm(2, 16)}


def store_of(n: int, form: PixelForm = FORMS["rgb"]) -> ImageStore:
    draw = np.random.default_rng(0)
    shapes = draw.integers(1, 90, (n, 2))
    images = [draw.integers(0, form.white + 1, (h, w, form.channels)).astype(form.dtype) for h, w in shapes]
    lengths = np.array([image.nbytes for image in images])
    heights, widths = shapes.T.astype(np.int32)
    return ImageStore(
        folder=Path(),
        names=tuple(f"{i}.jpg" for i in range(n)),
        pixels=np.concatenate([image.reshape(-1).view(np.uint8) for image in images]),
        offsets=np.cumsum(lengths) - lengths,
        heights=heights,
        widths=widths,
        aspects=(widths / heights).astype(np.float32),
        bad={},
        constant=(),
        form=form,
    )


def jittered(keys, aspects, pass_number):
    draws = 2 * uniforms(keys, pass_number, 6).reshape(-1, 2, 3) - 1
    return (0.8 * draws + [[1, 0, 0], [0, 1, 0]]).astype(np.float32)


def lit(keys, pass_number):
    return (uniforms(keys, pass_number, 8)[:, 6:] * [0.4, 0.2] + [0.8, -0.1]).astype(np.float32)


def loader_of(store: ImageStore, border: Border, device: torch.device, size: int) -> Loader:
    channels = store.form.channels
    config = DataConfig(mean=(0.4,) * channels, std=(0.25,) * channels)
    keys = image_keys(store.names, "seed")
    return Loader(store, View(maps=jittered, colours=lit, border=border), size, config, keys, device)
