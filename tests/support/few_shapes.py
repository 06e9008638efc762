"""A few images of the demo, where its data are looked for: all of them take seconds to draw."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from kagglekit_shapes.drawing import draw

KINDS = ("arrow", "circle", "cross", "heart")
PER_KIND = {"train": 15, "test": 3}


def draw_few(folder: Path) -> None:
    """Write ``folder/images`` and the lists of four kinds of shapes."""
    (folder / "images").mkdir(parents=True)
    for part, n in PER_KIND.items():
        names = [(f"{part}-{kind}-{number}", kind) for kind in KINDS for number in range(n)]
        for name, kind in names:
            Image.fromarray(draw(kind, name)).save(folder / "images" / f"{name}.png")
        (folder / f"{part}.txt").write_text("".join(f"{name} {kind}\n" for name, kind in names))
