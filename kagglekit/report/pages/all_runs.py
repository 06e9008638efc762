"""One page of all runs, which runs write again while they train, and which reloads itself where it is open."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup, escape

from kagglekit.report.pages.rendering import rendered
from kagglekit.report.svg import BOTTOM, LEFT, RIGHT, TOP, Frame, grid, svg
from kagglekit.runs.folder import Run
from kagglekit.runs.history import all_entries
from kagglekit.system.display.console import duration
from kagglekit.system.errors import UserError
from kagglekit.system.files import write_text
from kagglekit.types.metric import TITLES, Score, greater_is_better

if TYPE_CHECKING:
    from kagglekit.runs.history import Entry

NAME = "history.html"
LEVELS = 4  # folders above a run's in which the page may lie: a fold's is COMPETITION/RUN/fold-1
SHARE = 0.02  # of a training's time that writing the page may take
LEAST = 2.0  # s between two pages
RELOAD = 5  # s until a page that is open reloads itself
RELOAD_IDLE = 10  # while nothing ran when it was written: a short run should be seen
SPARK = (110, 26)  # px
SIDE = (420, 300)  # px


@dataclass
class _Pace:
    """When the page may be written next."""

    next: float = 0.0


_pace = _Pace()


@dataclass(frozen=True)
class Line:
    """A run on the page.

    Attributes:
        entry: Its facts.
        link: Address of its report; empty if it has none.
        spark: Its valid losses, epoch by epoch, of folds their mean; empty if there are fewer than two.
        cells: Texts by column.
        keys: What each column is sorted by.
    """

    entry: Entry
    link: str
    spark: Markup
    cells: Sequence[str]
    keys: Sequence[str]


HEADS = ("run", "competition", "date", "network", "px", "state", "metric", "valid", "test", "public", "gap", "time")
OPTIONAL = ("test", "public", "gap")  # left out if no run has one
NUMBERS = ("px", "valid", "test", "public", "gap", "time")


def write_history(root: Path) -> Path:
    """Write the page of all runs below a folder, into that folder; return its path."""
    entries, _ = all_entries(root)
    heads, lines = _without_empty([_line(entry, root) for entry in entries])
    competitions = sorted({entry.competition for entry in entries})
    running = sum(entry.status == "running" for entry in entries)
    page = rendered(
        "history.html",
        "history.js",
        lines=lines,
        heads=heads,
        numbers=NUMBERS,
        competitions=competitions,
        states=sorted({entry.status for entry in entries}),
        charts=[(name, drawn) for name in competitions for drawn in _public_against_valid(entries, name)],
        running=running,
        reload_ms=1000 * (RELOAD if running else RELOAD_IDLE),
        written=f"{datetime.now():%Y-%m-%d %H:%M:%S}",
        class_width=900,
    )
    file = root / NAME
    write_text(file, page)
    return file


def _without_empty(lines: Sequence[Line]) -> tuple[list[str], list[Line]]:
    """Return the columns' titles and the lines, without optional columns that are empty in all lines."""
    kept = [i for i, head in enumerate(HEADS) if head not in OPTIONAL or any(line.cells[i] for line in lines)]
    shorter = [replace(line, cells=[line.cells[i] for i in kept], keys=[line.keys[i] for i in kept]) for line in lines]
    return [HEADS[i] for i in kept], shorter


def refresh_history(run: Run, *, at_once: bool = False) -> None:
    """Write the page again if there is one above a run's folder; seldom enough that training does not wait for it.

    Args:
        run: A run that has something new.
        at_once: Whether to write it even if it was written a moment ago.
    """
    now = time.monotonic()
    if now < _pace.next and not at_once:
        return
    root = next((folder for folder in list(run.folder.absolute().parents)[:LEVELS] if (folder / NAME).exists()), None)
    if root is not None:
        with contextlib.suppress(Exception):  # no fault of this page may stop a run
            write_history(root)
    done = time.monotonic()
    _pace.next = done + max(LEAST, (done - now) / SHARE)


