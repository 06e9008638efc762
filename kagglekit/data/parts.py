"""Assign labelled images to parts, so that what is fitted for one part is fitted on the others (cross-fitting)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.data.stratify import share_out, units_of
from kagglekit.types.image_table import group_numbers
from kagglekit.types.randomness import image_keys

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

PARTS = 5


def assign_parts(
    ids: Sequence[str], strata: NDArray[np.int64], seed: int, groups: pd.Series[str] | None = None
) -> NDArray[np.int64]:
    """Assign images to five parts, stratified: sorted by stratum, within a stratum by a hash of the id.

    Args:
        ids: N ids.
        strata: (N,) numbers, or (N, L) 0 and 1, which `kagglekit.data.stratify` shares out; see `Task.strata`.
        seed: Seed of the hash.
        groups: Names of groups by id. A group stays whole; of numbered strata, its first image's counts.

    Returns:
        (N,): the part of each image, from 0.
    """
    import pandas as pd

    names = np.array([str(image) for image in ids], dtype=object)
    table = pd.DataFrame({"id": names, "group": None if groups is None else groups.reindex(names).to_numpy()})
    if strata.ndim == 2:
        return _parts_of_labels(table, strata, seed)
    everyone = np.arange(len(names))
    numbers = group_numbers(table, everyone)
    _, first, own = np.unique(everyone if numbers is None else numbers, return_index=True, return_inverse=True)
    order = np.lexsort((image_keys(list(names[first]), "ensemble", seed), strata[first]))
    parts = np.empty(len(first), dtype=np.int64)
    parts[order] = np.arange(len(first)) % PARTS
    return np.asarray(parts[own])


def _parts_of_labels(table: pd.DataFrame, labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    units = units_of(table, labels, "ensemble", seed)
    rooms = np.full(PARTS, len(table) / PARTS)
    wanted = np.tile(labels.sum(axis=0) / PARTS, (PARTS, 1))
    return np.asarray(share_out(units, rooms, wanted, np.ones_like(wanted, np.int64))[units.members])
