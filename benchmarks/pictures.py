"""The images of the benchmarks: 480 JPEGs of about 500 x 375 px and 70 KB in learnable classes.

    python benchmarks/pictures.py --folder DIR

Laid out as DIR/train/CLASS/NUMBER.jpg, DIR/valid/..., DIR/test/...; the same bytes for the same arguments and
versions of numpy and OpenCV. Each class has a colour, a direction and width of stripes, and a number of corners; in
each image all of them vary, among clutter of other colours.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
from real import linked

CLASSES, SIZES = 10, {"train": 320, "valid": 64, "test": 96}
WIDTH, HEIGHT = 500, 375
QUALITY = 87  # gives about 70 KB


def main() -> None:
    """Write the missing images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    for split, n in SIZES.items():
        parser.add_argument(f"--{split}", type=int, default=n)
    asked = parser.parse_args()
    folder = draw_all(asked.folder, {split: getattr(asked, split) for split in SIZES})
    files = list(folder.glob("*/*/*.jpg"))
    print(f"{len(files)} pictures in {folder}, {sum(f.stat().st_size for f in files) / len(files) / 1000:.0f} KB each")


def draw_all(folder: Path, sizes: dict[str, int] | None = None) -> Path:
    """Write a set of images, unless one of these sizes is complete; return its folder in `folder`."""
    sizes = sizes or SIZES
    place = folder / "-".join(str(n) for n in sizes.values())
    if not (place / "complete").exists():
        for number, (split, n) in enumerate(sizes.items()):
            for i in range(n):
                path = place / split / f"kind{i % CLASSES}" / f"{i:05}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), draw(i % CLASSES, 1_000_000 * number + i), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        (place / "complete").touch()
    return place


def asked_for(asked: argparse.Namespace) -> Path:
    """Return the folder of the usual set in the benchmarks' work folder; with --tiny or --data that of another."""
    if getattr(asked, "data", None):
        return linked(asked.work, asked.data, asked.images)
    return draw_all(asked.work.absolute() / "pictures", dict.fromkeys(SIZES, 32) if asked.tiny else SIZES)


def copies(source: Path, folder: Path, n_train: int) -> Path:
    """Make a larger train set of hard links, each with its own name; valid and test keep their size."""
    place = folder / f"copies-{n_train}"
    files = {split: sorted((source / split).glob("*/*.jpg")) for split in SIZES}
    wanted = {"train": n_train, "valid": len(files["valid"]), "test": len(files["test"])}
    for split, n in wanted.items():
        for i in range(n):
            original = files[split][i % len(files[split])]
            path = place / split / original.parent.name / f"{i:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                os.link(original, path)
    return place


def draw(kind: int, number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Draw one image (height, width, 3) uint8 of a class; kinds from 100 on are other classes of the same kind."""
    random = np.random.default_rng((kind, number))
    style = np.random.default_rng(1000 + kind)
    hue, angle, period, corners = (
        style.uniform(0, 180),
        style.uniform(0, np.pi),
        style.uniform(10, 40),
        style.integers(3, 8),
    )
    picture = _clutter(random, width, height)
    for _ in range(random.integers(1, 4)):
        mask = _shape(random, corners, width, height)
        turned = angle + random.normal(0, 0.2)
        y, x = np.mgrid[:height, :width]
        along = (x * np.cos(turned) + y * np.sin(turned)) / (period * random.uniform(0.8, 1.25))
        stripes = 0.6 + 0.4 * np.sin(2 * np.pi * along + random.uniform(0, 6))
        colour = _colour(hue + random.normal(0, 12), random.uniform(90, 200), random.uniform(140, 255))
        picture = np.where(mask[..., None], colour * stripes[..., None], picture)
    noise = random.normal(0, 9, (height, width, 1)) + random.normal(0, 5, (height, width, 3))
    return (picture * random.uniform(0.75, 1.15) + noise).clip(0, 255).astype(np.uint8)


def _clutter(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Draw soft noise of all sizes, with a few plain shapes of random colours."""
    picture = np.zeros((height, width, 3))
    for cells in (3, 8, 24, 80):
        rough = random.normal(0, 70 / np.sqrt(cells), (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    picture += random.uniform(60, 190, 3)
    for _ in range(random.integers(2, 6)):
        mask = _shape(random, int(random.integers(3, 8)), width, height, largest=0.2)
        picture[mask] = _colour(random.uniform(0, 180), random.uniform(0, 200), random.uniform(40, 255))
    return picture


def _shape(random: np.random.Generator, corners: int, width: int, height: int, largest: float = 0.45) -> np.ndarray:
    """Return the mask (height, width) of a polygon somewhere in the image."""
    radius = random.uniform(0.12, largest) * height
    centre = random.uniform((0.2 * width, 0.2 * height), (0.8 * width, 0.8 * height))
    turns = random.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(corners) / corners
    points = centre + radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [points.astype(np.int32)], 1)
    return mask.astype(bool)


def _colour(hue: float, saturation: float, value: float) -> np.ndarray:
    pixel = np.array([[[hue % 180, saturation, value]]], np.uint8)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0].astype(np.float64)


if __name__ == "__main__":
    main()
