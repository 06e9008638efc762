"""A table that changes while work goes on: redrawn on a terminal, a line for each change of state elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.live import Live
from rich.table import Table

from kagglekit.system.display.console import Display
from kagglekit.system.display.printable import printable

PACE = 0.2  # s between two drawings, so that a thousand rows cost nothing
MARGIN = 4  # lines of a terminal that are left to what else is printed


@dataclass
class LiveTable:
    """The table that a display shows.

    Attributes:
        display: Shows it.
        columns: Titles of the columns; the first names a row, the second is its state.
        live: Draws it on a terminal; None elsewhere.
    """

    display: Display
    columns: Sequence[str]
    live: Live | None
    _states: dict[str, str] = field(default_factory=dict)
    _next: float = 0.0

    @property
    def is_due(self) -> bool:
        """True if the last drawing was a while ago."""
        return time.monotonic() >= self._next

    def show(self, rows: Sequence[Sequence[str]]) -> None:
        """Show the rows as they are now; of more than fit the terminal, those that matter most."""
        self._next = time.monotonic() + PACE
        if self.live:
            table = Table(*self.columns, box=None, pad_edge=False)
            for row in fitting(rows, self.display.console.height - MARGIN):
                table.add_row(*map(printable, row))
            self.live.update(table, refresh=True)
            return
        for row in rows:
            if row[1] != "waiting" and self._states.get(row[0]) != row[1]:
                self._states[row[0]] = row[1]
                facts = zip(self.columns[2:], row[2:], strict=True)
                more = "".join(f", {title} {text}" for title, text in facts if text)
                self.display.report(f"{row[0]}: {row[1]}{more}")


def fitting(rows: Sequence[Sequence[str]], most: int) -> list[Sequence[str]]:
    """Return at most so many rows in their order: what runs, what failed, then what ended last; a row counts the rest.

    Args:
        rows: The rows; the second cell of each is its state.
        most: How many lines there are.
    """
    if len(rows) <= most:
        return list(rows)
    ranks = {"running": 0, "lost": 0, "failed": 1, "waiting": 3}
    order = sorted(range(len(rows)), key=lambda number: (ranks.get(rows[number][1], 2), -number))
    kept, left = sorted(order[: max(1, most - 1)]), order[max(1, most - 1) :]
    counts = Counter(rows[number][1] for number in left)
    rest = ", ".join(f"{count:,} {state}" for state, count in counts.items())
    return [*(rows[number] for number in kept), ["and", rest, *[""] * (len(rows[0]) - 2)]]


@contextmanager
def live_table(display: Display, columns: Sequence[str]) -> Iterator[LiveTable]:
    """Show a table while the block runs; other lines appear above it."""
    if not display.console.is_terminal:
        yield LiveTable(display, columns, None)
        return
    with Live(console=display.console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        yield LiveTable(display, columns, live)
