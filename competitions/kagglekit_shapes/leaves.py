"""A small data folder that nobody has explained, for the tutorial and for trying `kagglekit new`.

It is as untidy as real ones: labels in a CSV file with unusual columns and names without their suffix, and test images
in a folder that is not called so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

TREES = ("birch", "lime", "maple")
COLOURS = ((60, 140, 60), (190, 180, 40), (190, 60, 50))  # of their leaves: red, green, blue
WIDTH, HEIGHT = 96, 72  # of an image, px
LABELLED, TEST = 60, 12  # images


def draw_leaves(folder: str | Path) -> dict[str, str]:
    """Draw 72 leaves on grey backgrounds into a folder: green and round, yellow and long, or red and pointed.

    The pictures are the same at each call. ``notes.csv`` has the trees of 60 of them, which are in ``pictures``. The
    other 12 are in ``to_name``, and ``sample_submission.csv`` asks for their trees.

    Args:
        folder: The data folder; made if it is missing. Files of these names are replaced.

    Returns:
        The tree of each image in ``to_name`` by id, which the host of a competition keeps to himself.

    Raises:
        OSError: The folder cannot be written.
    """
    import numpy as np

    random, folder = np.random.default_rng(0), Path(folder)
    names = [f"{number:04x}" for number in random.permutation(65536)[: LABELLED + TEST]]
    tree_of = {name: TREES[i % 3] for i, name in enumerate(names)}
    known, unknown = names[:LABELLED], names[LABELLED:]
    for place, some in (("pictures", known), ("to_name", unknown)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        for name in some:
            _leaf(TREES.index(tree_of[name]), random).save(folder / place / f"{name}.png")
    notes = [f"{name},{random.choice(['Ann', 'Ben'])},{tree_of[name]}" for name in known]
    _write(folder / "notes.csv", ["Picture,Collector,Tree", *notes])
    _write(folder / "sample_submission.csv", ["Id,Category", *(f"{name},{TREES[0]}" for name in unknown)])
    return {name: tree_of[name] for name in unknown}


def _leaf(kind: int, random: np.random.Generator) -> Image.Image:
    import numpy as np
    from PIL import Image, ImageDraw

    picture = Image.fromarray(random.integers(90, 160, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    x, y = (int(random.integers(low, high)) for low, high in ((8, 40), (4, 24)))
    red, green, blue = (int(value) for value in COLOURS[kind] + random.integers(-20, 20, 3))
    pen, colour = ImageDraw.Draw(picture), (red, green, blue)
    if kind == 0:
        pen.ellipse((x, y, x + 40, y + 40), fill=colour)
    elif kind == 1:
        pen.ellipse((x, y + 10, x + 48, y + 30), fill=colour)
    else:
        pen.polygon([(x, y + 40), (x + 24, y), (x + 48, y + 40)], fill=colour)
    return picture


def _write(file: Path, lines: list[str]) -> None:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
