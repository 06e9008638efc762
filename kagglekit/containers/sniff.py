"""See from the beginning of a file whether its rows or records are images, without reading all of it."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from kagglekit.containers.pixel_columns import pixel_columns

HEAD = 2**20  # bytes that are looked at
_BAND = re.compile(rb'"\s*:\s*\[(?:\s*-?\d[\d.eE+-]*\s*,){63}')  # a field with a list of 64 numbers or more


def holds_pixels(file: Path) -> bool:
    """Return whether a CSV file has columns of pixels, or a JSON file records with lists of numbers.

    As tables of text they would take many times their size in memory.
    """
    kind = file.suffix.lower()
    if kind not in (".csv", ".json"):
        return False
    with file.open("rb") as content:
        head = content.read(HEAD)
    if kind == ".json":
        return head.lstrip().startswith(b"[") and _BAND.search(head) is not None
    lines = head.decode("utf-8-sig", errors="replace").splitlines()[:2]
    return len(lines) == 2 and bool(pixel_columns(*csv.reader(lines)))
