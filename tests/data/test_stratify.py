from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import UserError
from kagglekit.data.folds import assign_folds
from kagglekit.data.splits import limit_images, split_off, split_valid

SIZES = [(60, 6), (500, 10), (2000, 28)]


def drawn(n: int, n_labels: int, seed: int, groups: int = 0, valid: float = 0.0) -> tuple[pd.DataFrame, np.ndarray]:
    """A table, and labels (N, L) that hang together: from two of five images to three images in all."""
    rng = np.random.default_rng(seed)
    share = np.geomspace(0.4, 3 / n, n_labels) * np.exp(0.5 * rng.normal(size=(n, 1)))
    labels = (rng.random((n, n_labels)) < share).astype(np.int64)
    for column in labels.T:
        column[rng.choice(np.flatnonzero(column == 0), max(0, 3 - column.sum()), replace=False)] = 1
    table = table_of(n)
    if groups:
        table["group"] = [f"g{number}" for number in rng.integers(groups, size=n)]
    table.loc[rng.random(n) < valid, "split"] = "valid"
    return table, labels


def table_of(n: int) -> pd.DataFrame:
    ids = [f"i{number}" for number in range(n)]
    return pd.DataFrame({"id": ids, "path": ids, "label": "{}", "split": "train"}, dtype=object)


def shuffled(table: pd.DataFrame, labels: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    order = np.random.default_rng(5).permutation(len(table))
    return table.iloc[order], labels[order]


@pytest.mark.parametrize(("n", "n_labels"), SIZES)
@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_each_label_gives_its_share_within_rounding(n: int, n_labels: int, share: float) -> None:
    for seed in range(3):
        table, labels = drawn(n, n_labels, seed)
        valid = (split_valid(table, share, seed, labels)["split"] == "valid").to_numpy()
        assert valid.sum() == round(share * n)
        assert np.abs(labels[valid].sum(axis=0) - share * labels.sum(axis=0)).max() < 2
        assert (labels[~valid].sum(axis=0) > 0).all()


@pytest.mark.parametrize(("n", "n_labels"), SIZES)
def test_folds_have_equal_sizes_and_shares_of_each_label(n: int, n_labels: int) -> None:
    for seed in range(3):
        table, labels = drawn(n, n_labels, seed)
        folds = assign_folds(table, 5, seed, labels)
        assert np.bincount(folds)[1:].tolist() == [n // 5] * 5
        held = np.array([labels[folds == number].sum(axis=0) for number in range(1, 6)])
        assert np.abs(held - labels.sum(axis=0) / 5).max() < 2
        assert (held < labels.sum(axis=0)).all()


def test_shares_are_far_nearer_than_those_of_random_splits() -> None:
    table, labels = drawn(2000, 28, 0)
    quota = 0.2 * labels.sum(axis=0)
    ours = (split_valid(table, 0.2, 0, labels)["split"] == "valid").to_numpy()
    drawn_ones = [np.random.default_rng(seed).permutation(2000) < 400 for seed in range(10)]
    off = [float(((labels[valid].sum(axis=0) - quota) ** 2 / quota).mean()) for valid in (ours, *drawn_ones)]
    assert off[0] < min(off[1:]) / 4


@pytest.mark.parametrize("seed", range(3))
def test_groups_stay_whole_and_labels_nearly_give_their_share(seed: int) -> None:
    table, labels = drawn(2000, 28, seed, groups=400)
    split = split_valid(table, 0.2, seed, labels)
    valid = (split["split"] == "valid").to_numpy()
    assert not set(split["group"][valid]) & set(split["group"][~valid])
    assert abs(valid.sum() - 400) <= 5
    assert np.abs(labels[valid].sum(axis=0) - 0.2 * labels.sum(axis=0)).max() < 5
    folds = assign_folds(table, 5, seed, labels)
    assert (pd.Series(folds).groupby(table["group"]).nunique() == 1).all()
    held = np.array([labels[folds == number].sum(axis=0) for number in range(1, 6)])
    assert np.abs(held - labels.sum(axis=0) / 5).max() < 6
    assert (held < labels.sum(axis=0)).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), groups=st.sampled_from([0, 30]))
