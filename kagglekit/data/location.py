"""Locate a competition's data."""

from __future__ import annotations

import os
from pathlib import Path

from kagglekit.data.listing import is_hidden
from kagglekit.system.errors import UserError
from kagglekit.types.competition import Competition

KAGGLE_INPUT = Path("/kaggle/input")  # where Kaggle's own machines attach data, read-only
MARKER = ".kagglekit-download.json"  # marks the folder of a complete download
DEMANDS = ".kagglekit-demands.txt"  # in such a folder, if submissions must come from notebooks: what is said of them


def data_place(name: str) -> Path:
    """Return the usual place of a competition's data, where a download goes: $KAGGLEKIT_DATA/NAME or ./data/NAME."""
    return Path(os.environ.get("KAGGLEKIT_DATA", "data")).absolute() / name


def existing_data(competition: Competition, name: str) -> Path | None:
    """Return the folder that holds the data, or None. Hidden files alone do not count as data.

    On Kaggle's own machines the attached folder is used in place, after the usual one.
    """
    places = [data_place(name)]
    if competition.slug:
        places += [KAGGLE_INPUT / "competitions" / competition.slug, KAGGLE_INPUT / competition.slug]
    return next((place for place in places if _has_data(place)), None)


def check_given(folder: Path, competition: Competition, name: str) -> None:
    """Check a data folder that the user has given.

    Raises:
        UserError: It is no folder.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        by_download = f", or run kagglekit download {name} --data DIR" if competition.slug or competition.files else ""
        hint = f"pass the folder of the unpacked download with --data{by_download}"
        raise UserError(f"the data folder {folder} {what}", hint)


def demands_noted(folder: Path) -> list[str]:
    """Return the lines that a download has noted in a data folder about submissions; none if there are none."""
    try:
        return (folder / DEMANDS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []


def is_complete(folder: Path) -> bool:
    """Return whether a download into a folder was completed and its files are still there."""
    return (folder / MARKER).is_file() and _has_data(folder)


def is_untidy(folder: Path) -> bool:
    """Return whether a completed download was killed before it removed its working files."""
    return is_complete(folder) and workshop(folder).exists()


def workshop(folder: Path) -> Path:
    """Return the working folder of a download: a sibling of `folder`, links resolved."""
    place = folder.resolve()
    return place.with_name(f".{place.name}.download")


def _has_data(folder: Path) -> bool:
    return folder.is_dir() and any(not is_hidden(path.name) for path in folder.iterdir())
