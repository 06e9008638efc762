"""Tables in a narrow terminal: titles are wrapped, then cells; only then there is a second table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.system.display.text_table import fits, text_tables

RUN = "20261201-120041-mobilenetv4_conv_medium.e500_r224_in1k"


def lines(titles: list[str], cells: list[str], room: int) -> list[str]:
    """Return the lines of the one table of a row."""
    ((heads, rows),) = text_tables(titles, [cells], room)
    return [*heads, *rows]


def test_titles_are_wrapped_before_cells() -> None:
    titles, cells = ["run", "a long title"], ["one two three", "1"]
    assert lines(titles, cells, 27) == ["run            a long title", "one two three  1"]
    assert lines(titles, cells, 26) == ["run            a long", "               title", "one two three  1"]
    assert fits(titles, [cells], 21)
    assert not fits(titles, [cells], 20)
    assert lines(titles, cells, 18)[-2:] == ["one two  1", "three"]


def test_a_runs_name_keeps_its_time_and_a_networks_all_letters() -> None:
    for room in (18, 24, 40):
        (shown,) = lines(["run"], [RUN], room)[1:]
        assert shown.startswith("20261201-120041")
        assert "..." in shown
        assert len(shown) <= room
    network = RUN[16:]
    assert lines(["model"], [network], 30)[1:] == ["mobilenetv4_conv_medium.", "e500_r224_in1k"]


@pytest.mark.parametrize(
    ("cell", "room", "shown"),
    [
        ("0.5000 ± 0.0100", 10, ["0.5000", "± 0.0100"]),
        ("random-resized-crop+flip", 13, ["random-", "resized-crop+", "flip"]),
        ("2026-12-01 12:40", 12, ["2026-12-01", "12:40"]),
        ("/home/ada/kaggle/dog-breed", 14, ["/home/ada/", "kaggle/", "dog-breed"]),
        ("https://example.org/a/very/long/address", 14, ["https://example.org/a/very/long/address"]),
    ],
)
def test_cells_are_broken_where_people_would(cell: str, room: int, shown: list[str]) -> None:
    assert lines(["x"], [cell], room)[1:] == shown


@given(
    st.lists(st.tuples(*[st.text(st.sampled_from("ab狗1 -+/.±"), max_size=40)] * 3), min_size=1, max_size=4),
    st.integers(5, 80),
)
def test_no_row_is_lost_and_tables_only_split_if_they_must(rows: list[tuple[str, str, str]], room: int) -> None:
    tables = list(text_tables(["a", "b", "c"], rows, room))
    if fits(["a", "b", "c"], rows, room):
        assert len(tables) == 1
        assert len(tables[0][1]) == len(rows)
    if len(tables) == 1:
        assert len(tables[0][1]) >= len(rows)
    letters = sorted("".join(part for _, texts in tables for part in texts).replace(" ", ""))
    if not any("/" in cell for row in rows for cell in row) and len(tables) == 1:
        assert letters == sorted("".join(map("".join, rows)).replace(" ", ""))
