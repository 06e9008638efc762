from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import cv2
import numpy as np
import pytest
import torch

from kagglekit import DataConfig
from kagglekit.images.device_warp import gather, slack
from kagglekit.images.warp import normalise, normalise_on_device, warp
from kagglekit.types.pixel_form import RGB
from kagglekit.types.stage import Border

if TYPE_CHECKING:
    from numpy.typing import NDArray

BORDERS = get_args(Border)
CONFIG = DataConfig(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
IDENTITY = np.eye(2, 3, dtype=np.float32)


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def turned(degrees: float, half: float, x: float = 0.0, y: float = 0.0) -> NDArray[np.float32]:
    c, s = half * np.cos(np.radians(degrees)), half * np.sin(np.radians(degrees))
    return np.array([[c, -s, x], [s, c, y]], np.float32)


def gathered(
    pictures: list[NDArray[np.uint8]],
    maps: NDArray[np.float32],
    aspects: NDArray[np.float32],
    size: int,
    border: Border,
) -> torch.Tensor:
    lengths = np.array([picture.size for picture in pictures])
    heights, widths = np.array([picture.shape[:2] for picture in pictures], np.int32).T
    behind = np.full(slack(widths, RGB), 255, np.uint8)
    flat = torch.from_numpy(np.concatenate([*(picture.reshape(-1) for picture in pictures), behind]))
    return gather(flat, np.cumsum(lengths) - lengths, heights, widths, maps, aspects, size, border)


def aspects_of(pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    return np.array([picture.shape[1] / picture.shape[0] for picture in pictures], np.float32)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("side", [8, 63, 160, 299])
def test_an_identity_view_returns_the_stored_bytes(side: int, border: Border):
    pictures = [noise(side, side)]
    maps, aspects = IDENTITY[None], np.ones(1, np.float32)
    assert np.array_equal(warp(pictures, maps, aspects, side, border), pictures)
    on_device = gathered(pictures, maps, aspects, side, border).permute(0, 2, 3, 1)
    assert np.array_equal(on_device.round().numpy().astype(np.uint8), pictures)


def test_the_centre_of_a_long_picture_is_its_middle_bytes():
    wide, high = noise(64, 128), noise(128, 64)
    square = warp([wide, high], np.stack([IDENTITY] * 2), aspects_of([wide, high]), 64, "reflect")
    assert np.array_equal(square[0], wide[:, 32:96])
    assert np.array_equal(square[1], high[32:96])


def test_mirror_images_and_quarter_turns_are_exact():
    picture = noise(96, 96)
    exact = {
        ((-1, 0), (0, 1)): picture[:, ::-1],
        ((1, 0), (0, -1)): picture[::-1],
        ((0, 1), (1, 0)): picture.transpose(1, 0, 2),
        ((0, -1), (1, 0)): np.rot90(picture, 1),
        ((0, 1), (-1, 0)): np.rot90(picture, -1),
    }
    for linear, expected in exact.items():
        matrix = np.concatenate([np.array(linear, np.float32), np.zeros((2, 1), np.float32)], axis=1)
        assert np.array_equal(warp([picture], matrix[None], np.ones(1, np.float32), 96, "zero")[0], expected)


@pytest.mark.parametrize("border", BORDERS)
def test_the_warps_of_cpu_and_device_agree(border: Border):
    rng = np.random.default_rng(1)
    pictures = [noise(*rng.integers(1, 90, 2), seed) for seed in range(40)]  # the finest detail there can be
    linear, shift = rng.normal(0, 0.6, (40, 2, 2)), rng.normal(0, 1.5, (40, 2, 1))  # far beyond the picture
    maps = np.concatenate([linear, shift], axis=2).astype(np.float32)
    aspects = aspects_of(pictures) * np.float32(1.1)
    on_cpu = warp(pictures, maps, aspects, 48, border).astype(np.float32)
    on_device = gathered(pictures, maps, aspects, 48, border).permute(0, 2, 3, 1).numpy()
    assert np.abs(on_cpu - on_device).mean() <= 2.0
    assert np.abs(on_cpu - on_device).max() <= 32.0


def test_what_lies_outside_of_the_picture_is_as_asked():
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:, :20] = 200  # left half
    picture[:, -1] = 50  # right edge
    shifted = IDENTITY + np.array([[0, 0, 1.0], [0, 0, 0]], np.float32)  # the right half of the output is outside
    right = {
        border: warp([picture], shifted[None], np.ones(1, np.float32), 40, border)[0, 20, 20:, 0] for border in BORDERS
    }
    assert np.array_equal(right["reflect"], [*[0] * 19, 200])  # the last pixel is not repeated
    assert np.array_equal(right["edge"], [50] * 20)
    assert np.array_equal(right["zero"], [0] * 20)


@pytest.mark.parametrize("squashed", [False, True])
@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize(("height", "width"), [(600, 1200), (1200, 600), (600, 1801)])
def test_a_circle_stays_a_circle_in_a_rotated_crop(height: int, width: int, on_device: bool, squashed: bool):
    picture = np.zeros((height, width, 3), np.uint8)
    centre, radius = (width // 2 + 40, height // 2 - 30), 150
    cv2.circle(picture, centre, radius, (255, 255, 255), -1, cv2.LINE_AA)
    short = min(height, width)
    stored = (180, 180) if squashed else (width * 180 // short, height * 180 // short)
    copy = cv2.resize(picture, stored, interpolation=cv2.INTER_AREA)
    maps, aspects, size = turned(33, 0.9, 0.1, -0.1)[None], aspects_of([picture]), 160
    if on_device:
        shown = gathered([copy], maps, aspects, size, "zero")[0, 0].numpy()
    else:
        shown = warp([copy], maps, aspects, size, "zero")[0, :, :, 0]
    moments = cv2.moments(shown.astype(np.float32))
    covariance = np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]]) / moments["m00"]
    axes = 2.0 * np.sqrt(np.linalg.eigvalsh(covariance))  # the half axes of a filled ellipse
    expected = radius / (short / 2) * (size / 2) / 0.9
    assert axes == pytest.approx([expected, expected], rel=0.02)
    assert axes[1] / axes[0] < 1.02