def test_neither_split_nor_folds_nor_limit_depend_on_the_order_of_rows(seed: int, groups: int) -> None:
    table, labels = drawn(120, 5, seed, groups, valid=0.2)
    mixed, own = shuffled(table, labels)
    train, mixed_train = table.assign(split="train"), mixed.assign(split="train")
    for straight, other in (
        (split_off(train, "test", 0.3, seed, labels), split_off(mixed_train, "test", 0.3, seed, own)),
        (limit_images(table, 40, seed, labels), limit_images(mixed, 40, seed, own)),
    ):
        pd.testing.assert_series_equal(
            straight.set_index("id")["split"].sort_index(), other.set_index("id")["split"].sort_index()
        )
    if groups:  # folds refuse a label of a single group
        common = [column for column in range(5) if table["group"][labels[:, column] == 1].nunique() > 1]
        labels, own = labels[:, common], own[:, common]
    folds = [pd.Series(assign_folds(t, 3, seed, y), index=t["id"]) for t, y in ((table, labels), (mixed, own))]
    pd.testing.assert_series_equal(folds[0].sort_index(), folds[1].sort_index())


def test_some_images_without_a_group_are_on_their_own() -> None:
    labels = np.eye(3, dtype=np.int64)[np.arange(60) % 3]
    names = pd.Series([f"group {number % 9}" if number < 36 else None for number in range(60)])
    for group in (names, names.astype(object)):
        table = table_of(60).assign(group=group)
        folds = pd.Series(assign_folds(table, 5, 0, labels))
        assert (folds.groupby(group).nunique() == 1).all()
        assert folds.groupby(group).first().nunique() == 5
        assert np.bincount(folds)[1:].tolist() == [12] * 5
        valid = split_valid(table, 0.2, 0, labels)["split"] == "valid"
        assert valid.sum() == 12


def test_another_seed_gives_another_choice() -> None:
    table, labels = drawn(120, 5, 0)
    first, second = (split_valid(table, 0.3, seed, labels)["split"] for seed in (0, 1))
    assert (first != second).any()
    assert (assign_folds(table, 3, 0, labels) != assign_folds(table, 3, 1, labels)).any()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0.05, 0.9), groups=st.sampled_from([0, 12]))
def test_each_label_keeps_an_image_in_train(seed: int, share: float, groups: int) -> None:
    rng = np.random.default_rng(seed)
    table, labels = table_of(40), (rng.random((40, 4)) < [0.5, 0.1, 0.05, 0.02]).astype(np.int64)
    if groups:
        table["group"] = [f"g{number}" for number in rng.integers(groups, size=40)]
    split = split_valid(table, share, seed, labels)
    train = (split["split"] == "train").to_numpy()
    assert not train.all()
    assert (labels[train].sum(axis=0) > 0)[labels.sum(axis=0) > 0].all()


def test_a_label_of_one_image_stays_in_train_and_of_two_gives_one_to_a_large_valid_split() -> None:
    labels = np.zeros((20, 2), np.int64)
    labels[3, 0] = 1
    labels[[5, 6], 1] = 1
    for seed in range(10):
        valid = (split_valid(table_of(20), 0.7, seed, labels)["split"] == "valid").to_numpy()
        assert valid.sum() == 14
        assert labels[valid].sum(axis=0).tolist() == [0, 1]


def test_images_without_labels_are_shared_out_too() -> None:
    labels = np.zeros((30, 2), np.int64)
    labels[:10, 0] = 1
    valid = (split_valid(table_of(30), 0.2, 0, labels)["split"] == "valid").to_numpy()
    assert valid.sum() == 6
    assert valid[:10].sum() == 2
    folds = assign_folds(table_of(30), 5, 0, labels)
    assert np.bincount(folds[:10]).tolist() == [0, 2, 2, 2, 2, 2]
    assert np.bincount(folds[10:]).tolist() == [0, 4, 4, 4, 4, 4]


def test_test_images_keep_their_split_whatever_their_strata() -> None:
    table, labels = drawn(100, 5, 0)
    table.loc[80:, "split"] = "test"
    other = labels.copy()
    other[80:] = 1 - other[80:]
    for own in (labels, other):
        split = split_valid(table, 0.25, 0, own)
        assert (split["split"][80:] == "test").all()
        assert (split["split"] == "valid").sum() == 20
        assert (assign_folds(table, 4, 0, own)[80:] == 0).all()
    pd.testing.assert_frame_equal(split_valid(table, 0.25, 0, labels), split_valid(table, 0.25, 0, other))
    pd.testing.assert_frame_equal(limit_images(table, 30, 0, labels), limit_images(table, 30, 0, other))


