from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from kagglekit.system.display.console import Bar, Display, NotebookDisplay, amount, duration, for_people
from kagglekit.system.display.notebook import NotebookOutput
from kagglekit.system.display.text_table import wrapped

COLUMNS = ("name", "first", "second", "third")
ROWS = [("a", "1" * 10, "2" * 10, "3" * 10), ("long_name", "x", "y", "z")]


def table(width: int, terminal: bool = True) -> list[str]:
    said = io.StringIO()
    Display(Console(file=said, force_terminal=terminal, no_color=True, width=width)).table(COLUMNS, ROWS)
    return [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in said.getvalue().splitlines()]


def test_a_table_that_fits_is_one_block() -> None:
    assert table(45) == [
        "name       first       second      third",
        "a          1111111111  2222222222  3333333333",
        "long_name  x           y           z",
    ]


def test_columns_beyond_the_terminal_go_on_below_with_the_first_one_repeated() -> None:
    assert table(44) == [
        "name       first       second",
        "a          1111111111  2222222222",
        "long_name  x           y",
        "name       third",
        "a          3333333333",
        "long_name  z",
    ]


def test_lines_with_nothing_in_the_columns_below_are_not_repeated() -> None:
    said = io.StringIO()
    display = Display(Console(file=said, force_terminal=True, color_system=None, width=12))
    display.table(("name", "first", "second"), [("a", "1", ""), ("b", "2", "x"), ("c", "", "")])
    assert [line.split() for line in said.getvalue().splitlines()] == [
        *(["name", "first"], ["a", "1"], ["b", "2"], ["c"]),
        *(["name", "second"], ["b", "x"]),
    ]


def test_an_option_and_its_value_stay_on_one_line() -> None:
    text = "hint: --lr is called --set stage.*.lr=1e-3; of one stage alone: --set stage.4.lr=1e-3"
    assert wrapped(text, 80).splitlines()[1] == "  --set stage.4.lr=1e-3"


def test_columns_of_one_group_stay_in_one_table() -> None:
    said = io.StringIO()
    display = Display(Console(file=said, force_terminal=True, color_system=None, width=44))
    display.table(COLUMNS, ROWS, together=(0, 1, 1))
    assert [line for line in said.getvalue().splitlines() if line.startswith("name")] == [
        "name       first",
        "name       second      third",
    ]


def test_a_column_wider_than_the_terminal_is_still_not_cut() -> None:
    assert table(5)[1::3] == ["a          1111111111", "a          2222222222", "a          3333333333"]


def test_a_file_is_as_wide_as_it_takes() -> None:
    assert table(20, terminal=False) == table(45)


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_that_is_shown_acts_on_a_terminal(terminal: bool) -> None:
    said = io.StringIO()
    display = Display(Console(file=said, force_terminal=terminal, color_system=None, width=160))
    evil = "\x1b]0;title\x07\x1b[2J\r\x9b1m\u202e\udce9 [bold]mark[/bold] :smile:"
    display.report(f"a\tline\n{evil}")
    display.warn(evil)
    display.table((evil, "second"), [(f"two\nlines {evil}", 1)])
    with display.bar(evil, 10) as bar:
        bar.advance(1, evil)
    shown = said.getvalue()
    for control in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\u202e", "\udce9"):
        assert control not in shown
    assert "[bold]mark[/bold]" in shown
    assert r"two\nlines \x1b]0;title" in shown
    assert "a\tline\n" in shown or "a       line\n" in shown


def test_a_bar_never_goes_beyond_its_end_and_keeps_its_last_note() -> None:
    display = Display(Console(file=io.StringIO(), force_terminal=True))
    with display.bar("work", 10) as bar:
        bar.advance(8, "loss 0.5")
        bar.advance(8)
        assert (bar.done, bar.note) == (10, "loss 0.5")
        assert bar.progress.tasks[0].completed == 10


def test_a_letter_the_output_cannot_show_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    for_people(json_output=False).report("0.9 ± 0.1 :dog: [b]")
    assert raw.getvalue() == b"0.9 ? 0.1 :dog: [b]\n"


@pytest.mark.parametrize(("seconds", "text"), [(41.6, "42 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")])
def test_durations_are_worded_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_bar_over_bytes_goes_back_and_knows_no_end() -> None:
    display = Display(Console(file=io.StringIO(), force_terminal=True))
    with display.bar("x", None, "bytes") as bar:
        bar.advance(5_000_000)
        assert (bar.done, bar.total) == (5_000_000, None)
        bar.restart(1_000_000, 3_000_000)
        bar.started -= 2
        bar.advance(1_000_000)
        assert bar.done == bar.progress.tasks[0].completed == 2_000_000
        assert 400 < float(bar.progress.tasks[0].fields["note"].removesuffix(" kB/s")) <= 500  # not 1,000
        bar.advance(9_000_000)
        assert bar.done == bar.progress.tasks[0].total == 3_000_000


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0.0 kB"), (12_340, "12.3 kB"), (5e6, "5.0 MB"), (812_300_000, "812.3 MB"), (1.234e9, "1.23 GB")],
)
def test_bytes_are_worded_for_people(n: float, text: str) -> None:
    assert amount(n) == text
    assert amount(1234.5, "images") == "1,234 images"


def test_a_status_is_a_line_where_nothing_moves_and_leaves_nothing_on_a_terminal() -> None:
    said = io.StringIO()
    with Display(Console(file=said, width=80)).status("reading [bold]labels[/bold]"):
        said.write("inside\n")
    assert said.getvalue() == "reading [bold]labels[/bold]\ninside\n"
    shown = io.StringIO()
    display = Display(Console(file=shown, force_terminal=True, width=80))
    with display.status("reading [bold]labels[/bold]"):
        display.report("a line")
    assert "reading [bold]labels[/bold]" in shown.getvalue()
    assert "a line" in shown.getvalue()


def test_a_bar_that_cannot_be_seen_speaks_after_three_seconds_and_then_ever_less() -> None:
    said = io.StringIO()
    display = Display(Console(file=said, width=80))
    with display.bar("decoding", 1_000) as bar:
        for seconds in (0, 2, 4, 5, 7, 9, 15, 20):
            bar._began = time.perf_counter() - seconds
            bar.advance(100)
    lines = said.getvalue().splitlines()
    assert [line.partition(" of ")[0] for line in lines] == [f"decoding: {n} images" for n in (300, 600, 800)]
    assert all(line.partition(" of ")[2].startswith("1,000 images, ") for line in lines)


def test_what_is_tracked_counts_by_its_size():
    display = Display(Console(file=io.StringIO()))
    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bar, "advance", lambda bar, n, note="": shown.append(n))
        assert list(display.track("predicting", 5, ["abc", "de"], len)) == ["abc", "de"]
        assert list(display.track("reading", 2, "xy")) == ["x", "y"]
    assert shown == [3, 2, 1, 1]


def test_commands_are_those_of_the_shell_or_of_python() -> None:
    said = [
        display.command("blend", "runs/a", Path("runs/b"), ensemble="mean")
        for display in (Display(Console()), NotebookDisplay(Console(), NotebookOutput(None)))
    ]
    assert said == [
        "kagglekit blend runs/a runs/b --ensemble mean",
        'kagglekit.blend("runs/a", "runs/b", ensemble="mean")',
    ]