def _line(entry: Entry, root: Path) -> Line:
    run = Run(root / entry.competition / entry.run)
    link = quote(f"{entry.competition}/{entry.run}/{run.report.name}") if run.report.exists() else ""
    values = (
        *(entry.run, entry.competition, f"{entry.date:%Y-%m-%d %H:%M}" if entry.date else "", entry.arch),
        *(str(entry.px), entry.status, TITLES.get(entry.metric, entry.metric)),
        *(_figure(entry.valid), _figure(entry.test), _figure(entry.public)),
        "" if entry.gap is None else f"{entry.gap:+.4f}",
        "" if entry.time is None else duration(entry.time),
    )
    keys = (*values[:7], _key(entry.valid), _key(entry.test), _key(entry.public), _key(entry.gap), _key(entry.time))
    return Line(entry, link, _spark(run), values, keys)


def _figure(score: Score | float | None) -> str:
    if score is None:
        return ""
    return f"{score.value:.4f} ± {score.error:.4f}" if isinstance(score, Score) else f"{score:.5f}"


def _key(score: Score | float | None) -> str:
    return "" if score is None else f"{score.value if isinstance(score, Score) else score:.6g}"


def _spark(run: Run) -> Markup:
    """Draw the valid losses of a run, or its training losses if it has no valid images; of folds, their mean."""
    logs = [each for each in map(_losses, (run, *run.logged_folds())) if each]
    longest = max(map(len, logs), default=0)
    if longest < 2:
        return Markup("")
    logs = [each for each in logs if len(each) == longest]  # a fold that still trains joins the mean at its end
    values = [sum(losses) / len(logs) for losses in zip(*logs, strict=True)]
    low, high = min(values), max(values)
    width, height = SPARK
    step, up = (width - 6) / (len(values) - 1), (height - 6) / (high - low or 1.0)
    points = " ".join(f"{3 + i * step:.1f},{3 + (high - value) * up:.1f}" for i, value in enumerate(values))
    of = f"mean loss of {len(logs)} folds" if len(logs) > 1 else "loss"
    title = f"{of} after each of {len(values)} epochs: {values[0]:.4g} to {values[-1]:.4g}"
    return svg(title, width, height, [f'<g class="c1"><polyline points="{points}"/></g>'])


def _losses(run: Run) -> list[float]:
    """Return the losses in a training's log; none if it is damaged."""
    with contextlib.suppress(UserError, ValueError, KeyError, TypeError):
        log = run.log_rows()
        for column in ("valid_loss", "train_loss"):
            if values := [value for row in log if math.isfinite(value := float(row[column]))]:
                return values
    return []


def _public_against_valid(entries: Sequence[Entry], competition: str) -> list[Markup]:
    """Draw the public scores of a competition's runs against their valid ones; nothing for fewer than two."""
    runs = [entry for entry in entries if entry.competition == competition and entry.valid and entry.public is not None]
    if len(runs) < 2:
        return []
    points = [
        (entry.valid.value, entry.public, entry.run) for entry in runs if entry.valid and entry.public is not None
    ]
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    low, high = min(*xs, *ys), max(*xs, *ys)
    room = (high - low or abs(high) or 1.0) * 0.08
    frame = Frame((low - room, high + room), (low - room, high + room), *SIDE)
    (x1, y1), (x2, y2) = frame.place(low - room, low - room), frame.place(high + room, high + room)
    parts = [grid(frame, 5), f'<line class="stage" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>']
    for x, y, name in points:
        at = frame.place(x, y)
        text = escape(f"{name}: valid {x:.5g}, public {y:.5g}")
        parts.append(
            f'<g class="c1"><circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="4"><title>{text}</title></circle></g>'
        )
    better = {True: "higher is better", False: "lower is better", None: ""}[greater_is_better(runs[0].metric)]
    parts.append(f'<text class="end soft" x="{SIDE[0] - RIGHT - 4}" y="{SIDE[1] - BOTTOM - 8}">valid</text>')
    parts.append(f'<text class="soft" x="{LEFT + 6}" y="{TOP + 12}">public; {better}</text>')
    return [svg(f"public against valid scores of {competition}", *SIDE, parts)]
