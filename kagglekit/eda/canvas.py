"""Write figures and grids of images as PNG files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.system.display.printable import printable, shortened
from kagglekit.system.files import replacing
from kagglekit.system.output_marker import mark_output

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from PIL import Image

    Cell = tuple[Sequence[str], NDArray[np.uint8]]

DOTS = 110  # an inch
COLUMNS = 8  # of a grid
CELL, GAP, LINE = 136, 8, 14  # of a grid: side of an image, space between, height of a line, px
LINES = 2  # of text below an image
MOST_LETTERS = 60  # of a name in a figure


def draw_grid(cells: Sequence[Cell], file: Path) -> None:
    """Draw images (H, W, 3) in rows, each above its lines of text; leave the cell of an empty image blank."""
    from PIL import Image, ImageDraw, ImageFont

    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (CELL + GAP) + GAP, rows * (CELL + LINES * LINE + GAP) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(LINE - 3)
    for number, (texts, pixels) in enumerate(cells):
        x, y = GAP + number % COLUMNS * (CELL + GAP), GAP + number // COLUMNS * (CELL + LINES * LINE + GAP)
        if pixels.size:
            image = _sized(Image.fromarray(pixels))
            sheet.paste(image, (x + (CELL - image.width) // 2, y + (CELL - image.height) // 2))
        for line, text in enumerate(texts[:LINES]):
            shown = _fitting(printable(text), lambda start: font.getlength(start) <= CELL)
            draw.text((x, y + CELL + line * LINE), shown, fill="black", font=font)
    mark_output(file)
    with replacing(file) as part:
        sheet.save(part, "PNG")


def _sized(image: Image.Image) -> Image.Image:
    """Return an image that fits a cell: a large one reduced, a small one with each pixel as a square."""
    from PIL.Image import Resampling

    if (times := CELL // max(image.size)) > 1:
        return image.resize((image.width * times, image.height * times), Resampling.NEAREST)
    image.thumbnail((CELL, CELL))
    return image


def _fitting(text: str, fits: Callable[[str], bool]) -> str:
    """Return the longest start of a text that fits."""
    return next((text[:end] for end in range(min(len(text), CELL), 0, -1) if fits(text[:end])), "")


def name_in_figure(name: str) -> str:
    """Return a name as a figure shows it: unprintable letters escaped, shortened if it is long."""
    return shortened(printable(name), MOST_LETTERS)


@contextmanager
def plain_text() -> Iterator[None]:
    """Draw text as it is while the block runs: a dollar in a name starts no formula, a missing glyph is a box."""
    import matplotlib as mpl

    with mpl.rc_context({"text.parse_math": False, "text.usetex": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


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
    mark_output(file)
    with replacing(file) as part:
        figure.savefig(part, format="png", metadata=metadata)
