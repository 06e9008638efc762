"""Labels of which every image has exactly one: they are learnt as one choice, by a softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 20  # images: of fewer, labels may exclude each other by chance


def exclusive_groups(truth: NDArray[np.float32]) -> tuple[tuple[int, ...], ...]:
    """Return groups of labels of which every image has exactly one.

    Beginning with the most frequent label, each group takes the next most frequent one that no image has together with
    it, until every image has one of the group's labels. Unknown labels agree with everything.

    Args:
        truth: (N, C) 0, 1 or nan.

    Returns:
        Column numbers, ascending; no column is in two groups.
    """
    if len(truth) < LEAST:
        return ()
    ones, known = truth == 1, ~np.isnan(truth)
    left = [int(each) for each in np.argsort(-ones.sum(axis=0), kind="stable") if ones[:, each].any()]
    found: list[tuple[int, ...]] = []
    for first in list(left):
        group = _group(first, left, ones, known) if first in left else ()
        if group:
            found.append(group)
            left = [each for each in left if each not in group]
    return tuple(sorted(found))


def _group(first: int, left: list[int], ones: NDArray[np.bool_], known: NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the group that begins with a label; empty if some image has none of its labels."""
    group, covered = [first], ones[:, first].copy()
    for other in left:
        if other != first and not (covered & ones[:, other]).any():
            group.append(other)
            covered |= ones[:, other]
    whole = known[:, group].all(axis=1)  # an image with unknown labels may have one of those
    if len(group) < 2 or whole.sum() < LEAST or not covered[whole].all():
        return ()
    return tuple(sorted(group))
