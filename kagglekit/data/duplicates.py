"""Find near-duplicates: copies of an image that were recompressed, scaled, brightened or slightly cropped."""

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

SMALL = 64  # side of the grey copies that are compared, px
HASH = 8  # side of the perceptual hash, px
ALIKE = 0.86  # least correlation of two hashes that is examined further; 90 % of crops by 8 % stay above it
MOST = 16  # candidates that are examined for each image: in some sets all images look alike
SAME = 0.975  # least correlation of two near-duplicates: unaligned at half the side, or aligned at full size
WORTH = 0.6  # least unaligned correlation of a pair that is aligned
ROUGH = 0.93  # least aligned correlation at half the side: a quick test before the one at full size
MOST_BENT = 0.3  # largest deviation of the alignment's linear part from the identity
FLAT = 2.0  # least standard deviation, of 255: anything flatter is blank
STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 15, 1e-3)  # of the alignment
JPEG = b"\xff\xd8\xff"  # how it begins
AT_ONCE = 1024  # rows of the correlation table that are computed at a time


@dataclass(frozen=True)
class Fingerprint:
    """Hold what is compared of an image.

    Attributes:
        hash: (64,) float32: the image at 8 x 8 px minus its mean, of length 1; zeros for a blank one.
        small: (64, 64) uint8: a grey copy, stretched to a square.
    """

    hash: NDArray[np.float32]
    small: NDArray[np.uint8]


def fingerprint(
    path: Path, read: Callable[[Path, int], NDArray[np.uint8]], *, quick: bool = False
) -> Fingerprint | None:
    """Return an image's fingerprint, or None if it cannot be decoded.

    The hash ignores brightness and contrast. Hash and copy ignore size and aspect ratio.

    Args:
        path: The image.
        read: ``(path, size) -> uint8 (H, W, 3)``, the short side not below `size` where the file allows.
        quick: Try OpenCV first: it decodes a JPEG to half the side and to grey in a fraction of the time.

    Raises:
        PluginError: `read` returns something that is no image.
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
    # Read the first one in this thread: readers import their libraries on first use (see `kagglekit.images.build`).
    yield from map(one, islice(remaining, 1))
    with ThreadPoolExecutor() as threads:
        yield from threads.map(one, remaining)


def describe_unread(paths: Sequence[Path], found: Sequence[Fingerprint | None]) -> str:
    """Return the message that some images could not be read; empty if all could."""
    unread = [path for path, one in zip(paths, found, strict=True) if one is None]
    if not unread:
        return ""
    return f"{len(unread):,} of {len(paths):,} images cannot be read and are not compared, for example {unread[0]}"


def near_duplicates(found: Sequence[Fingerprint | None]) -> list[tuple[int, int]]:
    """Return the pairs of positions of near-duplicates, ascending.

    Pairs whose hashes are close are compared pixel by pixel. Pairs that differ there are aligned and compared again.
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
        same[unsure] = list(threads.map(_same_when_aligned, smalls[first[unsure]], smalls[second[unsure]]))
    return sorted(zip(readable[first[same]].tolist(), readable[second[same]].tolist(), strict=True))


def _grey_by_opencv(path: Path) -> NDArray[np.uint8] | None:
    """Decode a JPEG to grey; return None for other files, which OpenCV may see otherwise: 10 bits in 16 as black."""
    try:
        content = path.read_bytes()  # imread crashes on names that are not Unicode
        if not content.startswith(JPEG):
            return None
        data = np.frombuffer(content, dtype=np.uint8)
        grey = cv2.imdecode(data, cv2.IMREAD_REDUCED_GRAYSCALE_2)
        if grey is not None and min(grey.shape) < SMALL:
            grey = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    except Exception:  # of images one pixel high, of too many pixels, of damaged ones: left to the reader
        return None
    return None if grey is None else np.asarray(grey, dtype=np.uint8)


def _grey_by(read: Callable[[Path, int], NDArray[np.uint8]], path: Path) -> NDArray[np.uint8] | None:
    try:
        picture = np.ascontiguousarray(read(path, SMALL))
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    except (PluginError, MemoryError):
        raise
    except Exception:  # readers raise anything on a damaged file; decoding for the run reports what it was
        return None


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract each row's mean and divide by its length; blank rows become zeros."""
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
    """Return the correlation of each pair's copies, unaligned, at half their side."""
    half = SMALL // 2
    halves = smalls.reshape(-1, half, 2, half, 2).mean(axis=(2, 4), dtype=np.float32).reshape(-1, half * half)
    units = _unit(halves)
    parts = [np.zeros(0, dtype=np.float32)]
    for start in range(0, len(pairs[0]), AT_ONCE):
        one, other = (units[side[start : start + AT_ONCE]] for side in pairs)
        parts.append((one * other).sum(axis=1))
    return np.concatenate(parts)


def _same_when_aligned(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Return whether the middle of one copy, which a slight crop keeps, is found in the other one."""
    side = (SMALL // 2, SMALL // 2)
    half = [np.asarray(cv2.resize(small, side, interpolation=cv2.INTER_AREA), np.uint8) for small in (one, other)]
    return _aligned_correlation(half[0], half[1]) >= ROUGH and _aligned_correlation(one, other) >= SAME


def _aligned_correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the correlation of the middle of one copy with the matching part of the other one.

    The part is found by the affine map of highest correlation (Evangelidis and Psarakis 2008, "Parametric image
    alignment using enhanced correlation coefficient maximization", IEEE TPAMI 30(10)). Return -1 if the search fails
    or the map distorts too much.
    """
    edge = len(one) // 10
    middle = np.ascontiguousarray(one[edge:-edge, edge:-edge])
    start, everywhere = np.array([[1, 0, edge], [0, 1, edge]], dtype=np.float32), np.full_like(other, 255)
    try:
        likeness, found = cv2.findTransformECC(middle, other, start, cv2.MOTION_AFFINE, STOP, everywhere, 1)
    except cv2.error:  # the search does not converge
        return -1.0
    return float(likeness) if np.abs(found[:, :2] - np.eye(2)).max() <= MOST_BENT else -1.0
