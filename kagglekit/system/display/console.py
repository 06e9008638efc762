"""Output for people: lines, tables, and progress: bars and spinners on a terminal and in notebooks, else lines."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import StringIO, TextIOWrapper
from typing import TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from kagglekit.system.display.notebook import WIDTH, NotebookOutput, kernel
from kagglekit.system.display.printable import printable, printable_lines, shortened
from kagglekit.system.display.text_table import fits, text_tables, wrapped
from kagglekit.system.display.wording import in_python
from kagglekit.system.errors import UserError
from kagglekit.system.process import process_place
from kagglekit.system.signals import stop_for_closed_output

T = TypeVar("T")
FIRST_LINE, MOST_SILENT = 3.0, 60.0  # s; where bars cannot be seen: until the first line, between later ones at most
BAR_WIDTH = 20  # characters of a bar in a notebook
WIDE, COUNT_WIDTH, TIME_WIDTH = 100, 13, 7  # columns: of a wide terminal; beside a bar: 123456/123456, 0:12:34


class OutputConsole(Console):
    """A console that ends the program in an orderly way when its output is closed."""

    def on_broken_pipe(self) -> None:
        """Interrupt the program; what it still has to say goes to standard error."""
        del self._buffer[:]
        with suppress(OSError, ValueError):  # or the text that Python still buffers would fail again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
        if self.file is not sys.stderr and sys.stderr is not None:
            self.file = sys.stderr
        stop_for_closed_output()


@dataclass(frozen=True)
class Display:
    """Prints to a console; long work shows a bar or spinner on a terminal, and elsewhere a line now and then."""

    console: Console

    @property
    def width(self) -> int:
        """The columns of the terminal; a file has as many as a line needs."""
        return self.console.width if self.console.is_terminal else sys.maxsize

    @property
    def is_live(self) -> bool:
        """True if bars and spinners are seen, which disappear at their end."""
        return self.console.is_terminal

    def command(self, name: str, *arguments: object, **options: object) -> str:
        """Return what the user may type: ``kagglekit resume RUN``."""
        words = [*map(str, arguments), *(f"--{key} {value}" for key, value in options.items())]
        return " ".join(["kagglekit", name, *words])

    def report(self, text: str, indent: int | None = None) -> None:
        """Print a line; see `wrapped` for its `indent`."""
        self._print(printable_lines(text), indent=indent)

    say = report  # its name in plugins written for the first 0.1

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._print(f"warning: {printable_lines(text)}", style="yellow")

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        keys: int = 1,
        together: Sequence[int] | None = None,
    ) -> None:
        """Print a table; where a terminal is narrow, its titles and cells are wrapped or shortened.

        If that is not enough, the columns left over follow below, with the first `keys` columns repeated. Lines that
        have nothing in these columns are not repeated.

        Args:
            columns: Their titles.
            rows: Their cells.
            keys: How many columns are repeated.
            together: For each further column, the number of its group: a group is not torn apart if a line has room.
        """
        lines = [[printable(str(cell)) for cell in line] for line in rows]
        for heads, texts in text_tables([*map(printable, columns)], lines, self.width, keys, together):
            for text in filter(None, heads):
                self._print(text, style="bold", wrap=False)
            if texts:
                self._print("\n".join(texts), wrap=False)  # at once: a thousand calls take a while

    def fits(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bool:
        """Return whether a table of these columns and rows needs no shorter cells, and no second table below it."""
        return fits([*map(printable, columns)], [[printable(str(cell)) for cell in line] for line in rows], self.width)

    def _print(self, text: str, style: str | None = None, wrap: bool = True, indent: int | None = None) -> None:
        shown = wrapped(text, self.width, indent) if wrap else text
        try:
            self.console.print(shown, style=style, markup=False, soft_wrap=True)
        except OSError as error:
            raise output_error(error) from error

    @contextmanager
    def status(self, what: str) -> Iterator[None]:
        """Say what is being done while the block runs: with a spinner on a terminal, else in a line.

        The block shows no bar and no other status: a terminal has room for one.
        """
        if not self.is_live:
            self.report(what)
            yield
            return
        with self.console.status(Text(printable(what))):
            yield

    @contextmanager
    def bar(self, what: str, total: int | None, unit: str = "images") -> Iterator[Bar]:
        """Show a bar while the block runs; without a terminal, a line after 3 s, after 6, 12 s, then every minute.

        Args:
            what: Description of the work.
            total: Its end; None if unknown.
            unit: The unit of the count. ``bytes`` are shown as kB, MB or GB.
        """
        bar_width, hidden = 24 if self.width >= WIDE else 12, not self.is_live
        left = self.width - sum((bar_width, COUNT_WIDTH, TIME_WIDTH, 4))  # 4: between five columns
        name = shortened(printable(what), max(12, left))
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=bar_width),
            DownloadColumn() if unit == "bytes" else MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
        )
        with RichProgress(*columns, console=self.console, transient=True, disable=hidden) as progress:
            task, report = progress.add_task(name, total=total, note=""), self.report if hidden else None
            yield Bar(progress, task, total, time.perf_counter(), unit, what, report, room=left - cell_len(name))

    def track(self, what: str, total: int, work: Iterable[T], size: Callable[[T], int] = lambda _: 1) -> Iterator[T]:
        """Show a bar over `work`; `size` says how many of `total` an item is."""
        with self.bar(what, total) as bar:
            for item in work:
                yield item
                bar.advance(size(item))


@dataclass(frozen=True)
class NotebookDisplay(Display):
    """Shows lines and progress in the cell of a notebook that is being executed."""

    output: NotebookOutput

    @property
    def width(self) -> int:
        """The columns of tables and bars."""
        return WIDTH

    @property
    def is_live(self) -> bool:
        """True: the line of progress is updated in place."""
        return True

    def command(self, name: str, *arguments: object, **options: object) -> str:
        """Return what the user may write in the next cell: ``kagglekit.resume("RUN")``."""
        words = [*(f'"{each}"' for each in arguments), *(f'{key}="{value}"' for key, value in options.items())]
        return f"kagglekit.{name}({', '.join(words)})"

    def _print(self, text: str, style: str | None = None, wrap: bool = True, indent: int | None = None) -> None:
        text = in_python(text) if wrap else text  # rows of tables stay as they are
        self.output.line(text, style, wrapped(text, self.width, indent) if wrap else text)

    @contextmanager
    def status(self, what: str) -> Iterator[None]:
        """Say what is being done while the block runs."""
        with self.output.lasting(f"{printable(what)} ..."):
            yield

    @contextmanager
    def bar(self, what: str, total: int | None, unit: str = "images") -> Iterator[Bar]:
        """Show a bar while the block runs; see `Display.bar`."""
        name = printable(what)
        with RichProgress(console=self.console, disable=True) as hidden, self.output.lasting(f"{name} ..."):
            task = hidden.add_task(name, total=total)
            yield Bar(hidden, task, total, time.perf_counter(), unit, name, live=self.output.progress)


@dataclass
class Bar:
    """A running progress bar of `what`, which counts in `unit`; where it cannot be seen, it has lines reported.

    Beside it, `room` columns of the terminal are left.
    """

    progress: RichProgress
    task: TaskID
    total: int | None
    started: float
    unit: str = "images"
    what: str = ""
    report: Callable[[str], None] | None = None
    done: int = 0
    note: str = ""
    live: Callable[[str], None] | None = None
    room: int = sys.maxsize
    _first: int = 0
    _began: float = field(default_factory=time.perf_counter)
    _silent_until: float = FIRST_LINE

    @property
    def seconds(self) -> float:
        """Seconds since the start, or since `restart`."""
        return time.perf_counter() - self.started

    def restart(self, done: int, total: int | None) -> None:
        """Continue at `done`, forwards or backwards; the rate counts from here."""
        self.done, self.total, self._first, self.started = done, total, done, time.perf_counter()
        self.progress.reset(self.task, total=total, completed=done)

    def advance(self, n: int, note: str = "") -> None:
        """Advance by `n`, at most to the end; show the rate and the last `note` that was not empty.

        Where there is no room for all of it, whole parts are left out; two spaces separate the parts of a note.
        """
        self.done = self.done + n if self.total is None else min(self.done + n, self.total)
        self.note = printable(note) or self.note
        rate = amount((self.done - self._first) / max(1e-9, self.seconds), self.unit)
        self.progress.update(self.task, completed=self.done, note=self._beside(f"{rate}/s"))
        if self.live:
            self.live(self._line(rate))
        if self.report and self.done != self.total and (now := time.perf_counter() - self._began) > self._silent_until:
            self._silent_until = now + min(now, MOST_SILENT)
            of = f" of {amount(self.total, self.unit)}" if self.total else ""
            self.report(f"{self.what}: {amount(self.done, self.unit)}{of}, {rate}/s")

    def _beside(self, rate: str) -> str:
        parts: list[str] = []
        for part in (*filter(None, self.note.split("  ")), rate):
            if cell_len("  ".join([*parts, part])) <= self.room:
                parts.append(part)
        return "  ".join(parts)

    def _line(self, rate: str) -> str:
        """Return the bar as a line of text, without what a line has no room for."""
        if not self.total:
            return f"{self.what}  {amount(self.done, self.unit)}  {rate}/s  {self.note}".rstrip()
        full = round(BAR_WIDTH * self.done / self.total)
        left = self.seconds * (self.total - self.done) / max(1, self.done - self._first)
        line = f"{shortened(self.what, 24)}  {'█' * full}{'░' * (BAR_WIDTH - full)}  {100 * self.done // self.total} %"
        for part in (f"{duration(left)} left" if self.done > self._first else "", self.note, f"{rate}/s"):
            if part and cell_len(line) + 2 + cell_len(part) <= WIDTH:
                line += f"  {part}"
        return line


def output_error(error: OSError) -> UserError:
    """Return the error for output that cannot be written."""
    hint = "free some disk space, or write the output elsewhere"
    return UserError(f"cannot write the output: {error.strerror or error}", hint)


def for_people(json_output: bool) -> Display:
    """Return a display on standard output, or on standard error where standard output carries JSON.

    In the kernel of a notebook it shows its lines in the cell that is being executed.
    """
    if process_place().rank:  # the first of the processes that share a training speaks for all
        return Display(OutputConsole(file=StringIO(), quiet=True))
    if shell := kernel():
        return NotebookDisplay(Console(file=StringIO(), width=WIDTH), NotebookOutput(shell))
    stream = (sys.stderr if json_output else sys.stdout) or StringIO()  # None: the caller has closed it
    if isinstance(stream, TextIOWrapper):  # no run may fail because a terminal cannot show a character
        stream.reconfigure(errors="replace")
    terminal = stream.isatty()  # rich alone would obey FORCE_COLOR, and write bars to log files
    return Display(OutputConsole(file=stream, force_terminal=terminal, soft_wrap=True, highlight=False, emoji=False))


def amount(n: float, unit: str = "bytes") -> str:
    """Format an amount: ``1,234 images``; bytes as ``12.3 MB`` or ``1.23 GB`` (10^9 bytes)."""
    if unit != "bytes":
        return f"{n:,.0f} {unit}"
    if n < 1e6:
        return f"{n / 1e3:.1f} kB"
    return f"{n / 1e6:.1f} MB" if n < 1e9 else f"{n / 1e9:.2f} GB"


def duration(seconds: float) -> str:
    """Format a duration: ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
