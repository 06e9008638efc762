from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kagglekit import assign_parts

IDS = [f"v{number}" for number in range(60)]


def test_parts_are_stratified_seeded_and_equal_in_size() -> None:
    strata = np.arange(60) % 3
    parts = assign_parts(IDS, strata, 0)
    assert np.bincount(parts).tolist() == [12] * 5
    assert all((np.bincount(strata[parts == part]) == 4).all() for part in range(5))
    assert (assign_parts(IDS, strata, 0) == parts).all()
    assert (assign_parts(IDS, strata, 1) != parts).any()


def test_parts_of_several_labels_have_equal_shares() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 4)) < [0.6, 0.4, 0.2, 0.1]).astype(np.int64)
    parts = assign_parts(IDS, labels, 0)
    assert np.bincount(parts).tolist() == [12] * 5
    for part in range(5):
        assert np.abs(labels[parts == part].sum(axis=0) - labels.sum(axis=0) / 5).max() < 2
    assert (assign_parts(IDS, labels, 1) != parts).any()


@pytest.mark.parametrize("several", [False, True])
def test_a_group_is_in_one_part_whatever_the_order_of_rows(several: bool) -> None:
    strata = np.arange(60) % 3
    strata = np.eye(3, dtype=np.int64)[strata] if several else strata
    groups = pd.Series({image: f"group {i % 9}" if i < 36 else None for i, image in enumerate(IDS)})
    parts = pd.Series(assign_parts(IDS, strata, 0, groups), index=IDS)
    assert (parts.groupby(groups).nunique() == 1).all()
    assert parts.groupby(groups).first().nunique() > 1
    if several:
        assert np.bincount(parts).tolist() == [12] * 5
    else:
        assert np.bincount(parts[groups.isna()]).min() >= 2
    alone = pd.Series(None, index=IDS, dtype=object)
    assert (assign_parts(IDS, strata, 0, alone) == assign_parts(IDS, strata, 0)).all()
    if several:
        order = np.random.default_rng(1).permutation(60)
        mixed = pd.Series(assign_parts([IDS[k] for k in order], strata[order], 0, groups), index=np.array(IDS)[order])
        assert (mixed.loc[IDS] == parts).all()
