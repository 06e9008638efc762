"""Plot class counts and image sizes as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.eda.canvas import name_in_figure, new_figure, plain_text, save_figure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_NUMBERED = 20  # labels whose counts are written into a plot of pairs
MOST_BARS = 300  # more take minutes, and make a figure that few programs open


@plain_text()
def draw_counts(counts: Mapping[str, int], file: Path, what: str = "class", *, by_size: bool = True) -> None:
    """Draw the number of labelled images of each class; of very many, the first and last ones.

    Args:
        counts: Numbers of images by name.
        file: The PNG file.
        what: The names are of these.
        by_size: Draw the largest first; otherwise in the given order.
    """
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0])) if by_size else list(counts.items())
    shown = ordered if len(ordered) <= MOST_BARS else [*ordered[: MOST_BARS // 2], *ordered[-MOST_BARS // 2 :]]
    some = "" if shown == ordered else f", the {MOST_BARS // 2} largest and smallest of {len(ordered):,}"
    figure = new_figure(8, max(2.0, 0.9 + 0.16 * len(shown)))
    axes = figure.add_subplot()
    places = range(len(shown))  # not names: two that look alike would share a bar
    axes.barh(places, [count for _, count in shown], height=0.75)
    axes.set_yticks(places, [name_in_figure(name) for name, _ in shown])
    axes.invert_yaxis()
    axes.margins(y=0.005)
    axes.tick_params(axis="y", labelsize=8)
    axes.set(xlabel="images", title=f"labelled images by {what}{some}")
    save_figure(figure, file)


@plain_text()
def draw_histograms(quantities: Mapping[str, Sequence[float]], forms: Mapping[str, int], file: Path) -> None:
    """Draw a histogram of each quantity, and the number of files of each format."""
    figure = new_figure(10, 6)
    rows = -(-(len(quantities) + 1) // 2)
    for number, (name, values) in enumerate(quantities.items(), 1):
        axes = figure.add_subplot(rows, 2, number)
        axes.hist(values, bins=40)
        axes.set(xlabel=name, ylabel="images")
    axes = figure.add_subplot(rows, 2, len(quantities) + 1)
    axes.bar(list(forms), list(forms.values()))
    axes.set(xlabel="format", ylabel="images")
    save_figure(figure, file)


@plain_text()
def draw_together(counts: NDArray[np.int64], names: Sequence[str], file: Path) -> None:
    """Draw how often labels occur together: the share of the images with the row's label that have the column's.

    Args:
        counts: (C, C) numbers of images; on the diagonal, of those with the label.
        names: (C) labels.
        file: The PNG file.
    """
    side = max(4.0, 2.2 + 0.24 * len(names))
    figure = new_figure(side + 0.8, side)
    axes = figure.add_subplot()
    shares = counts / counts.diagonal()[:, None].clip(1)
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    places = range(len(names))
    shortened = [name_in_figure(name) for name in names]
    axes.set_xticks(places, shortened, rotation=90)
    axes.set_yticks(places, shortened)
    axes.tick_params(labelsize=8)
    axes.set(title="also with the column's label", ylabel="images with the label")
    if len(names) <= MOST_NUMBERED:
        for row, column in zip(*counts.nonzero(), strict=True):
            dark = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=7, color=dark)
    figure.colorbar(shown, shrink=0.7)
    save_figure(figure, file)


@plain_text()
def draw_numbers(
    quantities: Mapping[str, Sequence[float] | NDArray[np.float64]], file: Path, y: str = "images"
) -> None:
    """Draw a histogram of each quantity."""
    columns = min(3, len(quantities))
    rows = -(-len(quantities) // columns)
    figure = new_figure(4.0 * columns + 1, 2.8 * rows + 0.4)
    for number, (name, values) in enumerate(quantities.items(), 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.hist(values, bins=40)
        axes.set(xlabel=name_in_figure(name), ylabel=y)
    save_figure(figure, file)
