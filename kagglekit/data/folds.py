"""Assign images to folds: stratified by class, images of one group together."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.system.errors import UserError, listing
from kagglekit.types.image_table import group_numbers

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def assign_folds(table: pd.DataFrame, k: int, seed: int) -> NDArray[np.int64]:
    """Assign all labelled images, train and valid ones, to `k` folds.

    The result depends on ids, classes, groups and seed, not on the order of rows.

    Args:
        table: The image table; images of one value of the column ``group`` stay in one fold.
        k: Number of folds.
        seed: Of the random assignment.

    Returns:
        (rows,) the fold, from 1, that holds each image out; 0 for test images.

    Raises:
        UserError: The classes have too few images (or groups) for that many folds.
    """
    rows = np.flatnonzero((table["split"] != "test").to_numpy())
    rows = rows[np.argsort(table["id"].to_numpy()[rows].astype(str), kind="stable")]
    labels = table["label"].to_numpy()[rows].astype(str)
    groups = group_numbers(table, rows)
    _check_counts(labels, groups, k)
    folds = np.zeros(len(table), np.int64)
    for number, (_, held) in enumerate(_splitter(groups, k, seed, labels), 1):
        folds[rows[held]] = number
    _check_training(folds[rows], labels, k)
    return folds


def _splitter(groups: NDArray[np.int64] | None, k: int, seed: int, labels: NDArray[np.str_]) -> Any:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # its images still go to different folds
        warnings.filterwarnings("ignore", "The number of unique classes")
        return list(kind(k, shuffle=True, random_state=seed).split(labels, labels, groups))


def _check_counts(labels: NDArray[np.str_], groups: NDArray[np.int64] | None, k: int) -> None:
    """Check that each class has at least two images (groups), and one class at least `k`."""
    what = "images" if groups is None else "groups of images"
    names, numbers = np.unique(labels, return_inverse=True)
    pairs = np.stack([numbers, np.arange(len(labels)) if groups is None else groups])
    counts = np.bincount(np.unique(pairs, axis=1)[0])
    if counts.min() < 2:
        raise UserError(
            f"folds need at least two {what} of each class; only one of: {listing(list(names[counts < 2]))}",
            "add images, or train one model without --folds",
        )
    if counts.max() < k:
        raise UserError(
            f"no class has {k} {what}: at most {counts.max()} folds are possible", f"use --folds {counts.max()}"
        )


def _check_training(folds: NDArray[np.int64], labels: NDArray[np.str_], k: int) -> None:
    """Check that no fold is empty or holds out all images of a class."""
    for number in range(1, k + 1):
        held = folds == number
        missing = sorted(set(labels) - set(labels[~held]))
        if missing or not held.any():
            what = f"would hold out all images of {listing(missing)}" if missing else "would hold out no image"
            raise UserError(f"fold {number} of {k} {what}", "use another number of --folds, or another --seed")
