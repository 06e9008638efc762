"""Assign images to folds: stratified by class or by labels, images of one group together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.data.stratify import share_out, units_of
from kagglekit.system.errors import UserError, listing
from kagglekit.types.image_table import group_numbers

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def assign_folds(
    table: pd.DataFrame, k: int, seed: int, strata: NDArray[np.int64] | None = None, names: Sequence[str] = ()
) -> NDArray[np.int64]:
    """Assign all labelled images, train and valid ones, to `k` folds.

    The result depends on ids, strata, groups and seed, not on the order of rows.

    Args:
        table: The image table; images of one value of the column ``group`` stay in one fold.
        k: Number of folds.
        seed: Of the random assignment.
        strata: Of all rows, those of test images without effect: numbers (rows,), or 0 and 1 (rows, L) for L labels
            that an image may share; see `Task.strata`. None for the column ``label``.
        names: (L) of the labels, for messages; of another number they are ignored.

    Returns:
        (rows,) the fold, from 1, that holds each image out; 0 for test images.

    Raises:
        UserError: The classes have too few images (or groups) for that many folds.
    """
    rows = np.flatnonzero((table["split"] != "test").to_numpy())
    rows = rows[np.argsort(table["id"].to_numpy()[rows].astype(str), kind="stable")]
    folds = np.zeros(len(table), np.int64)
    if strata is not None and strata.ndim == 2:
        folds[rows] = _folds_of_labels(table.iloc[rows], strata[rows], k, seed, names)
        return folds
    labels = table["label"].to_numpy()[rows].astype(str)
    if strata is not None:
        labels = _named(strata[rows], labels)
    groups = group_numbers(table, rows)
    _check_counts(labels, groups, k)
    for number, (_, held) in enumerate(_splitter(groups, k, seed, labels), 1):
        folds[rows[held]] = number
    _check_training(folds[rows], labels, k)
    return folds


def _named(strata: NDArray[np.int64], labels: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return a name of each row's stratum: the label that all of its rows have, or its number."""
    numbers, first, own = np.unique(strata, return_index=True, return_inverse=True)
    names = labels[first]
    mixed = np.isin(np.arange(len(numbers)), own[labels != names[own]])
    alike = len(set(names[~mixed])) < np.count_nonzero(~mixed)
    named = [f"part {number + 1} of the numbers" for number in range(len(numbers))]
    return np.where(mixed | alike, named, names)[own]


def _folds_of_labels(
    table: pd.DataFrame, labels: NDArray[np.int64], k: int, seed: int, names: Sequence[str]
) -> NDArray[np.int64]:
    """Return the fold (N,), from 1, of images whose labels (N, L) may be several."""
    units = units_of(table, labels, "folds", seed)
    grouped = len(units.sizes) < len(table)
    what = "groups of images" if grouped else "images"
    if len(units.sizes) < k:
        raise UserError(f"there are only {len(units.sizes)} {what} for {k} folds", f"use --folds {len(units.sizes)}")
    fitting = len(names) == labels.shape[1]
    named = np.array(names if fitting else [f"label {number}" for number in range(1, labels.shape[1] + 1)])
    present = labels.sum(axis=0) > 0
    several = present & ((units.counts[:, :-1] > 0).sum(axis=0) > 1)  # one image can't be in two parts
    rooms = np.full(k, len(table) / k)
    wanted = np.tile(labels.sum(axis=0) / k, (k, 1))
    folds = share_out(units, rooms, wanted, np.ones_like(wanted, np.int64))[units.members] + 1
    for number in range(1, k + 1):
        held = folds == number
        _check_fold(number, k, held, list(named[several & (labels[~held].sum(axis=0) == 0)]))
    return folds


def _splitter(groups: NDArray[np.int64] | None, k: int, seed: int, labels: NDArray[Any]) -> Any:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # its images still go to different folds
        warnings.filterwarnings("ignore", "The number of unique classes")
        return list(kind(k, shuffle=True, random_state=seed).split(labels, labels, groups))


def _check_counts(labels: NDArray[Any], groups: NDArray[np.int64] | None, k: int) -> None:
    """Check that each class has at least two images (groups), and one class at least `k`."""
    what = "images" if groups is None else "groups of images"
    names, numbers = np.unique(labels, return_inverse=True)
    pairs = np.stack([numbers, np.arange(len(labels)) if groups is None else groups])
    counts = np.bincount(np.unique(pairs, axis=1)[0])
    _refuse_single(names[counts < 2], what)
    if counts.max() < k:
        raise UserError(
            f"no class has {k} {what}: at most {counts.max()} folds are possible", f"use --folds {counts.max()}"
        )


def _refuse_single(names: NDArray[Any], what: str) -> None:
    if len(names):
        raise UserError(
            f"folds need at least two {what} of each class; only one of: {listing([str(name) for name in names])}",
            "add images, or train one model without --folds",
        )


def _check_training(folds: NDArray[np.int64], labels: NDArray[Any], k: int) -> None:
    """Check that no fold is empty or holds out all images of a class."""
    for number in range(1, k + 1):
        held = folds == number
        _check_fold(number, k, held, sorted(set(labels.tolist()) - set(labels[~held].tolist())))


def _check_fold(number: int, k: int, held: NDArray[np.bool_], missing: Sequence[Any]) -> None:
    if missing or not held.any():
        classes = listing([str(name) for name in missing])
        what = f"would hold out all images of {classes}" if missing else "would hold out no image"
        raise UserError(f"fold {number} of {k} {what}", "use another number of --folds, or another --seed")
