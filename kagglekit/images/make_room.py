"""Remove the image stores that were not used for longest when the disk runs short."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

from kagglekit.images.cache import cached_stores, remove
from kagglekit.system.display.console import amount, for_people

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kagglekit.images.cache import CachedArchive, CachedStore

LEAST_FREE = 5e9  # bytes
KEEP = "KAGGLEKIT_KEEP_CACHE"
DAY = 86_400.0


def make_room(folder: Path, root: str, least_free: float = LEAST_FREE) -> None:
    """Remove stores of other data, the least recently used first, until enough of the disk is free; say so once.

    Nothing is removed if the variable `KEEP` is set, from a store that is in use, or of the data that a store is being
    built for.

    Args:
        folder: Where a store is about to be built.
        root: The data folder of that store.
        least_free: Bytes.
    """
    if os.environ.get(KEEP, "0") not in ("", "0") or free_bytes(folder) >= least_free:
        return
    removed = []
    for store in sorted(cached_stores(), key=lambda store: store.used):
        if free_bytes(folder) >= least_free:
            break
        if store.root != root and store.folder != folder and remove(store):
            removed.append(store)
    if removed:
        days = (time.time() - max(store.used for store in removed)) / DAY
        for_people(json_output=True).warn(
            f"less than {amount(least_free)} of the disk is free: removed {len(removed)} cached image "
            f"store{'s' * (len(removed) != 1)}, {amount(sum(store.n_bytes for store in removed))}, not used for "
            f"{days:.0f} days or more; {KEEP}=1 turns this off"
        )


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that a folder, or the nearest existing one above it, is on."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).free


def surplus(
    kept: Sequence[CachedStore | CachedArchive], oldest: float | None, most_bytes: int | None
) -> list[CachedStore | CachedArchive]:
    """Return what to remove: entries last used before a time, then the least recently used ones beyond a size.

    Args:
        kept: All entries.
        oldest: Seconds since 1970; None for any time.
        most_bytes: Of what is left; None for any size.
    """
    by_age = sorted(kept, key=lambda entry: entry.used)
    chosen = [entry for entry in by_age if oldest is not None and entry.used < oldest]
    left = [entry for entry in by_age if entry not in chosen]
    n_bytes = sum(entry.n_bytes for entry in left)
    for entry in left:
        if most_bytes is None or n_bytes <= most_bytes:
            break
        chosen.append(entry)
        n_bytes -= entry.n_bytes
    return chosen