@pytest.mark.parametrize("valid", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_a_limit_keeps_shares_and_two_images_of_each_label(seed: int, valid: float) -> None:
    table, labels = drawn(2000, 28, seed, valid=valid)
    for n in (60, 200, 1000):
        kept = limit_images(table, n, seed, labels)
        assert len(kept) == n
        own = labels[table["id"].isin(kept["id"])]
        assert own.sum(axis=0).min() >= (1 if valid else 2)
        quota = labels.sum(axis=0) * n / 2000
        assert np.abs(own.sum(axis=0) - quota)[quota > 3].max() < 5
        assert abs((kept["split"] == "valid").sum() - (table["split"] == "valid").mean() * n) <= 8
        train = labels[table["id"].isin(kept["id"]) & (table["split"] == "train")]
        assert (train.sum(axis=0) > 0)[labels[table["split"] == "train"].sum(axis=0) > 0].all()


def test_a_limit_that_loses_a_label_says_how_many_images_are_enough() -> None:
    labels = np.repeat(np.eye(4, dtype=np.int64), 5, axis=0)
    with pytest.raises(UserError, match=r"a limit of 3 images is too small for 4 labels(.|\n)*at least 8"):
        limit_images(table_of(20), 3, 0, labels)
    assert len(limit_images(table_of(20), 4, 0, labels)) == 4
    assert len(limit_images(table_of(20), 100, 0, labels)) == 20


def test_one_label_an_image_as_numbers_gives_what_the_names_give() -> None:
    names = np.array([["b", "a", "c"][number % 3] for number in range(60)])
    numbers = np.unique(names, return_inverse=True)[1].astype(np.int64)
    table = table_of(60).assign(label=names.astype(object))
    for own in (table, table.assign(group=[f"g{number // 4}" for number in range(60)])):
        pd.testing.assert_frame_equal(split_valid(own, 0.3, 1), split_valid(own, 0.3, 1, numbers))
        pd.testing.assert_frame_equal(limit_images(own, 25, 1), limit_images(own, 25, 1, numbers))
        assert (assign_folds(own, 3, 1) == assign_folds(own, 3, 1, numbers)).all()


def test_folds_that_cannot_be_say_why() -> None:
    labels = np.zeros((12, 3), np.int64)
    labels[:, 0], labels[:4, 1], labels[7, 2] = 1, 1, 1
    alone = assign_folds(table_of(12), 3, 0, labels, ["rust", "rot", "scab"])  # a label of one image is in one fold
    assert sorted(set(alone)) == [1, 2, 3]
    with pytest.raises(UserError, match=re.escape("there are only 12 images for 13 folds")):
        assign_folds(table_of(12), 13, 0, labels[:, :2])
    grouped = table_of(12).assign(group=["a"] * 6 + ["b"] * 6)
    with pytest.raises(UserError, match="only 2 groups of images for 3 folds"):
        assign_folds(grouped, 3, 0, labels[:, :2], ["rust", "rot"])


def test_folds_of_numbered_strata_are_named_by_their_labels() -> None:
    labels = np.array(["cat"] * 5 + ["dog"] * 5 + ["emu"], dtype=object)
    numbers = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    with pytest.raises(UserError, match="at least two images of each class; only one of: emu"):
        assign_folds(table_of(11).assign(label=labels), 3, 0, numbers)
    own = [f'{{"y": {number}}}' for number in range(11)]
    parts = np.array([0] * 5 + [1] * 5 + [2])
    with pytest.raises(UserError, match=re.escape('only one of: {"y": 10}')):
        assign_folds(table_of(11).assign(label=own), 3, 0, parts)
    with pytest.raises(UserError, match="no class has 6 images: at most 5 folds"):
        assign_folds(table_of(10).assign(label=own[:10]), 6, 0, parts[:10])


def test_no_valid_image_where_each_label_has_one() -> None:
    with pytest.raises(UserError, match="no image can be held out for valid"):
        split_valid(table_of(3), 0.3, 0, np.eye(3, dtype=np.int64))


def test_the_smallest_group_is_held_out_where_all_are_large() -> None:
    table = table_of(20).assign(group=["a"] * 9 + ["b"] * 8 + ["c"] * 3)
    valid = split_valid(table, 0.05, 0, np.ones((20, 1), np.int64))
    assert set(valid.loc[valid["split"] == "valid", "group"]) == {"c"}
