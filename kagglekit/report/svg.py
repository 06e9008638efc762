"""Inline SVG drawings; their colours come from the page's style, for light and dark screens and paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from kagglekit.report.curves import Line, Span, thinned
from kagglekit.report.panels import Bin

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 1160, 64, 24, 20, 24
NARROW = (420, 220)  # width and height of a chart for narrow screens, px
NARROW_POINTS = 300
LETTER = 6.4  # average width of a letter of 11 px, px


@dataclass(frozen=True)
class Curve:
    """A line of a chart.

    Attributes:
        name: For the legend; empty to leave it out.
        line: Its points.
        style: Its CSS class.
        dots: Mark its points.
        of: What it belongs to beside its name, such as a fold; for its values.
    """

    name: str
    line: Line
    style: str
    dots: bool = False
    of: str = ""


@dataclass(frozen=True)
class Frame:
    """The rectangle of a chart, which maps values to pixels."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float
    height: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return a point's position, px."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (self.width - LEFT - RIGHT), self.height - BOTTOM - up * (self.height - TOP - BOTTOM)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers within [low, high]: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def chart(
    title: str, curves: Sequence[Curve], spans: Sequence[Span], height: float = 200, width: float = WIDTH
) -> Markup:
    """Draw curves over steps, with bands for stages and lines at the ends of cycles.

    The page's script reads the values under the pointer from the points and from the attribute ``data-chart``: the
    ranges of x and y, then the frame's left, right, top and bottom, px.
    """
    drawn = [curve for curve in curves if curve.line.xs]
    end = max([span.end for span in spans] + [1])
    frame = Frame((0.0, float(end)), _range(drawn), width, height)
    across = 10 if width == WIDTH else 4
    parts = [_bands(spans, frame), grid(frame, across), *(curve_line(curve, frame) for curve in drawn)]
    values = (*frame.x, *frame.y, LEFT, width - RIGHT, TOP, height - BOTTOM)
    return svg(title, width, height, parts, f' data-chart="{" ".join(f"{value:.6g}" for value in values)}"')


def charts_of_both_widths(title: str, curves: Sequence[Curve], spans: Sequence[Span]) -> Markup:
    """Draw a chart twice: for wide screens, and with fewer points and as large letters for narrow ones."""
    small = [curve if curve.dots else replace(curve, line=thinned(curve.line, NARROW_POINTS)) for curve in curves]
    wide, narrow = chart(title, curves, spans), chart(title, small, spans, NARROW[1], NARROW[0])
    return Markup(f'<div class="for-wide">{wide}</div><div class="for-narrow">{narrow}</div>')


