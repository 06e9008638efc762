"""Which fold holds which image out: stratified by class, images of one group together."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.errors import UsageError, UserError, listing

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit.plan import Request
    from kagglekit.recipe import Recipe


def check_folds(request: Request, recipe: Recipe) -> None:
    """Refuse options of folds that do not fit.

    Raises:
        UsageError: They don't.
    """
    if request.into and request.repeats > 1:
        raise UsageError("--into completes one run: it can't be repeated")
    if (request.only_fold or request.into) and not recipe.folds:
        raise UsageError("--only-fold and --into are for runs with folds: add --folds N")
    if request.only_fold and request.only_fold > recipe.folds:
        raise UsageError(f"--only-fold {request.only_fold}: there are folds 1 to {recipe.folds}")


def deal_folds(table: pd.DataFrame, k: int, seed: int) -> NDArray[np.int64]:
    """Deal all labelled images, train and valid ones, to `k` folds.

    It depends on ids, classes, groups and seed, not on the order of rows.

    Args:
        table: The image table; a column ``group`` keeps the images of each group in one fold.
        k: Number of folds.
        seed: Another seed deals differently.

    Returns:
        (rows,) the fold, from 1, that holds each image out; 0 for test images.

    Raises:
        UserError: There are too few images (or groups) of the classes for that many folds.
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


def fold_table(table: pd.DataFrame, folds: NDArray[np.int64], number: int) -> pd.DataFrame:
    """Return the image table of one fold: its own images are valid, all other labelled ones train."""
    splits = np.where(folds == 0, "test", np.where(folds == number, "valid", "train")).astype(object)
    return table.assign(split=splits)


def group_numbers(table: pd.DataFrame, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Number the groups of rows; an image without a group is one by itself. None where there are no groups."""
    if "group" not in table or not table["group"].notna().any():
        return None
    known, names = table["group"].notna().to_numpy()[rows], table["group"].to_numpy(dtype=object)[rows]
    keys = [
        f"group {name}" if there else f"image {i}" for i, (name, there) in enumerate(zip(names, known, strict=True))
    ]
    numbers: NDArray[np.int64] = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    return numbers


def _splitter(groups: NDArray[np.int64] | None, k: int, seed: int, labels: NDArray[np.str_]) -> Any:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # its images still go to folds of their own
        warnings.filterwarnings("ignore", "The number of unique classes")
        return list(kind(k, shuffle=True, random_state=seed).split(labels, labels, groups))


def _check_counts(labels: NDArray[np.str_], groups: NDArray[np.int64] | None, k: int) -> None:
    """Check that each class has two images (groups) or more, and one class at least `k`."""
    what = "images" if groups is None else "groups of images"
    names, numbers = np.unique(labels, return_inverse=True)
    pairs = np.stack([numbers, np.arange(len(labels)) if groups is None else groups])
    counts = np.bincount(np.unique(pairs, axis=1)[0])
    if counts.min() < 2:
        raise UserError(
            f"folds need at least two {what} of each class, but there is one of: {listing(list(names[counts < 2]))}",
            "add images, or train one model on a held-out part: leave --folds out",
        )
    if counts.max() < k:
        raise UserError(f"no class has {k} {what}: at most {counts.max()} folds can be made", f"--folds {counts.max()}")


def _check_training(folds: NDArray[np.int64], labels: NDArray[np.str_], k: int) -> None:
    """Check that no fold holds all images of a class out, and that none is empty."""
    for number in range(1, k + 1):
        held = folds == number
        missing = sorted(set(labels) - set(labels[~held]))
        if missing or not held.any():
            what = f"would hold all images of {listing(missing)} out" if missing else "would hold no image out"
            raise UserError(f"fold {number} of {k} {what}", "use another number of --folds, or another --seed")
