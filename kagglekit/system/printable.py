"""Show text from outside: names of files, classes and columns may hold anything."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Escape line breaks, control characters, marks that reorder text, and lone surrogates: ``\n``, ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def shortened(text: str, most: int) -> str:
    """Return a text's beginning and end with ``...`` between if it has more than `most` letters."""
    if len(text) <= most:
        return text
    end = (most - 3) // 2
    return f"{text[: most - 3 - end]}...{text[-end:]}"
