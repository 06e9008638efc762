"""Output for people: lines, tables, and progress: bars and spinners on a terminal and in notebooks, else lines."""

from __future__ import annotations

import os
import re
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import StringIO, TextIOWrapper
from typing import TypeVar

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from kagglekit.system.errors import UserError
from kagglekit.system.notebook import WIDTH, NotebookOutput, kernel
from kagglekit.system.printable import printable, printable_lines, shortened
from kagglekit.system.process import process_place
from kagglekit.system.signals import stop_for_closed_output
from kagglekit.system.wording import in_python

T = TypeVar("T")
FIRST_LINE, MOST_SILENT = 3.0, 60.0  # s; where bars cannot be seen: until the first line, between later ones at most
BAR_WIDTH = 20  # characters of a bar in a notebook


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

    def report(self, text: str) -> None:
        """Print a line."""
        self._print(printable_lines(text))

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
        """Print a table; columns beyond the terminal's width follow below, with the first `keys` columns repeated.

        Lines that have nothing in these columns are not repeated.

        Args:
            columns: Their titles.
            rows: Their cells.
            keys: How many columns are repeated.
            together: For each further column, the number of its group: a group is not torn apart if a line has room.
        """
        lines = [[printable(str(cell)) for cell in line] for line in rows]
        heads, widths = self._heads([printable(title) for title in columns], lines)
        for part, block in enumerate(_blocks(widths, keys, self.width, together)):
            there = [line for line in lines if not part or any(line[i] for i in block[keys:])]
            own = [widths[number] for number in block]
            texts = [_aligned([line[number] for number in block], own) for line in [*heads, *there]]
            for text in filter(None, texts[: len(heads)]):
                self._print(text, style="bold", wrap=False)
            if there:
                self._print("\n".join(texts[len(heads) :]), wrap=False)  # at once: a thousand calls take a while

    def fits(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bool:
        """Return whether a table of these columns and rows takes no second one below it."""
        lines = [[printable(str(cell)) for cell in line] for line in rows]
        return _total(self._heads([printable(title) for title in columns], lines)[1]) <= self.width

    def _heads(self, titles: list[str], lines: list[list[str]]) -> tuple[list[list[str]], list[int]]:
        """Return the lines of titles, several where one is wider than the terminal, and the columns' widths."""
        heads, widths = [titles], _widths([titles, *lines])
        if lines and _total(widths) > self.width:
            heads = _narrow(titles, _widths(lines))
            widths = _widths([*heads, *lines])
        return heads, widths

    def _print(self, text: str, style: str | None = None, wrap: bool = True) -> None:
        shown = wrapped(text, self.width) if wrap else text
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
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn() if unit == "bytes" else MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
        )
        hidden = not self.is_live
        with RichProgress(*columns, console=self.console, transient=True, disable=hidden) as progress:
            task = progress.add_task(printable(what), total=total, note="")
            yield Bar(progress, task, total, time.perf_counter(), unit, what, self.report if hidden else None)

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

    def _print(self, text: str, style: str | None = None, wrap: bool = True) -> None:
        text = in_python(text) if wrap else text  # rows of tables stay as they are
        self.output.line(text, style, wrapped(text, self.width) if wrap else text)

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
    """A running progress bar of `what`, which counts in `unit`; where it cannot be seen, it has lines reported."""

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
        """Advance by `n`, at most to the end; show the rate and the last `note` that was not empty."""
        self.done = self.done + n if self.total is None else min(self.done + n, self.total)
        self.note = printable(note) or self.note
        rate = amount((self.done - self._first) / max(1e-9, self.seconds), self.unit)
        self.progress.update(self.task, completed=self.done, note=f"{rate}/s  {self.note}")
        if self.live:
            self.live(self._line(rate))
        if self.report and self.done != self.total and (now := time.perf_counter() - self._began) > self._silent_until:
            self._silent_until = now + min(now, MOST_SILENT)
            of = f" of {amount(self.total, self.unit)}" if self.total else ""
            self.report(f"{self.what}: {amount(self.done, self.unit)}{of}, {rate}/s")

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


def wrapped(text: str, width: int) -> str:
    """Break lines between words; a command at a line's end stays whole, and so does a word longer than a line."""
    return "\n".join(part for line in text.split("\n") for part in _parts(line, width))


def _parts(line: str, width: int) -> Iterator[str]:
    if cell_len(line) <= width:
        yield line
        return
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    command = re.search(r"\bkagglekit [a-z].*$", line)
    before = (line[: command.start()] if command else line).rstrip()
    words: list[str] = []
    for word in [*before.split(" "), *([command[0]] if command else [])]:
        if words and re.fullmatch(r"--[a-z-]+", words[-1]):  # an option and its value stay together
            words[-1] += f" {word}"
        else:
            words.append(word)
    row = words[0]
    for word in words[1:]:
        if row.strip() and cell_len(row) + 1 + cell_len(word) > width:
            yield row.rstrip()
            row = indent + word
        else:
            row += f" {word}"
    yield row


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


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return a line of cells with these widths."""
    pairs = zip(cells, widths, strict=True)
    return "  ".join(
        cell.ljust(width) if cell.isascii() and len(cell) <= width else set_cell_size(cell, width)
        for cell, width in pairs
    ).rstrip()


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*lines, strict=True)]


def _total(widths: Iterable[int]) -> int:
    """Return the width of a line of columns with the gaps between them."""
    return sum(width + 2 for width in widths) - 2


def _narrow(titles: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """Return the titles of columns in as many lines as it takes to be no wider than the cells, if words allow it."""
    parts = [textwrap.wrap(title, max(width, 8), break_long_words=False, break_on_hyphens=False) or [""]
             for title, width in zip(titles, widths, strict=True)]  # fmt: skip
    most = max(map(len, parts))
    return [[part[row] if row < len(part) else "" for part in parts] for row in range(most)]


def _blocks(widths: Sequence[int], keys: int, room: int, together: Sequence[int] | None) -> Iterator[list[int]]:
    """Distribute columns over tables no wider than `room`, with the first `keys` columns in each.

    Columns of one group stay in one table, unless the group alone is too wide.
    """
    groups: dict[int, list[int]] = {}
    for column in range(keys, len(widths)):
        groups.setdefault(together[column - keys] if together else column, []).append(column)
    block = first = list(range(keys))

    def fits(columns: Sequence[int]) -> bool:
        return _total(widths[i] for i in columns) <= room

    for group in groups.values():
        for part in [group] if fits([*first, *group]) else [[column] for column in group]:
            if len(block) > keys and not fits([*block, *part]):
                yield block
                block = first
            block = [*block, *part]
    yield block
