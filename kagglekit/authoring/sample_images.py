"""Draw images for a check without data, in three classes that are easy to distinguish."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

CLASSES = ("blue", "green", "red")


def draw_images(folder: Path, per_class: int = 12, side: int = 64) -> pd.DataFrame:
    """Draw noise of three colours as PNG files of `side` px and return their image table, all of it train."""
    random, rows = np.random.default_rng(0), []
    folder.mkdir(parents=True)
    for kind, name in enumerate(CLASSES):
        for number in range(per_class):
            pixels = random.integers(0, 100, (side, side, 3))
            pixels[..., 2 - kind] += 100
            file = folder / f"{name}-{number}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(file)
            rows.append({"id": file.stem, "path": str(file), "label": name, "split": "train"})
    return pd.DataFrame(rows, dtype=object)
