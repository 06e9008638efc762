"""Write figures and grids of images as PNG files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.system.files import replacing

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


DOTS = 110  # an inch
CELL, GAP, LINE = 136, 8, 14  # of a grid: side of an image, space between, height of a line, px


def draw_grid(images: Sequence[tuple[str, NDArray[np.uint8]]], columns: int, file: Path) -> None:
    """Draw images (H, W, 3) in rows, each above its title; leave the cell of an empty image blank."""
    from PIL import Image, ImageDraw, ImageFont

    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (CELL + GAP) + GAP, rows * (CELL + 2 * LINE + GAP) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(LINE - 3)
    for number, (title, pixels) in enumerate(images):
        x, y = GAP + number % columns * (CELL + GAP), GAP + number // columns * (CELL + 2 * LINE + GAP)
        if pixels.size:
            image = Image.fromarray(pixels)
            image.thumbnail((CELL, CELL))
            sheet.paste(image, (x + (CELL - image.width) // 2, y + (CELL - image.height) // 2))
        for line, text in enumerate(title.splitlines()[:2]):
            shown = _fitting(text, lambda start: font.getlength(start) <= CELL)
            draw.text((x, y + CELL + line * LINE), shown, fill="black", font=font)
    with replacing(file) as part:
        sheet.save(part, "PNG")


def _fitting(text: str, fits: Callable[[str], bool]) -> str:
    """Return the longest start of a text that fits."""
    return next((text[:end] for end in range(len(text), 0, -1) if fits(text[:end])), "")


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure.

    Args:
        width: Inches.
        height: Inches.
    """
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=DOTS, layout="constrained")


def save_figure(figure: Figure, file: Path) -> None:
    """Write a PNG file; equal figures give equal bytes."""
    metadata: dict[str, Any] = {"Software": None}
    with replacing(file) as part:
        figure.savefig(part, format="png", metadata=metadata)
