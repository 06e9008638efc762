"""Notice a data folder that is only a part of one: train without the test beside it, or a single class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from kagglekit.data.listing import folders_below, image_names, subfolders
from kagglekit.data.packed_folder import source_of
from kagglekit.data.part_names import names_any_part
from kagglekit.system.errors import UserError, listing

MOST_TRIED = 20  # folders of one beside that are searched for an image


def parts_beside(data: Path) -> str:
    """Return a sentence about other parts of the data beside a folder that is called as one; empty if there are none.

    Args:
        data: The data folder, or the folder of links that shows it unpacked.
    """
    own = source_of(data).resolve()
    others = [place.name for place in _beside(own) if names_any_part(place.name) and _has_images(place)]
    if not others or not names_any_part(own.name):
        return ""
    return f"{own.name} is one part of the data, with {listing(others, 3)} beside it; {_give_above(own)}"


def if_a_class(data: Path) -> str:
    """Return the hint for a folder that seems to be one class beside others; empty if nothing suggests that.

    Args:
        data: The data folder, or the folder of links that shows it unpacked.
    """
    own = source_of(data).resolve()
    beside = _beside(own)
    try:
        if not beside or not all(image_names(place) for place in (own, *beside)):
            return ""
    except UserError:
        return ""
    names = listing([place.name for place in beside], 3)
    return f"if {own.name} is a class, like {names} beside it, {_give_above(own)}"


def _give_above(own: Path) -> str:
    return f"give the folder above: kagglekit run {os.path.relpath(own.parent)}/"


def _beside(own: Path) -> Sequence[Path]:
    try:
        return [place for place in subfolders(own.parent) if place != own]
    except UserError:  # a folder that may not be listed
        return []


def _has_images(folder: Path) -> bool:
    try:
        return any(image_names(place) for place in islice(folders_below(folder), MOST_TRIED))
    except UserError:
        return False
