"""Hold images out for validation, and limit their number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.data.stratify import share_out, units_of
from kagglekit.system.errors import UserError
from kagglekit.types.randomness import image_keys

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


def split_valid(table: pd.DataFrame, share: float, seed: int, strata: Ints | None = None) -> pd.DataFrame:
    """Hold out a part of the train images as valid ones, unless the table has a valid split: see `split_off`."""
    return table if (table["split"] == "valid").any() else split_off(table, "valid", share, seed, strata)


def split_off(table: pd.DataFrame, split: str, share: float, seed: int, strata: Ints | None = None) -> pd.DataFrame:
    """Move a stratified part of the train images to another split.

    The choice depends on ids, strata and seed, not on the order of rows. Each stratum gives its share, rounded to
    whole images, and keeps at least one in train. Images of one ``group`` stay together.

    Args:
        table: The image table.
        split: Where they go: ``valid`` or ``test``.
        share: Of the train images.
        seed: Of the random choice.
        strata: Of all rows, those of test images without effect: numbers (rows,), or 0 and 1 (rows, L) for L labels
            that an image may share; see `Task.strata`. None for the column ``label``.

    Raises:
        UserError: Nothing can be moved, since each class has only one image or one group.
    """
    rows = np.flatnonzero(table["split"].to_numpy() == "train")
    train, own = table.iloc[rows], _strata_of(table, rows, strata)
    total = max(1, round(share * len(rows)))
    moved = _held_of_labels(train, own, total, split, seed) if own.ndim == 2 else _held(train, own, total, split, seed)
    if not moved.any():
        raise UserError(
            f"no image can be held out for {split}: each class has only one image (or one group of images)",
            "add images, or set a valid split in the plugin",
        )
    splits = table["split"].to_numpy(dtype=object, copy=True)
    splits[rows[moved]] = split
    return table.assign(split=splits)


def _strata_of(table: pd.DataFrame, rows: Ints, strata: Ints | None) -> NDArray[Any]:
    """Return the strata of rows, by default their labels as text."""
    return table["label"].to_numpy()[rows].astype(str) if strata is None else strata[rows]


def _held(train: pd.DataFrame, strata: NDArray[Any], total: int, split: str, seed: int) -> NDArray[np.bool_]:
    classes, counts = np.unique(strata, return_inverse=True, return_counts=True)[1:]
    quotas = counts * total / max(1, len(train))
    if "group" in train and train["group"].notna().any():
        return _whole_groups(train, classes, quotas, total, seed)
    keys = image_keys([str(image) for image in train["id"]], "split", split, seed)
    return _rank_within(classes, keys) < _apportion(quotas, total, np.zeros_like(counts), counts - 1)[classes]


def _held_of_labels(train: pd.DataFrame, labels: Ints, total: int, split: str, seed: int) -> NDArray[np.bool_]:
    """Choose which rows to hold out, for labels (N, L) that an image may share.

    If all groups are too large, choose the smallest one that leaves an image of each label.
    """
    units = units_of(train, labels, "split", split, seed)
    rooms = np.array([total, len(train) - total], dtype=np.float64)
    wanted = rooms[:, None] / max(1, len(train)) * labels.sum(axis=0)
    one_in_train = np.repeat(np.array([[1], [0]]), labels.shape[1], axis=1)
    chosen = share_out(units, rooms, wanted, one_in_train) == 0
    if not chosen.any():
        spare = ((units.counts < units.counts.sum(axis=0)) | (units.counts == 0)).all(axis=1)
        chosen[np.flatnonzero(spare)[np.argsort(units.sizes[spare], kind="stable")[:1]]] = True
    return np.asarray(chosen[units.members])


def limit_images(table: pd.DataFrame, n: int, seed: int, strata: Ints | None = None) -> pd.DataFrame:
    """Keep at most `n` labelled and `n` test images, rows in order.

    Labelled ones are stratified: each class keeps its share, at least two images if `n` allows it, one of
    them in train. Test images are drawn at random; their labels, where known, play no part.

    Args:
        table: The image table.
        n: Number of images.
        seed: Of the random choice.
        strata: See `split_off`.

    Raises:
        UserError: `n` is less than the number of classes, or no image of some label is left.
    """
    splits = table["split"].to_numpy(dtype=str)
    rows, test = np.flatnonzero(splits != "test"), np.flatnonzero(splits == "test")
    own = _strata_of(table, rows, strata)
    kept = _kept_of_labels if own.ndim == 2 else _kept
    chosen = rows[kept(table.iloc[rows], own, n, seed)]
    keys = image_keys([str(image) for image in table["id"].iloc[test]], "limit", seed)
    drawn = test[np.argsort(keys, kind="stable")[:n]]
    return table.iloc[np.sort(np.concatenate([chosen, drawn]))].reset_index(drop=True)


def _kept(table: pd.DataFrame, strata: NDArray[Any], n: int, seed: int) -> NDArray[np.bool_]:
    keys = image_keys([str(image) for image in table["id"]], "limit", seed)
    classes, counts = np.unique(strata, return_inverse=True, return_counts=True)[1:]
    if n < len(counts):
        raise UserError(
            f"a limit of {n} images is too small for {len(counts)} classes",
            f"use a limit of at least {2 * len(counts)}, two images a class",
        )
    total = min(n, len(strata))
    least = np.minimum(2 if n >= 2 * len(counts) else 1, counts)
    kept = _apportion(counts * total / len(strata), total, least, counts)[classes]
    return _rank_within(classes, _interleaved(classes, table["split"].to_numpy(dtype=str), keys)) < kept


def _kept_of_labels(table: pd.DataFrame, labels: Ints, n: int, seed: int) -> NDArray[np.bool_]:
    """Choose which rows to keep, for labels (N, L) that an image may share.

    Labels are balanced in train and in valid, and so are the two splits.
    """
    if n >= len(table):
        return np.ones(len(table), dtype=bool)
    train = (table["split"] == "train").to_numpy()[:, None]
    both = np.concatenate([labels * train, labels * ~train, train, ~train], axis=1).astype(np.int64)
    counts, n_labels = both.sum(axis=0), labels.shape[1]
    enough = n >= 2 * n_labels
    of_split = [2 if enough and train.all() else 1, 1 if enough else 0]
    least = np.minimum(np.repeat([*of_split, 0], [n_labels, n_labels, 2]), counts)
    kept = np.maximum(counts * n / len(table), least)
    units = units_of(table, both, "limit", seed, grouped=False)
    rooms = np.array([n, len(table) - n], dtype=np.float64)
    parts = share_out(units, rooms, np.stack([kept, counts - kept]), np.stack([np.zeros_like(least), least]))
    chosen: NDArray[np.bool_] = parts[units.members] == 0
    lost = (labels.sum(axis=0) > 0) & (labels[chosen].sum(axis=0) == 0)
    if chosen.sum() > n or lost.any():
        raise UserError(
            f"a limit of {n} images is too small for {n_labels} labels",
            f"use a limit of at least {2 * n_labels}, two images a label",
        )
    return chosen


def _apportion(
    quotas: NDArray[np.float64], total: int, least: NDArray[np.int64], most: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Round quotas to whole numbers in [least, most] with the sum `total`, by largest remainders."""
    given = np.clip(np.floor(quotas).astype(np.int64), least, most)
    while rest := total - int(given.sum()):
        step = 1 if rest > 0 else -1
        movable = given < most if step > 0 else given > least
        if not movable.any():
            break
        wish = np.where(movable, step * (quotas - given), -np.inf)
        given[np.argsort(-wish, kind="stable")[: min(abs(rest), int(movable.sum()))]] += step
    return given


