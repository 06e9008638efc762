"""Where a competition's data are."""

from __future__ import annotations

import os
from pathlib import Path

from kagglekit.competition import Competition

KAGGLE_INPUT = Path("/kaggle/input")  # what Kaggle's own machines have attached, read-only


def data_place(name: str) -> Path:
    """Return where a competition's data belong, and where a download goes: $KAGGLEKIT_DATA/NAME, else ./data/NAME."""
    return Path(os.environ.get("KAGGLEKIT_DATA", "data")).absolute() / name


def existing_data(competition: Competition, name: str) -> Path | None:
    """Return the folder that holds the data; None if there is none.

    On Kaggle's own machines the attached folder is used in place, after the two usual ones.
    """
    places = [data_place(name)]
    if competition.slug:
        places += [KAGGLE_INPUT / "competitions" / competition.slug, KAGGLE_INPUT / competition.slug]
    return next((place for place in places if place.is_dir() and any(place.iterdir())), None)