def test_a_warp_is_placed_to_a_hundredth_of_a_pixel():
    ramp = np.repeat(np.arange(0, 250, 2, dtype=np.uint8)[None, :, None], 125, axis=0).repeat(3, axis=2)
    maps, aspects = turned(0, 0.5, 0.253, 0.0)[None], np.ones(1, np.float32)
    # column i of 50 lies at 0.253 + 0.5 * ((2 i + 1) / 50 - 1) of [-1, 1], that is at pixel 47.1875 + 1.25 i
    expected = 2 * (47.1875 + 1.25 * np.arange(50))
    assert gathered([ramp], maps, aspects, 50, "edge")[0, 0, 7].numpy() == pytest.approx(expected, abs=0.02)
    assert warp([ramp], maps, aspects, 50, "edge")[0, 7, :, 0] == pytest.approx(expected, abs=0.6)


def test_a_finished_batch_is_normalised_after_its_colours_were_clamped():
    pixels = noise(4 * 32, 32).reshape(4, 32, 32, 3)
    colours = np.array([[1, 0], [2, 0], [1, -0.5], [0.5, 0.25]], np.float32)
    seen = np.clip(colours[:, None, None, :1] * (pixels / 255.0) + colours[:, None, None, 1:], 0, 1)
    expected = ((seen - CONFIG.mean) / CONFIG.std).transpose(0, 3, 1, 2)
    finished = normalise(pixels, colours, CONFIG)
    on_device = normalise_on_device(torch.from_numpy(pixels).permute(0, 3, 1, 2), colours, CONFIG)
    for batch in (finished, on_device):
        assert batch.dtype == torch.float32
        assert batch.is_contiguous(memory_format=torch.channels_last)
        assert batch.numpy() == pytest.approx(expected, abs=1e-5)


def test_without_colours_a_finished_batch_is_only_normalised():
    pixels = noise(3 * 16, 16).reshape(3, 16, 16, 3)
    expected = ((pixels / 255.0 - CONFIG.mean) / CONFIG.std).transpose(0, 3, 1, 2)
    on_device = normalise_on_device(torch.from_numpy(pixels).permute(0, 3, 1, 2), None, CONFIG)
    assert normalise(pixels, None, CONFIG).numpy() == pytest.approx(expected, abs=1e-5)
    assert on_device.numpy() == pytest.approx(expected, abs=1e-5)
