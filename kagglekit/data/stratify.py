"""Share images out among parts so that each part has its share of every label, groups whole.

Iterative stratification: Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label data", ECML PKDD,
algorithm 1. Images of the rarest label are shared out first, since they are the hardest, each to the part that lacks
them most. It is written here since no maintained library keeps groups whole: scikit-learn stratifies by one label
alone, and iterative-stratification and scikit-multilearn know no groups.

Changed, since it was measured to halve the errors at least: a part's lack is its share of all that was shared out so
far, less what it has (the paper compares what parts still want, so the largest one is served first); and all labels of
an image count, inversely to their number of images, as does the number of images itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.types.randomness import image_keys

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

EQUAL = 1e-9  # sums of shares are not exact


@dataclass(frozen=True)
class Units:
    """What stays in one part: groups of images, or single ones.

    Attributes:
        counts: (U, L + 1) how many of its images have each label; in the last column, how many images it has.
        keys: (U,) uint64, by which ties are broken.
        members: (N,) the unit of each image.
    """

    counts: Ints
    keys: NDArray[np.uint64]
    members: Ints

    @property
    def sizes(self) -> Ints:
        """Numbers of images (U,)."""
        return self.counts[:, -1]


def units_of(table: pd.DataFrame, labels: Ints, *salt: object, grouped: bool = True) -> Units:
    """Return the units of an image table's rows, in an order that does not depend on that of the rows.

    Args:
        table: Rows of the image table.
        labels: (N, L) 0 and 1.
        salt: What the keys depend on beside the names: purpose and seed.
        grouped: Whether images of one ``group`` stay together.
    """
    names = np.array([f"id {image}" for image in table["id"]], dtype=object)
    if grouped and "group" in table:
        known = table["group"].notna().to_numpy()
        names[known] = [f"group {group}" for group in table["group"][known]]
    units, members = np.unique(names.astype(str), return_inverse=True)
    counts = np.zeros((len(units), labels.shape[1] + 1), np.int64)
    np.add.at(counts, members, np.column_stack([labels, np.ones(len(labels), np.int64)]))
    return Units(counts, image_keys(list(units), *salt), members)


def share_out(units: Units, rooms: Floats, wanted: Floats, least: Ints) -> Ints:
    """Assign units to parts.

    Args:
        units: U units with L labels.
        rooms: (P,) the images that a part is to get. It gets more (a fraction aside) only where a unit fits nowhere.
        wanted: (P, L) the images of each label that a part is to get.
        least: (P, L) the images of each label that a part must leave to the others, where that is possible.

    Returns:
        (U,) the part of each unit.
    """
    sharing = _Sharing(units, np.column_stack([wanted, rooms]), np.column_stack([least, np.zeros_like(rooms)]))
    sharing.share_equal_ones(rooms / max(1.0, rooms.sum()))
    while (label := sharing.rarest()) is not None:
        for unit in sharing.undecided(label):
            sharing.place(unit)
    return sharing.parts


class _Sharing:
    """The state of the algorithm: what each part still wants of each label and, in the last column, of images."""

    def __init__(self, units: Units, wanted: Floats, least: Floats) -> None:
        self.units, self.wanted, self.least = units, wanted.astype(np.float64), least
        self.left = units.counts.sum(axis=0)  # undecided images
        self.weights = 1.0 / np.maximum(1, self.left)
        self.shares = self.wanted * self.weights
        self.outside = np.tile(self.left, (len(wanted), 1))  # images not in that part
        self.parts = np.full(len(units.counts), -1, np.int64)

    def share_equal_ones(self, shares: Floats) -> None:
        """Assign single images with the same labels, as many as make whole numbers for all parts, less one round.

        So a million images take seconds: few label sets are different ones.
        """
        single = np.flatnonzero(self.units.sizes == 1)
        kinds = np.unique(self.units.counts[single], axis=0, return_inverse=True)[1].ravel()
        ordered = single[np.lexsort((self.units.keys[single], kinds))]
        for same in np.split(ordered, np.cumsum(np.bincount(kinds))[:-1]) if len(single) else ():
            rounds = max(0.0, np.floor(shares.min() * len(same)) - 1)
            ends = np.cumsum(np.floor(rounds * shares / shares.min() + EQUAL).astype(np.int64)) if rounds else ()
            for part, end in enumerate(ends):
                start = ends[part - 1] if part else 0
                self._assign(same[start:end], part)

    def rarest(self) -> int | None:
        """Return the label with the fewest undecided images, the number of images if no label is left, else None."""
        there = np.flatnonzero(self.left > 0)
        return int(there[self.left[there].argmin()]) if len(there) else None

    def undecided(self, label: int) -> list[int]:
        """Return the undecided units with a label, those with most of it first: the last ones even out the rest."""
        counts = self.units.counts[:, label]
        found = np.flatnonzero((self.parts < 0) & (counts > 0))
        ordered: list[int] = found[np.lexsort((self.units.keys[found], -counts[found]))].tolist()
        return ordered

    def place(self, unit: int) -> None:
        """Assign a unit to the part that lacks its labels most.

        With the lack d_l of each label and the unit's counts n_l, that is the part with the largest sum of
        w_l n_l d_l: it lowers the weighted sum of squared lacks most.
        """
        has = self.units.counts[unit]
        allowed = ~((self.outside - has < self.least) & (has > 0)).any(axis=1)
        fits = allowed & (self.wanted[:, -1] > has[-1] - 1 + EQUAL)
        options = np.flatnonzero(fits if fits.any() else allowed if allowed.any() else np.ones_like(allowed))
        lack = (self.wanted - self.shares * (self.left - has)) @ (self.weights * has)
        best = options[lack[options] >= lack[options].max() - EQUAL]
        self._assign(np.array([unit]), int(best[int(self.units.keys[unit]) % len(best)]))

    def _assign(self, chosen: Ints, part: int) -> None:
        self.parts[chosen] = part
        has = self.units.counts[chosen].sum(axis=0)
        self.wanted[part] -= has
        self.left -= has
        self.outside[part] -= has
