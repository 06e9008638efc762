"""Plot class counts and image sizes as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kagglekit.eda.canvas import name_in_figure, new_figure, plain_text, save_figure

MOST_BARS = 300  # more take minutes, and make a figure that few programs open


@plain_text()
def draw_counts(counts: Mapping[str, int], file: Path) -> None:
    """Draw the number of labelled images of each class, largest first; of very many, the largest and smallest."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
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
    axes.set(xlabel="images", title=f"labelled images by class{some}")
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
