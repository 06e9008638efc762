"""Near-duplicates: images that are one picture, compressed, scaled or slightly changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MOST_BITS = 6  # of 64 that may differ
MOST_DIFFERENCE = 5.0  # mean, of 255, between the small copies
MOST_STRETCH = 1.05  # of one aspect over the other
SMALL = 32  # side of the copies that are compared, px
AT_ONCE = 1024  # rows of the table of distances


@dataclass(frozen=True)
class Fingerprint:
    """What is compared of an image.

    Attributes:
        bits: (64,) bool: whether each of 8 x 8 places is darker than its right neighbour.
        small: (32, 32) float32: a grey copy, 0 to 255.
        aspect: Width over height.
    """

    bits: NDArray[np.bool_]
    small: NDArray[np.float32]
    aspect: float


def fingerprint(path: Path) -> Fingerprint | None:
    """Read an image's fingerprint; None where OpenCV can't decode it.

    The bits are Krawetz's dHash ("Kind of like that", 2013), which recompression and scaling hardly change.
    """
    grey = cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_2)
    if grey is None:
        return None
    height, width = grey.shape
    nine = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    small = cv2.resize(grey, (SMALL, SMALL), interpolation=cv2.INTER_AREA).astype(np.float32)
    return Fingerprint((nine[:, :-1] < nine[:, 1:]).reshape(64), small, width / height)


def fingerprints(paths: Iterable[Path]) -> Iterator[Fingerprint | None]:
    """Yield `fingerprint` of each path, in order, read in threads."""
    with ThreadPoolExecutor() as threads:
        yield from threads.map(fingerprint, paths)


def near_duplicates(found: Sequence[Fingerprint | None]) -> list[tuple[int, int]]:
    """Return the pairs of positions of near-duplicates, ascending.

    Pairs whose hashes are close are compared pixel by pixel.
    """
    readable = [(number, one) for number, one in enumerate(found) if one is not None]
    if not readable:
        return []
    signs = np.stack([one.bits for _, one in readable]).astype(np.float32) * 2 - 1
    pairs = []
    for start in range(0, len(readable), AT_ONCE):
        agreeing = signs[start : start + AT_ONCE] @ signs[start:].T  # 64 less twice the bits that differ
        for i, j in zip(*np.nonzero(agreeing >= 64 - 2 * MOST_BITS), strict=True):
            if i < j and _same(readable[start + i][1], readable[start + j][1]):
                pairs.append((readable[start + i][0], readable[start + j][0]))
    return sorted(pairs)


def _same(one: Fingerprint, other: Fingerprint) -> bool:
    stretch = max(one.aspect, other.aspect) / min(one.aspect, other.aspect)
    return stretch <= MOST_STRETCH and float(np.abs(one.small - other.small).mean()) <= MOST_DIFFERENCE
