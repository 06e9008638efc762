"""Lay out text for narrow terminals: lines are wrapped, and of tables first titles, then cells; then they are split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len, set_cell_size

GAP = 2  # spaces between two columns
NARROW = 8  # columns up to this width are not narrowed
LEAST = 18  # columns of a run's name or a part of a path that is shortened
TIME = re.compile(r"\d{8}-\d{6}")  # a run's name begins with it, and it is enough to name the run
WORD = re.compile(r"(?:± )?\S+ *")  # an error stays behind its sign
BREAK = re.compile(  # in a word: after a plus, and after hyphens and dots unless they are between digits
    r"(?<=\w\+)(?=\w)|(?<=[a-z]{2}-)(?=\w)|(?<=\w-)(?=[a-z])|(?<=\w\.)(?=[a-z])"
)
FOLDER = re.compile(r"(?<=/)(?=[^/])")


def text_tables(
    titles: Sequence[str],
    lines: Sequence[Sequence[str]],
    room: int,
    keys: int = 1,
    together: Sequence[int] | None = None,
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the lines of titles and the lines of cells of a table, or of several where one would be too wide.

    A table that is too wide gets titles of several lines. Then its widest columns are narrowed: cells are wrapped, and
    long names of runs and parts of paths are shortened in the middle; other words may have to be typed, and addresses
    to be clicked. If that is not enough, further tables hold the columns that are left.

    Args:
        titles: Titles of the columns.
        lines: Their cells.
        room: Columns of the terminal.
        keys: How many columns are repeated in each table.
        together: For each further column, the number of its group; see `_blocks`.
    """
    if total(_widths([titles, *lines])) <= room:  # as in a file, where thousands of cells need no measuring
        yield _table(titles, lines, [], room)
        return
    least = _least(titles, lines)
    for part, block in enumerate(_blocks(least, keys, room, together)):
        there = [line for line in lines if not part or any(line[i] for i in block[keys:])]
        cells = [[line[i] for i in block] for line in there]
        yield _table([titles[i] for i in block], cells, [least[i] for i in block], room)


def fits(titles: Sequence[str], lines: Sequence[Sequence[str]], room: int) -> bool:
    """Return whether a table is narrow enough as soon as its titles are wrapped."""
    return total(_widths([*_heads(titles, _widths(lines)), *lines]) if lines else _widths([titles])) <= room


def wrapped(text: str, width: int, indent: int | None = None) -> str:
    """Break lines between words; a command at a line's end stays whole, and so does a word longer than a line.

    Args:
        text: The lines.
        width: Columns of the terminal.
        indent: Spaces before the lines that are added; None for two more than the broken line has.
    """
    return "\n".join(part for line in text.split("\n") for part in _parts(line, width, indent))


def _parts(line: str, width: int, spaces: int | None) -> Iterator[str]:
    if cell_len(line) <= width:
        yield line
        return
    indent = " " * (len(line) - len(line.lstrip()) + 2 if spaces is None else spaces)
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


def total(widths: Iterable[int]) -> int:
    """Return the width of a line of columns with the gaps between them."""
    return sum(width + GAP for width in widths) - GAP


def _table(
    titles: Sequence[str], lines: Sequence[Sequence[str]], least: Sequence[int], room: int
) -> tuple[list[str], list[str]]:
    heads, rows = [list(titles)], [list(line) for line in lines]
    if lines and total(_widths([*heads, *rows])) > room:
        cells = _widths(lines)
        heads = _heads(titles, cells)
        widths = _widths([*heads, *rows])
        if total(widths) > room:
            widths = _levelled(widths, least, room)
            heads = _heads(titles, [min(pair) for pair in zip(cells, widths, strict=True)])
            rows = [row for line in lines for row in _stacked(line, widths)]
    widths = _widths([*heads, *rows])
    return [_aligned(head, widths) for head in heads], [_aligned(row, widths) for row in rows]


