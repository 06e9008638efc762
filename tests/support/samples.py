"""The sample submission of a folder, by its name alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from kagglekit.data.sample import find_sample


def sample_rows(folder: Path) -> pd.DataFrame | None:
    """Return its rows, all as text; None if there is none."""
    found = find_sample(folder, None)
    return found.rows if found else None
