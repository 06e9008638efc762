"""Group near-duplicates in the image table, so that no split separates them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.data.duplicates import describe_unread, fingerprints, near_duplicates

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit.hooks.calls import Hooks


def group_duplicates(table: pd.DataFrame, hooks: Hooks) -> tuple[pd.DataFrame, str]:
    """Put near-duplicates among the labelled images into one ``group``; groups that the table has are merged in.

    If the competition has its own valid split, valid images with a copy in train move to train.

    Args:
        table: The image table.
        hooks: The plugins, which read the images.

    Returns:
        The table, and a message about what was found.
    """
    rows = np.flatnonzero((table["split"] != "test").to_numpy())
    paths = [Path(path) for path in table["path"].to_numpy()[rows]]
    found = list(fingerprints(paths, hooks))
    pairs = near_duplicates(found)
    parts = _parts(len(rows), [*pairs, *_old_pairs(table, rows)])
    together = np.bincount(parts)[parts] > 1
    groups = np.full(len(table), None, dtype=object)
    groups[rows[together]] = [f"group {part}" for part in parts[together]]
    grouped = _without_leaks(table.assign(group=groups))
    copies = len({number for pair in pairs for number in pair})
    moved = int((grouped["split"] != table["split"]).sum())
    read = sum(one is not None for one in found)
    message = f"{copies} near-duplicates among {read:,} labelled images stay together in train or in valid"
    more = [f"{moved} of them moved from valid to train" if moved else "", describe_unread(paths, found)]
    return grouped, "; ".join([message, *filter(None, more)])


def _old_pairs(table: pd.DataFrame, rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pair each image of an existing group with the first one of that group."""
    if "group" not in table:
        return []
    first: dict[str, int] = {}
    own = table["group"].to_numpy(dtype=object)[rows]
    known = [(number, str(group)) for number, group in enumerate(own) if group is not None and group == group]
    return [(first.setdefault(group, number), number) for number, group in known]


def _parts(n: int, pairs: list[tuple[int, int]]) -> NDArray[np.int64]:
    """Number the connected components of a graph of `n` images."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, other = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), (one, other)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _without_leaks(table: pd.DataFrame) -> pd.DataFrame:
    in_train = set(table.loc[(table["split"] == "train") & table["group"].notna(), "group"])
    leaks = (table["split"] == "valid") & table["group"].isin(in_train)
    return table.assign(split=table["split"].where(~leaks, "train"))
