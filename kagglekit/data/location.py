"""Where a competition's data are."""

from __future__ import annotations

import os
from pathlib import Path

from kagglekit.types.competition import Competition

KAGGLE_INPUT = Path("/kaggle/input")  # what Kaggle's own machines have attached, read-only
MARKER = ".kagglekit-download.json"  # in a folder whose download was completed
LITTER = (".DS_Store", "Thumbs.db", "desktop.ini")  # what file managers leave wherever they have been


def data_place(name: str) -> Path:
    """Return where a competition's data belong, and where a download goes: $KAGGLEKIT_DATA/NAME, else ./data/NAME."""
    return Path(os.environ.get("KAGGLEKIT_DATA", "data")).absolute() / name


def existing_data(competition: Competition, name: str) -> Path | None:
    """Return the folder that holds the data; None if there is none. Hidden files alone are no data.

    On Kaggle's own machines the attached folder is used in place, after the two usual ones.
    """
    places = [data_place(name)]
    if competition.slug:
        places += [KAGGLE_INPUT / "competitions" / competition.slug, KAGGLE_INPUT / competition.slug]
    return next((place for place in places if _has_data(place)), None)


def is_complete(folder: Path) -> bool:
    """Whether a download into a folder was completed, and there still is something in it."""
    return (folder / MARKER).is_file() and _has_data(folder)


def is_untidy(folder: Path) -> bool:
    """Whether a download was completed, and killed before it removed what it left beside the folder."""
    return is_complete(folder) and workshop(folder).exists()


def workshop(folder: Path) -> Path:
    """Return the folder, beside the one that `folder` leads to, in which a download grows."""
    place = folder.resolve()
    return place.with_name(f".{place.name}.download")


def _has_data(folder: Path) -> bool:
    return folder.is_dir() and any(not _is_hidden(path.name) for path in folder.iterdir())


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in LITTER
