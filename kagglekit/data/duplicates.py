"""Near-duplicates: images that are one picture, compressed, scaled, brightened, or slightly cropped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kagglekit.system.errors import PluginError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from kagglekit.hooks.calls import Hooks

    Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

SMALL = 64  # side of the copies that are compared, px
HASH = 8  # side of the perceptual hash
ALIKE = 0.86  # least correlation of two hashes that are looked at further; a crop by 8 % keeps it in 9 cases of 10
MOST = 16  # of an image's alike ones are looked at, where it has more: in sets where all images look alike
SAME = 0.975  # least correlation of two copies, as they lie at half their side, or the middle of one over the other
WORTH = 0.6  # least correlation of two copies before that
ROUGH = 0.93  # least correlation of two copies of half the side, laid over one another: a quick look first
MOST_BENT = 0.3  # of the linear map that lays one over the other, from no map at all
FLAT = 2.0  # least standard deviation, of 255: there is no picture in anything flatter
STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 15, 1e-3)  # of the alignment
AT_ONCE = 1024  # rows of the table of correlations


@dataclass(frozen=True)
class Fingerprint:
    """What is compared of an image.

    Attributes:
        hash: (64,) float32: the picture at 8 x 8 px, less its mean, of length 1; zeros for a flat one.
        small: (64, 64) uint8: a grey copy, its shape given up.
    """

    hash: NDArray[np.float32]
    small: NDArray[np.uint8]


def fingerprint(
    path: Path, read: Callable[[Path, int], NDArray[np.uint8]], *, quick: bool = False
) -> Fingerprint | None:
    """Read an image's fingerprint; None where it can't be decoded.

    The hash forgets brightness and contrast, and, as the copy does, size and shape.

    Args:
        path: The image.
        read: ``(path, size) -> uint8 (H, W, 3)``, the short side not below `size` where the file allows.
        quick: OpenCV is tried before: it decodes a JPEG to half the side and to grey, in a fraction of the time.

    Raises:
        PluginError: `read` answers what is no picture.
    """
    grey = _grey_by_opencv(path) if quick else None
    if grey is None:
        grey = _grey_by(read, path)
    if grey is None:
        return None
    small = cv2.resize(grey, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    coarse = np.asarray(cv2.resize(small, (HASH, HASH), interpolation=cv2.INTER_AREA), dtype=np.float32)
    return Fingerprint(_unit(coarse.reshape(1, -1))[0], np.asarray(small, dtype=np.uint8))


def fingerprints(paths: Iterable[Path], hooks: Hooks) -> Iterator[Fingerprint | None]:
    """Yield `fingerprint` of each path, in order, read in threads by the competition's reader."""
    one = partial(fingerprint, read=hooks.read_image, quick=hooks.reads_files_as_they_are())
    remaining = iter(paths)
    # The first one in this thread: readers import their libraries on first use (see `store_build`).
    yield from map(one, islice(remaining, 1))
    with ThreadPoolExecutor() as threads:
        yield from threads.map(one, remaining)


def describe_unread(paths: Sequence[Path], found: Sequence[Fingerprint | None]) -> str:
    """Say how many images could not be read, and so were not compared; empty where all could."""
    unread = [path for path, one in zip(paths, found, strict=True) if one is None]
    if not unread:
        return ""
    return f"{len(unread):,} of {len(paths):,} images could not be read and are compared with none, such as {unread[0]}"


def near_duplicates(found: Sequence[Fingerprint | None]) -> list[tuple[int, int]]:
    """Return the pairs of positions of near-duplicates, ascending.

    Pairs whose hashes are close are compared pixel by pixel; those that differ are laid over one another first.
    """
    readable = np.array([number for number, one in enumerate(found) if one is not None], dtype=np.int64)
    if not len(readable):
        return []
    prints = [one for one in found if one is not None]
    first, second = _alike(np.stack([one.hash for one in prints]))
    smalls = np.stack([one.small for one in prints])
    likeness = _likeness(smalls, (first, second))
    same = likeness >= SAME
    unsure = np.flatnonzero(~same & (likeness >= WORTH))
    with ThreadPoolExecutor() as threads:
        same[unsure] = list(threads.map(_same_when_laid_over, smalls[first[unsure]], smalls[second[unsure]]))
    return sorted(zip(readable[first[same]].tolist(), readable[second[same]].tolist(), strict=True))


