"""Plot class counts and image sizes as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kagglekit.eda.canvas import new_figure, save_figure


def draw_counts(counts: Mapping[str, int], file: Path) -> None:
    """Draw the number of labelled images of each class, largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    figure = new_figure(8, max(2.0, 0.9 + 0.16 * len(ordered)))
    axes = figure.add_subplot()
    axes.barh([name for name, _ in ordered], [count for _, count in ordered], height=0.75)
    axes.invert_yaxis()
    axes.margins(y=0.005)
    axes.tick_params(axis="y", labelsize=8)
    axes.set(xlabel="images", title="labelled images by class")
    save_figure(figure, file)


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
