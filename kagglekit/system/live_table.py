"""A table that changes while work goes on: redrawn on a terminal, a line for each change of state elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.live import Live
from rich.table import Table

from kagglekit.system.console import Display
from kagglekit.system.printable import printable


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

    def show(self, rows: Sequence[Sequence[str]]) -> None:
        """Show the rows as they are now."""
        if self.live:
            table = Table(*self.columns, box=None, pad_edge=False)
            for row in rows:
                table.add_row(*map(printable, row))
            self.live.update(table, refresh=True)
            return
        for row in rows:
            if row[1] != "waiting" and self._states.get(row[0]) != row[1]:
                self._states[row[0]] = row[1]
                facts = zip(self.columns[2:], row[2:], strict=True)
                more = "".join(f", {title} {text}" for title, text in facts if text)
                self.display.report(f"{row[0]}: {row[1]}{more}")


@contextmanager
def live_table(display: Display, columns: Sequence[str]) -> Iterator[LiveTable]:
    """Show a table while the block runs; other lines appear above it."""
    if not display.console.is_terminal:
        yield LiveTable(display, columns, None)
        return
    with Live(console=display.console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        yield LiveTable(display, columns, live)
