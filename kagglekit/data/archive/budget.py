"""Limit how many bytes a download may unpack to, all archives and the archives in them counted."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

RATIO = 100  # times the size of the archives that were fetched
LEAST = 10**7  # bytes that small archives may unpack to: a CSV of equal numbers shrinks to a 600th
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


@dataclass
class Budget:
    """The bytes that may be unpacked, and those that have been.

    Attributes:
        given: The user's limit, bytes; None for `RATIO` times the size of what was fetched.
        fetched: Size of the archives that were fetched, bytes.
        used: What has been unpacked, bytes.
    """

    given: int | None = None
    fetched: int = 0
    used: int = 0

    @property
    def limit(self) -> int:
        """The limit, bytes."""
        return max(LEAST, RATIO * self.fetched) if self.given is None else self.given

    @property
    def left(self) -> int:
        """The bytes that may still be unpacked."""
        return self.limit - self.used

    def __str__(self) -> str:
        if self.given is not None:
            return f"{size_text(self.given)}, the limit of --max-unpacked"
        return f"{size_text(self.limit)}, {RATIO} times the size of what was fetched"


def size_text(n: int) -> str:
    """Return a number of bytes with three digits and a unit: ``1.50 GB``."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if n >= unit:
            return f"{n / unit:.3g} {name}"
    return f"{n} bytes"


def parse_size(text: str) -> int:
    """Return the bytes that ``20GB``, ``1.5 TB``, ``500 MiB`` or ``1000000`` means.

    Raises:
        ValueError: It is no size.
    """
    form = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", text, re.IGNORECASE)
    if not form or not math.isfinite(float(form[1])):
        raise ValueError(f"{text!r} is no size such as 20GB")
    return int(float(form[1]) * _UNITS[(form[2] or "").lower()])
