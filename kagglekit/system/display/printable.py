"""Show text from outside: names of files, classes and columns, titles and messages may hold anything."""

from __future__ import annotations

import unicodedata

_JOINER = "\u200d"  # of emoji, and of letters in some scripts


def printable(text: str) -> str:
    r"""Escape line breaks, control characters, marks that reorder text, and lone surrogates: ``\n``, ``\u202e``."""
    return text if text.isprintable() else "".join(map(_shown, text))


def printable_lines(text: str) -> str:
    """Escape as `printable` does, but for line feeds and tabs."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def shortened(text: str, most: int) -> str:
    """Return a text's beginning and end with ``...`` between if it has more than `most` letters."""
    if len(text) <= most:
        return text
    end = (most - 3) // 2
    return f"{text[: most - 3 - end]}...{text[-end:]}"


def _shown(letter: str) -> str:
    kept = letter.isprintable() or letter == _JOINER or unicodedata.category(letter) == "Zs"
    return letter if kept else repr(letter)[1:-1]