def _range(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the smallest and largest finite value with a margin; clip long curves at the 98th percentile."""
    values = np.concatenate([_usual(curve.line.ys) for curve in curves]) if curves else np.zeros(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = (high - low or abs(high) or 1.0) * 0.05
    return low - room if low < 0 or low > room else 0.0, high + room


def _usual(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    return array if len(array) < 100 else np.clip(array, None, np.nanpercentile(array, 98))


def _bands(spans: Sequence[Span], frame: Frame) -> str:
    parts, top, bottom = [], TOP, frame.height - BOTTOM
    for number, span in enumerate(spans, 1):
        left, right = (frame.place(step, 0)[0] for step in (span.start, span.end))
        if number % 2:
            parts.append(
                f'<rect class="band" x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{bottom - top}"/>'
            )
        parts += [_vertical("cycle", frame.place(step, 0)[0], frame) for step in span.cycles]
        parts.append(_vertical("stage", right, frame))
        if label := _fitting_label(span.name, number, right - left):
            parts.append(f'<text class="mid" x="{(left + right) / 2:.1f}" y="{top - 6}">{escape(label)}</text>')
    return "".join(parts)


def _fitting_label(name: str, number: int, room: float) -> str:
    """Return a stage's number and name, its number alone, or nothing, whichever fits."""
    labels = (f"{number} {name}", str(number))
    return next((label for label in labels if len(label) * LETTER + 6 < room), "")


def _vertical(style: str, x: float, frame: Frame) -> str:
    return f'<line class="{style}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{frame.height - BOTTOM}"/>'


def grid(frame: Frame, across: int = 10) -> str:
    """Return the lines and numbers of the axes; `across` is the maximum number of those of the horizontal one."""
    parts = []
    for value in ticks(*frame.y):
        _, y = frame.place(0, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{frame.width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="end" x="{LEFT - 6}" y="{y + 4:.1f}">{value:.4g}</text>')
    for value in ticks(*frame.x, most=across):
        x, _ = frame.place(value, 0)
        parts.append(f'<text class="mid" x="{x:.1f}" y="{frame.height - 7}">{value:,.4g}</text>')
    return "".join(parts)


def curve_line(curve: Curve, frame: Frame) -> str:
    """Return a curve within a frame."""
    values = [(x, y) for x, y in zip(curve.line.xs, curve.line.ys, strict=True) if math.isfinite(y)]
    points = [frame.place(x, min(y, frame.y[1])) for x, y in values]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [_dot(*each) for each in zip(points, values, strict=True)] if curve.dots else []
    name = escape(" ".join(filter(None, (curve.name, curve.of))))
    return f'<g class="{curve.style}" data-name="{name}"><polyline points="{path}"/>{"".join(dots)}</g>'


def _dot(point: tuple[float, float], value: tuple[float, float]) -> str:
    title = f"<title>{value[0]:,.6g}: {value[1]:.4g}</title>"
    return f'<circle cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="2.5">{title}</circle>'


def matrix(
    counts: NDArray[np.int64],
    names: Sequence[str],
    cell: float,
    title: str,
    of: NDArray[np.int64] | None = None,
    tell: Callable[[int, int], str] | None = None,
    neutral: bool = False,
) -> Markup:
    """Draw a table of counts: rows actual, columns predicted; opacity is the share of the row.

    Args:
        counts: (C, C) numbers of images.
        names: (C) class names.
        cell: Side of a cell, px; cells from 20 px show their count.
        title: For screen readers.
        of: (C,) number of images that a row is the share of; None for the sum of the row.
        tell: The text of a cell by row and column; None for who was predicted as what.
        neutral: One colour for all cells: none is wrong.
    """
    letter = min(11.0, cell - 1)
    edge = max(len(name) for name in names) * letter * 0.58 + 10
    side = edge + cell * len(names)
    sums = np.maximum(counts.sum(1) if of is None else of, 1)
    tell = tell or (lambda i, j: f"{names[i]} predicted as {names[j]}: {counts[i, j]} of {sums[i]}")
    parts = [
        f'<rect class="frame" x="{edge:.1f}" y="{edge:.1f}" width="{side - edge:.1f}" height="{side - edge:.1f}"/>'
    ]
    for i, j in zip(*np.nonzero(counts), strict=True):
        x, y = edge + j * cell, edge + i * cell
        kind, strength = "right" if i == j else "wrong", 0.15 + 0.6 * counts[i, j] / sums[i]
        kind, text = "c1" if neutral else kind, escape(tell(i, j))
        parts.append(
            f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{cell:.1f}" height="{cell:.1f}" '
            f'fill-opacity="{strength:.2f}"><title>{text}</title></rect>'
        )
        if cell >= 20:
            parts.append(f'<text class="mid" x="{x + cell / 2:.1f}" y="{y + cell / 2 + 4:.1f}">{counts[i, j]}</text>')
    for number, name in enumerate(names):
        middle = edge + (number + 0.5) * cell
        style, text = f'style="font-size:{letter:.1f}px"', escape(name)
        parts.append(f'<text class="end" {style} x="{edge - 4:.1f}" y="{middle + letter / 3:.1f}">{text}</text>')
        place = f"translate({middle + letter / 3:.1f} {edge - 4:.1f}) rotate(-90)"
        parts.append(f'<text {style} transform="{place}">{text}</text>')
    return svg(title, side, side, parts)


def calibration_chart(
    bins: Sequence[Bin], of: str = "images", across: str = "confidence", up: str = "accuracy"
) -> Markup:
    """Draw accuracy over confidence and the ideal diagonal; a point's size stands for its number of images."""
    frame = Frame((0.0, 1.0), (0.0, 1.0), 460, 380)
    (x1, y1), (x2, y2) = frame.place(0, 0), frame.place(1, 1)
    parts = [grid(frame), f'<line class="stage" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>']
    line = Line([part.confidence for part in bins], [part.accuracy for part in bins])
    parts.append(curve_line(Curve("", line, "c1"), frame))
    most = max(part.n for part in bins)
    for part in bins:
        x, y = frame.place(part.confidence, part.accuracy)
        text = f"{part.n} {of}: {across} {part.confidence:.3f}, {up} {part.accuracy:.3f}"
        radius = 3 + 7 * math.sqrt(part.n / most)
        parts.append(
            f'<g class="c1"><circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{text}</title></circle></g>'
        )
    return svg(f"{up} over {across}", frame.width, frame.height, parts)


def svg(title: str, width: float, height: float, parts: Sequence[str], attributes: str = "") -> Markup:
    """Return the parts, whose texts are escaped, as an image that shrinks with the page."""
    head = f'<svg viewBox="0 0 {width:.0f} {height:.0f}" style="width:{width:.0f}px" role="img"{attributes}>'
    return Markup(f"{head}<title>{escape(title)}</title>{''.join(parts)}</svg>")
