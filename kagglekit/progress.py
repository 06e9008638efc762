"""What a person sees of a run: lines, tables, and a bar where there is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

T = TypeVar("T")
FILE_WIDTH = 240  # columns of a table that is not printed on a terminal


@dataclass(frozen=True)
class Display:
    """Prints to a console; long work shows a bar on a terminal and nothing but its result elsewhere."""

    console: Console

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.console.print(f"warning: {text}", style="yellow", markup=False)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table; numbers in columns."""
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            grid.add_column(column, no_wrap=True)
        for row in rows:
            grid.add_row(*[str(cell) for cell in row])
        self.console.print(grid, soft_wrap=not self.console.is_terminal)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Bar]:
        """Show a bar while the block runs."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )
        hidden = not self.console.is_terminal
        with RichProgress(*columns, console=self.console, transient=True, disable=hidden) as progress:
            yield Bar(progress, progress.add_task(what, total=total, note=""), time.perf_counter())

    def track(self, what: str, total: int, work: Iterable[T], size: int = 1) -> Iterator[T]:
        """Show a bar over `work`, each item of which is `size` of `total`."""
        with self.bar(what, total) as bar:
            for item in work:
                yield item
                bar.advance(size)


@dataclass
class Bar:
    """A running progress bar."""

    progress: RichProgress
    task: object
    started: float
    done: int = 0

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self.started

    def advance(self, n: int, note: str = "") -> None:
        """Move on by `n`; show the rate and `note`."""
        self.done += n
        rate = self.done / max(1e-9, time.perf_counter() - self.started)
        self.progress.update(self.task, advance=n, note=f"{rate:,.0f}/s {note}")  # type: ignore[arg-type]


def for_people(json_output: bool) -> Display:
    """Return a display on standard output, or on standard error where standard output carries JSON."""
    stream = sys.stderr if json_output else sys.stdout
    width = None if stream.isatty() else FILE_WIDTH  # a file has no width: rich would cut tables to 80 columns
    return Display(Console(file=stream, width=width, soft_wrap=True, highlight=False))


def duration(seconds: float) -> str:
    """Word a duration: ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
