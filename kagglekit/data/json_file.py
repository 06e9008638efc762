"""Read a JSON file of a competition, such as names of classes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kagglekit.system.damage import naming_damage

if TYPE_CHECKING:
    from pathlib import Path


def read_json(file: Path, hint: str = "restore it") -> Any:
    """Read a JSON file in UTF-8, with or without a byte order mark.

    Args:
        file: The file.
        hint: What to do if it is damaged.

    Raises:
        UserError: It cannot be read, or is no JSON; the message names it.
    """
    with naming_damage(file, hint, "as JSON"):
        return json.loads(file.read_text("utf-8-sig"))