def _least(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of each column below which it cannot be narrowed."""
    if not lines:
        return _widths([titles])
    columns = zip(titles, zip(*lines, strict=True), strict=True)
    return [max(_least_of_title(title), *map(_least_of_cell, set(cells))) for title, cells in columns]


def _least_of_title(title: str) -> int:
    return max(map(cell_len, title.split(" ")))


def _least_of_cell(cell: str) -> int:
    if (width := cell_len(cell)) <= NARROW:
        return width
    return max(NARROW, *(_least_of_piece(piece, word) for piece, word in _pieces(cell)))


def _least_of_piece(piece: str, word: str) -> int:
    width = cell_len(piece.rstrip())
    return min(width, LEAST) if _is_name(word) else width


def _pieces(cell: str) -> list[tuple[str, str]]:
    """Return the pieces of a cell that are not broken, spaces behind them included, each with its word."""
    return [(piece, word) for word in WORD.findall(cell) for piece in _broken(word)]


def _broken(word: str) -> list[str]:
    if "://" in word:
        return [word]
    return (FOLDER if _is_name(word) else BREAK).split(word)


def _is_name(word: str) -> bool:
    """Return whether a word names a run or a path, so that its parts may be shortened."""
    return bool(TIME.match(word)) or ("/" in word and "://" not in word)


def _shortened(piece: str, width: int) -> str:
    """Return a piece's beginning and end with ``...`` between if it is wider than `width`."""
    if cell_len(piece.rstrip()) <= width:
        return piece
    time = TIME.match(piece)
    end = max(0, min((width - 3) // 2, width - 3 - len(time[0]) if time else width))
    return f"{set_cell_size(piece, width - 3 - end)}...{set_cell_size(piece.rstrip()[::-1], end)[::-1]} "


def _levelled(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return the widths after the widest columns were narrowed, until they fit or none can be narrowed further."""
    new = list(widths)
    while total(new) > room and (wider := [i for i in range(len(new)) if new[i] > least[i]]):
        new[max(wider, key=new.__getitem__)] -= 1
    return new


def _heads(titles: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """Return the titles of columns in as many lines as it takes to be no wider than the cells, if words allow it."""
    pairs = zip(titles, widths, strict=True)
    return _side_by_side([_wrapped(WORD.findall(title), max(width, NARROW)) for title, width in pairs])


def _stacked(line: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """Return the lines that a row takes in columns of these widths."""
    return _side_by_side([_narrowed(cell, width) for cell, width in zip(line, widths, strict=True)])


def _narrowed(cell: str, width: int) -> list[str]:
    if cell_len(cell) <= width:
        return [cell]
    return _wrapped([_shortened(piece, width) for piece, _ in _pieces(cell)], width)


def _wrapped(pieces: Sequence[str], width: int) -> list[str]:
    rows = [""]
    for piece in pieces:
        if rows[-1] and cell_len(rows[-1]) + cell_len(piece.rstrip()) > width:
            rows.append("")
        rows[-1] += piece
    return [row.rstrip() for row in rows]


def _side_by_side(columns: Sequence[Sequence[str]]) -> list[list[str]]:
    most = max(map(len, columns))
    return [[column[row] if row < len(column) else "" for column in columns] for row in range(most)]


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*lines, strict=True)]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return a line of cells with these widths."""
    pairs = zip(cells, widths, strict=True)
    return (
        (" " * GAP)
        .join(
            cell.ljust(width) if cell.isascii() and len(cell) <= width else set_cell_size(cell, width)
            for cell, width in pairs
        )
        .rstrip()
    )


def _blocks(widths: Sequence[int], keys: int, room: int, together: Sequence[int] | None) -> Iterator[list[int]]:
    """Distribute columns over tables no wider than `room`, with the first `keys` columns in each.

    Columns of one group stay in one table, unless the group alone is too wide.
    """
    groups: dict[int, list[int]] = {}
    for column in range(keys, len(widths)):
        groups.setdefault(together[column - keys] if together else column, []).append(column)
    block = first = list(range(keys))

    def is_narrow(columns: Sequence[int]) -> bool:
        return total(widths[i] for i in columns) <= room

    for group in groups.values():
        for part in [group] if is_narrow([*first, *group]) else [[column] for column in group]:
            if len(block) > keys and not is_narrow([*block, *part]):
                yield block
                block = first
            block = [*block, *part]
    yield block