def _grey_by_opencv(path: Path) -> NDArray[np.uint8] | None:
    grey = cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_2)
    if grey is not None and min(grey.shape) < SMALL:
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return None if grey is None else np.asarray(grey, dtype=np.uint8)


def _grey_by(read: Callable[[Path, int], NDArray[np.uint8]], path: Path) -> NDArray[np.uint8] | None:
    try:
        picture = np.ascontiguousarray(read(path, SMALL))
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    except (PluginError, MemoryError):
        raise
    except Exception:  # whatever a reader stumbles over in a file; decoding for the run says what it was
        return None


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract each row's mean and divide by its length; a flat one becomes zeros."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    flat = lengths < FLAT * np.sqrt(rows.shape[1])
    return np.asarray(np.where(flat, 0, centred / np.where(flat, 1, lengths)), dtype=np.float32)


def _alike(hashes: NDArray[np.float32]) -> Pairs:
    """Return the pairs (i, j), i below j, of rows whose hashes are close."""
    pairs: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for start in range(0, len(hashes), AT_ONCE):
        table = hashes[start : start + AT_ONCE] @ hashes[start:].T
        np.fill_diagonal(table, -2)  # below every correlation
        least = np.full(len(table), ALIKE, dtype=np.float32)
        many = np.flatnonzero((table >= ALIKE).sum(axis=1) > MOST)
        if len(many):
            least[many] = np.partition(table[many], -MOST, axis=1)[:, -MOST]
        i, j = np.nonzero(table >= least[:, None])
        pairs.append((start + np.minimum(i, j), start + np.maximum(i, j)))
    found = np.unique(np.stack([np.concatenate(side) for side in zip(*pairs, strict=True)]), axis=1)
    return found[0], found[1]


def _likeness(smalls: NDArray[np.uint8], pairs: Pairs) -> NDArray[np.float32]:
    """Return the correlation of the copies of each pair, as they lie, at half their side."""
    half = SMALL // 2
    halves = smalls.reshape(-1, half, 2, half, 2).mean(axis=(2, 4), dtype=np.float32).reshape(-1, half * half)
    units = _unit(halves)
    parts = [np.zeros(0, dtype=np.float32)]
    for start in range(0, len(pairs[0]), AT_ONCE):
        one, other = (units[side[start : start + AT_ONCE]] for side in pairs)
        parts.append((one * other).sum(axis=1))
    return np.concatenate(parts)


def _same_when_laid_over(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Return whether the middle of one copy, which a slight crop leaves whole, is found in the other one."""
    side = (SMALL // 2, SMALL // 2)
    half = [np.asarray(cv2.resize(small, side, interpolation=cv2.INTER_AREA), np.uint8) for small in (one, other)]
    return _laid_over(half[0], half[1]) >= ROUGH and _laid_over(one, other) >= SAME


def _laid_over(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the correlation of the middle of one copy with what lies under it in the other one.

    It is moved by the affine map of highest correlation (Evangelidis and Psarakis 2008, "Parametric image alignment
    using enhanced correlation coefficient maximization", IEEE TPAMI 30(10)); -1 where that is found only far away.
    """
    edge = len(one) // 10
    middle = np.ascontiguousarray(one[edge:-edge, edge:-edge])
    start, everywhere = np.array([[1, 0, edge], [0, 1, edge]], dtype=np.float32), np.full_like(other, 255)
    try:
        likeness, found = cv2.findTransformECC(middle, other, start, cv2.MOTION_AFFINE, STOP, everywhere, 1)
    except cv2.error:  # it found no way
        return -1.0
    return float(likeness) if np.abs(found[:, :2] - np.eye(2)).max() <= MOST_BENT else -1.0
