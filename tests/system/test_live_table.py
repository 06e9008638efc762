"""The table of jobs on a terminal: of more rows than fit, those that matter are seen."""

from __future__ import annotations

import io

from rich.console import Console

from kagglekit.system.display.console import Display
from kagglekit.system.display.live_table import fitting, live_table

STATES = ["finished"] * 900 + ["failed"] + ["running"] * 2 + ["waiting"] * 97
ROWS = [(f"fold-{number}", state, "") for number, state in enumerate(STATES)]


def test_rows_that_fit_are_all_there() -> None:
    assert fitting(ROWS[:5], 5) == ROWS[:5]


def test_what_runs_and_what_failed_comes_before_what_has_finished() -> None:
    shown = fitting(ROWS, 6)
    assert [row[0] for row in shown] == ["fold-898", "fold-899", "fold-900", "fold-901", "fold-902", "and"]
    assert shown[-1][1] == "898 finished, 97 waiting"


def test_a_terminal_shows_the_running_ones_of_a_thousand() -> None:
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=80, height=12)
    with live_table(Display(console), ("run", "state", "stage")) as table:
        assert table.is_due
        table.show(ROWS)
        assert not table.is_due
    assert "fold-901" in said.getvalue()
    assert "finished, 97 waiting" in said.getvalue()
