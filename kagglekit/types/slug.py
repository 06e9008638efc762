"""The name of a competition in Kaggle's addresses."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_HOST = re.compile(r"(?:[a-z]+\.)?kaggle\.com", re.IGNORECASE)


def parse_slug(text: str) -> str:
    """Return the name of a competition from its name or its address.

    Every page of the competition will do: ``https://www.kaggle.com/competitions/NAME/data``, ``kaggle.com/c/NAME``.

    Raises:
        ValueError: It is neither.
    """
    plain = text.strip()
    if _NAME.fullmatch(plain):
        return plain
    try:
        parts = urlsplit(plain if "://" in plain else f"https://{plain.lstrip('/')}")
    except ValueError:
        parts = urlsplit("")
    path = [part for part in parts.path.split("/") if part]
    if not _HOST.fullmatch(parts.hostname or "") and "://" not in plain:  # competitions/NAME, c/NAME
        path = [parts.netloc, *path]
    elif not _HOST.fullmatch(parts.hostname or ""):
        path = []
    if len(path) >= 2 and path[0].lower() in ("competitions", "c") and _NAME.fullmatch(path[1]):
        return path[1]
    raise ValueError(
        f"{text!r} is not the name or address of a competition on Kaggle: https://www.kaggle.com/competitions/NAME"
    )
