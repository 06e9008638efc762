"""Pictures for people as PNG files, by matplotlib: imported only where one is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.files import replacing

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from kagglekit.lr_sweep import Sweep

DOTS = 110  # an inch
CELL, GAP, LINE = 136, 8, 14  # of a grid: sides of a picture, room around it, height of a line, px


def draw_sweep(found: Sweep, marks: Mapping[str, float], title: str, loss_file: Path, rate_file: Path) -> None:
    """Draw loss against rate, with the suggested rates, and rate against step."""
    figure = _figure(8, 4.5)
    axes = figure.add_subplot()
    axes.plot(found.rates, found.losses, color="tab:blue", alpha=0.3, label="each step")
    axes.plot(found.rates, found.smooth, color="tab:blue", label="smoothed")
    for number, (name, rate) in enumerate(marks.items(), 1):
        axes.axvline(rate, color=f"C{number}", linestyle="--", label=f"{name} {rate:.2g}")
    axes.set(xscale="log", xlabel="learning rate of the head", ylabel="loss, nats", title=title)
    start, lowest = float(found.smooth[0]), float(min(found.losses.min(), found.smooth.min()))
    room = max(start - lowest, 0.1)
    axes.set_ylim(lowest - 0.1 * room, start + 1.5 * room)  # divergence goes up without end
    axes.legend()
    _save(figure, loss_file)
    figure = _figure(8, 3)
    axes = figure.add_subplot()
    axes.plot(range(1, len(found.rates) + 1), found.rates)
    axes.set(yscale="log", xlabel="step", ylabel="learning rate of the head", title=title)
    _save(figure, rate_file)


def draw_counts(counts: Mapping[str, int], file: Path) -> None:
    """Draw the number of labelled images of each class, most first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    figure = _figure(8, max(2.0, 0.9 + 0.16 * len(ordered)))
    axes = figure.add_subplot()
    axes.barh([name for name, _ in ordered], [count for _, count in ordered], height=0.75)
    axes.invert_yaxis()
    axes.margins(y=0.005)
    axes.tick_params(axis="y", labelsize=8)
    axes.set(xlabel="images", title="labelled images of each class")
    _save(figure, file)


def draw_histograms(quantities: Mapping[str, Sequence[float]], forms: Mapping[str, int], file: Path) -> None:
    """Draw a histogram of each quantity, and how many files have which format."""
    figure = _figure(10, 6)
    rows = -(-(len(quantities) + 1) // 2)
    for number, (name, values) in enumerate(quantities.items(), 1):
        axes = figure.add_subplot(rows, 2, number)
        axes.hist(values, bins=40)
        axes.set(xlabel=name, ylabel="images")
    axes = figure.add_subplot(rows, 2, len(quantities) + 1)
    axes.bar(list(forms), list(forms.values()))
    axes.set(xlabel="format", ylabel="images")
    _save(figure, file)


def draw_grid(pictures: Sequence[tuple[str, NDArray[np.uint8]]], columns: int, file: Path) -> None:
    """Draw pictures (H, W, 3) in rows, each above its title; an empty picture leaves its place free."""
    from PIL import Image, ImageDraw, ImageFont

    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (CELL + GAP) + GAP, rows * (CELL + 2 * LINE + GAP) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(LINE - 3)
    for number, (title, pixels) in enumerate(pictures):
        x, y = GAP + number % columns * (CELL + GAP), GAP + number // columns * (CELL + 2 * LINE + GAP)
        if pixels.size:
            image = Image.fromarray(pixels)
            image.thumbnail((CELL, CELL))
            sheet.paste(image, (x + (CELL - image.width) // 2, y + (CELL - image.height) // 2))
        for line, text in enumerate(title.splitlines()[:2]):
            shown = _fitting(text, lambda words: font.getlength(words) <= CELL)
            draw.text((x, y + CELL + line * LINE), shown, fill="black", font=font)
    with replacing(file) as part:
        sheet.save(part, "PNG")


def _fitting(text: str, fits: Callable[[str], bool]) -> str:
    """Return as much of a text as fits."""
    return next((text[:end] for end in range(len(text), 0, -1) if fits(text[:end])), "")


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=DOTS, layout="constrained")


def _save(figure: Figure, file: Path) -> None:
    """Write a PNG; the same drawing gives the same bytes."""
    metadata: dict[str, Any] = {"Software": None}
    with replacing(file) as part:
        figure.savefig(part, format="png", metadata=metadata)
