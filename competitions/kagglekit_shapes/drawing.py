"""Draw the images of the demo competition: ten kinds of shapes on backgrounds with clutter and noise.

An image is a pure function of its kind and name, so it is the same on every machine. Shapes are filled at four
times the side with integer corners and then averaged, which gives smooth edges without depending on a drawing
library's anti-aliasing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kagglekit import UserError, image_keys, uniforms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Dice = Callable[[int], Floats]  # the image's next n random numbers in [0, 1), (n,)

SIDE = 80  # of an image, px
FINE = 4  # shapes are filled at this many times the side
PER_KIND = {"train": 100, "test": 50}  # images of each kind


def draw_all(folder: Path) -> None:
    """Draw every image as ``folder/images/NAME.png``, unless that is done, and write two lists of labels.

    ``train.txt`` and ``test.txt`` have a line ``NAME KIND`` an image. The folder appears whole or not at all:
    everything is drawn beside it and renamed. If two runs draw at once, the first one's images stay; they are
    the same.

    Raises:
        UserError: The folder cannot be written.
    """
    if _is_done(folder):
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".drawing-", dir=folder.parent) as scratch:
            _draw_into(Path(scratch) / "new")
            _move(Path(scratch) / "new", folder)
    except OSError as error:
        raise UserError(
            f"cannot write the drawn images to {folder}: {error.strerror or error}",
            "free some disk space, or set KAGGLEKIT_DATA to a writable folder",
        ) from error


def _draw_into(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    lists: dict[str, list[str]] = {part: [] for part in PER_KIND}
    for number, (part, kind) in enumerate(parts_and_kinds(), 1):
        name = f"shape-{number:04d}"
        (folder / "images" / f"{name}.png").write_bytes(_png(draw(kind, name)))
        lists[part].append(f"{name} {kind}\n")
    for part, lines in lists.items():
        (folder / f"{part}.txt").write_text("".join(lines), encoding="utf-8")


def _move(new: Path, folder: Path) -> None:
    try:
        new.rename(folder)
    except OSError:
        if not _is_done(folder):  # by another run at the same time
            raise


def _is_done(folder: Path) -> bool:
    return (folder / "test.txt").is_file()  # the folder gets its name after all files are in it


def parts_and_kinds() -> Iterator[tuple[str, str]]:
    """Yield the part (``train`` or ``test``) and the kind of each image, in the order of their numbers."""
    for part, count in PER_KIND.items():
        yield from ((part, kind) for _ in range(count) for kind in KINDS)


def _png(image: NDArray[np.uint8]) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", image[..., ::-1])[1])


def draw(kind: str, name: str) -> NDArray[np.uint8]:
    """Draw one image, uint8 (SIDE, SIDE, 3), RGB: a shape of `kind` in clutter, with `name` as the seed."""
    dice = _dice(name)
    canvas = _background(dice)
    for _ in range(6):
        _fill(canvas, _blob(dice), _dim(dice))
    for _ in range(5):
        _fill(canvas, _line(dice), _dim(dice))
    _fill(canvas, _placed(KINDS[kind], dice), _bright(dice))
    for _ in range(2):
        _fill(canvas, _line(dice), _dim(dice))
    return _noisy(canvas, name, strength=0.04 + 0.1 * float(dice(1)[0]))


def _dice(name: str) -> Dice:
    numbers = iter(uniforms(image_keys([name], "shapes"), 0, 128)[0])
    return lambda n: np.fromiter(numbers, np.float64, n)


def _background(dice: Dice) -> Floats:
    """Draw a linear gradient between two colours, (SIDE, SIDE, 3) in [0, 1]."""
    angle = 2 * np.pi * dice(1)[0]
    grid = np.linspace(-1, 1, SIDE)
    along = (np.cos(angle) * grid[None, :] + np.sin(angle) * grid[:, None] + 2**0.5) / 8**0.5
    one, other = 0.5 * dice(3), 0.5 * dice(3)
    canvas: Floats = one + along[..., None] * (other - one)
    return canvas


def _dim(dice: Dice) -> Floats:
    """Draw a colour for clutter, (3,)."""
    colour: Floats = 0.1 + 0.7 * dice(3)
    return colour


def _bright(dice: Dice) -> Floats:
    """Draw a colour for a shape, (3,): one channel is full."""
    colour: Floats = 0.3 + 0.7 * dice(3)
    colour /= colour.max()
    return colour


def _placed(outlines: list[Floats], dice: Dice) -> list[Floats]:
    """Rotate, squeeze, scale and move outlines of unit radius to px, so that the whole shape is within the image."""
    turn, squeeze, size, *place = dice(5)
    radius = SIDE * (0.16 + 0.2 * size)
    stretch = np.diag([1, 0.8 + 0.2 * squeeze])
    moved = np.array(place) * (SIDE - 2 * radius) + radius
    rotation = _rotation(2 * np.pi * turn)
    return [radius * outline @ stretch @ rotation + moved for outline in outlines]


def _line(dice: Dice) -> list[Floats]:
    """Return the outline of a thin straight line between two random points, px."""
    ends, width = dice(4).reshape(2, 2) * SIDE, 0.5 + dice(1)[0]
    along = ends[1] - ends[0]
    across = along[::-1] * (1, -1) / max(float(np.hypot(*along)), 1.0) * width
    return [np.array([ends[0] - across, ends[0] + across, ends[1] + across, ends[1] - across])]


def _blob(dice: Dice) -> list[Floats]:
    """Return the outline of a small ellipse at a random place, px."""
    radii = SIDE * (0.02 + 0.04 * dice(2))
    return [_arc(0, 2 * np.pi, 24) * radii @ _rotation(np.pi * dice(1)[0]) + SIDE * dice(2)]


def _fill(canvas: Floats, outlines: list[Floats], colour: Floats) -> None:
    """Paint the inside of outlines (px), by the even-odd rule, onto the canvas."""
    import cv2

    corners = np.concatenate(outlines)
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, SIDE - 1).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)) + 1, 1, SIDE).astype(int)
    fine = np.zeros(((bottom - top) * FINE, (right - left) * FINE), np.uint8)
    cv2.fillPoly(fine, [np.rint((points - (left, top)) * FINE).astype(np.int32) for points in outlines], 1)
    cover = fine.reshape(bottom - top, FINE, right - left, FINE).mean(axis=(1, 3))[..., None]
    part = canvas[top:bottom, left:right]
    part += cover * (colour - part)


def _noisy(canvas: Floats, name: str, strength: float) -> NDArray[np.uint8]:
    """Add near-normal noise of standard deviation `strength` and round to uint8."""
    seed = int(image_keys([name], "noise")[0])
    bits = np.random.PCG64(seed).random_raw(canvas.size // 2)  # raw bits are the same in every numpy
    noise = bits.astype("<u8").view(np.uint8).reshape(4, *canvas.shape).sum(axis=0, dtype=np.int16)
    image: NDArray[np.uint8] = np.rint(255 * np.clip(canvas + strength * (noise - 510) / 147.8, 0, 1)).astype("u1")
    return image


def _rotation(angle: float) -> Floats:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _arc(start: float, end: float, n: int) -> Floats:
    """Return points of the unit circle from angle to angle, (n, 2)."""
    angles = np.linspace(start, end, n)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _corners(n: int) -> Floats:
    """Return the n corners of a regular polygon of unit radius, (n, 2)."""
    return _arc(0, 2 * np.pi, n + 1)[:-1]


def _crescent() -> Floats:
    """Return the unit disc minus a second disc; their circles meet at 55 degrees above and below the axis."""
    tip, bend = np.radians(55), np.radians(100)
    inner = _arc(bend, 2 * np.pi - bend, 32) * np.sin(tip) / np.sin(bend)
    inner += _arc(tip, tip, 1) - inner[:1]
    return np.concatenate([_arc(tip, 2 * np.pi - tip, 48), inner[::-1]])


def _cross() -> Floats:
    arm = np.array([[0.95, -0.3], [0.95, 0.3], [0.3, 0.3]])
    return np.concatenate([arm @ _rotation(quarter * np.pi / 2) for quarter in range(4)])


def _arrow() -> Floats:
    half = np.array([[1, 0], [0.2, 0.7], [0.2, 0.24], [-0.95, 0.24]])
    return np.concatenate([half, half[:0:-1] * (1, -1)])


def _heart() -> Floats:
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, y + 2.5], axis=1) / 18.2


# Outlines within the unit circle; what is inside an even number of them is hollow.
KINDS = {
    "arrow": [_arrow()],
    "circle": [_corners(64)],
    "crescent": [_crescent()],
    "cross": [_cross()],
    "heart": [_heart()],
    "pentagon": [_corners(5)],
    "ring": [_corners(64), 0.55 * _corners(64)],
    "square": [_corners(4)],
    "star": [_corners(10) * np.tile([1, 0.42], 5)[:, None]],
    "triangle": [_corners(3)],
}
