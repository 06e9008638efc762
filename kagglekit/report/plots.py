"""Inline SVG drawings of figures that are not over steps: curves over thresholds, scatters, histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup, escape

from kagglekit.report.curves import Line
from kagglekit.report.svg import BOTTOM, LEFT, RIGHT, TOP, Curve, Frame, curve_line, grid, svg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]

SMALL = (278.0, 170.0)  # of one of several charts side by side, px
SIDE = (460.0, 380.0)  # of a square-like one, px
MOST_POINTS = 2000  # of a scatter; more hide each other
SPREAD = 0.25  # of a grade
MOST_BINS = 41  # of a histogram


def curve_chart(title: str, points: Sequence[Sequence[float]], marks: Sequence[float]) -> Markup:
    """Draw a small curve with dashed vertical lines at some places, each with its number."""
    finite = [(float(x), float(y)) for x, y in points if np.isfinite(x) and np.isfinite(y)]
    xs, ys = [x for x, _ in finite], [y for _, y in finite]
    frame = Frame(_span(xs), _span(ys, zero=True), *SMALL)
    parts = [grid(frame, 5), curve_line(Curve("", Line(xs, ys), "c1"), frame)]
    return svg(title, *SMALL, [*parts, *(_mark(at, frame) for at in marks)])


def _mark(at: float, frame: Frame) -> str:
    """Return a vertical line at a value within the frame; nothing for one outside of it."""
    if not frame.x[0] <= at <= frame.x[1]:
        return ""
    x, _ = frame.place(at, frame.y[0])
    line = f'<line class="found" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{frame.height - BOTTOM:.0f}"/>'
    return f'{line}<text class="mid" x="{x:.1f}" y="{TOP - 6}">{at:.3g}</text>'


def scatter(
    title: str, true: Floats, predicted: Floats, ids: Sequence[str], *, cuts: Sequence[float] = (), named: int = 5
) -> Markup:
    """Draw predicted over true numbers, with the line on which both are equal.

    Args:
        title: For screen readers.
        true: (N,) numbers.
        predicted: (N,) numbers.
        ids: (N) names of the images, for those farthest from the line.
        cuts: Predicted numbers to draw a line at, between grades, whose points are then spread sideways.
        named: How many of the farthest points show their image's name.
    """
    both = _span([*true.tolist(), *predicted.tolist()])
    both = (both[0] - SPREAD, both[1] + SPREAD) if len(cuts) else both
    frame = Frame(both, both, *SIDE)
    (x1, y1), (x2, y2) = frame.place(both[0], both[0]), frame.place(both[1], both[1])
    parts = [grid(frame, 6), f'<line class="stage" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>']
    for cut in cuts:
        y = frame.place(both[0], cut)[1]
        parts.append(f'<line class="found" x1="{LEFT}" x2="{SIDE[0] - RIGHT:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>')
    aside = np.random.default_rng(0).uniform(-SPREAD, SPREAD, len(true)) if len(cuts) else np.zeros(len(true))
    places = [frame.place(x, y) for x, y in zip((true + aside).tolist(), predicted.tolist(), strict=True)]
    drawn = np.random.default_rng(0).permutation(len(places))[:MOST_POINTS]
    path = "".join(f"M{places[i][0]:.1f} {places[i][1]:.1f}h0" for i in np.sort(drawn))
    parts.append(f'<path class="points" d="{path}"/>')
    for i in np.argsort(-np.abs(predicted - true), kind="stable")[:named]:
        text = escape(f"{ids[i]}: predicted {predicted[i]:.4g}, actual {true[i]:.4g}")
        x, y = places[i]
        parts.append(f'<circle class="far" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{text}</title></circle>')
    return svg(title, *SIDE, [*parts, _axes("actual", "predicted")])


def histogram(title: str, values: Floats) -> Markup:
    """Draw how often values occur around 0; those beyond the 99th percentile of their sizes are in the last bars."""
    bins = min(2 * round(len(values) ** 0.5) + 1, MOST_BINS)  # odd: one is around 0
    reach = float(np.percentile(np.abs(values), 99)) if len(values) else 0.0
    reach = reach * bins / max(bins - 1, 1) or 1.0
    counts, edges = np.histogram(values.clip(-reach, reach), bins, (-reach, reach))
    frame = Frame((-reach, reach), (0.0, float(max(counts.max(), 1)) * 1.05), *SIDE)
    parts = [grid(frame, 6)]
    for n, low, high in zip(counts.tolist(), edges, edges[1:], strict=False):
        if n:
            (left, top), (right, base) = frame.place(low, n), frame.place(high, 0)
            text = f"{n} images: {low:.3g} to {high:.3g}"
            parts.append(
                f'<rect class="bars" x="{left:.1f}" y="{top:.1f}" width="{right - left - 1:.1f}" '
                f'height="{base - top:.1f}"><title>{text}</title></rect>'
            )
    parts.append(_mark_of_zero(frame))
    return svg(title, *SIDE, [*parts, _axes("", "images")])


def _mark_of_zero(frame: Frame) -> str:
    x, _ = frame.place(0, 0)
    return f'<line class="stage" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{frame.height - BOTTOM:.0f}"/>'


def _axes(across: str, up: str) -> str:
    """Return the names of both axes, inside the frame of a `SIDE` drawing."""
    width, height = SIDE
    return (
        f'<text class="end soft" x="{width - RIGHT - 6:.0f}" y="{height - BOTTOM - 8:.0f}">{escape(across)}</text>'
        f'<text class="soft" x="{LEFT + 8}" y="{TOP + 12}">{escape(up)}</text>'
    )


def _span(values: Sequence[float], *, zero: bool = False) -> tuple[float, float]:
    """Return the smallest and largest value with some room; with `zero`, from 0 on if it is near."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = (high - low or abs(high) or 1.0) * 0.04
    return 0.0 if zero and 0 <= low < high / 2 else low - room, high + room