def _rank_within(classes: NDArray[np.int64], keys: NDArray[Any]) -> NDArray[np.int64]:
    """Return each row's rank, from 0, by key among the rows of its class."""
    order = np.lexsort((keys, classes))
    starts = np.concatenate([[0], np.cumsum(np.bincount(classes))])[:-1]
    ranks = np.empty(len(classes), np.int64)
    ranks[order] = np.arange(len(classes)) - starts[classes[order]]
    return ranks


def _interleaved(classes: NDArray[np.int64], splits: NDArray[np.str_], keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return keys that order a class's rows so that every prefix has train and valid in proportion."""
    parts = np.unique(np.stack([classes, splits == "valid"]), axis=1, return_inverse=True)[1].ravel()
    ranks = _rank_within(parts, keys)
    positions = (ranks + 0.5) / np.bincount(parts)[parts]
    first = ranks == 0  # one of each split comes before all others, train before valid
    return np.where(first, np.where(splits == "valid", -1.0, -2.0), positions)


def _whole_groups(
    train: pd.DataFrame, classes: NDArray[np.int64], quotas: NDArray[np.float64], total: int, seed: int
) -> NDArray[np.bool_]:
    """Choose groups in random order, each if it brings its classes nearer to their quotas.

    If all groups are too large for that, choose the smallest one.
    """
    alone = train["group"].isna().to_numpy()
    names = np.where(alone, "id " + train["id"].astype(str), "group " + train["group"].astype(str))
    groups, members = np.unique(names.astype(str), return_inverse=True)
    sizes = np.bincount(members)
    rows_of = np.split(np.argsort(members, kind="stable"), np.cumsum(sizes)[:-1])
    parts = [np.unique(classes[rows], return_counts=True) for rows in rows_of]
    left, taken, chosen = np.bincount(classes), np.zeros(len(quotas)), np.zeros(len(groups), bool)
    for group in np.argsort(image_keys(list(groups), "group", seed), kind="stable"):
        there, n = parts[group]
        nearer = (n * (n + 2 * (taken[there] - quotas[there]))).sum() < 0  # change of the squared distance
        if nearer and taken.sum() + n.sum() <= total and (left[there] > n).all():
            chosen[group] = True
            taken[there] += n
            left[there] -= n
    if not chosen.any():
        spare = [g for g in np.argsort(sizes, kind="stable") if (left[parts[g][0]] > parts[g][1]).all()]
        chosen[spare[:1]] = True
    return chosen[members]
