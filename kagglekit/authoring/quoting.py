"""Write text from outside (titles, names of classes, columns, files) into Python source as data, never as code."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from kagglekit.system.display.printable import printable

WIDTH = 100  # of a comment


def literal(text: str) -> str:
    """Return a string literal that evaluates to `text`; unprintable characters are escaped."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    body = printable(text.replace("\\", "\\\\")).replace(quote, "\\" + quote)
    return quote + body + quote


def list_literal(texts: Iterable[str]) -> str:
    """Return a list literal of strings."""
    return f"[{', '.join(map(literal, texts))}]"


def comment(text: str) -> list[str]:
    """Return the lines of a comment; a line break in `text` starts no line of its own."""
    return textwrap.wrap(
        printable(" ".join(text.split())), WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False
    )
