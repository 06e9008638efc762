from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import UserError
from kagglekit.types.predictions import (
    average,
    check_predictions,
    difference,
    load_predictions,
    make_predictions,
    save_predictions,
    truth_numbers,
    with_missing_rows,
)

CLASSES = ["cat", "dog", "emu"]


def table_of(*rows: list[float], ids: str = "abcdefgh") -> pd.DataFrame:
    return make_predictions(list(ids[: len(rows)]), CLASSES[: len(rows[0])], np.array(rows))


def random_table(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return make_predictions([f"i{k}" for k in range(n)], CLASSES, rng.dirichlet(np.ones(3), n))


def test_a_table_has_text_ids_classes_in_order_and_float32() -> None:
    table = make_predictions(["7", "007"], ["dog", "cat"], [[0.25, 0.75], [1, 0]])
    assert list(table.index) == ["7", "007"]
    assert table.index.name == "id"
    assert list(table.columns) == ["dog", "cat"]
    assert (table.dtypes == np.float32).all()
    check_predictions(table, ["dog", "cat"], ["007", "7"])


def test_an_empty_table_is_good_where_there_are_no_test_images() -> None:
    check_predictions(make_predictions([], CLASSES, np.empty((0, 3))), CLASSES, [])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([np.nan, 0.5, 0.5], "not finite in 1 of 3 rows: ids b"),
        ([np.inf, 0.0, 0.0], "not finite in 1 of 3 rows: ids b"),
        ([-0.5, 1.0, 0.5], r"not within \[0, 1\] in 1 of 3 rows: ids b"),
        ([1.5, 0.0, 0.0], r"not within \[0, 1\] in 1 of 3 rows: ids b"),
        ([0.5, 0.25, 0.2498], "do not sum to 1 over the classes in 1 of 3 rows: ids b"),
    ],
)
def test_bad_values_are_refused_with_their_id(row: list[float], words: str) -> None:
    table = table_of([1.0, 0.0, 0.0], row, [0.0, 0.0, 1.0])
    with pytest.raises(UserError, match=words):
        check_predictions(table, CLASSES)


def test_a_sum_within_float32_noise_of_one_is_good() -> None:
    check_predictions(table_of([0.5, 0.25, 0.25005]), CLASSES)


def test_many_bad_rows_are_counted_and_the_first_five_named() -> None:
    with pytest.raises(UserError, match=r"in 8 of 8 rows: ids a, b, c, d, e ... \(8 in all\)"):
        check_predictions(table_of(*[[0.1, 0.1, 0.1]] * 8), CLASSES)


def test_wrong_columns_ids_and_types_are_refused() -> None:
    table = table_of([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    with pytest.raises(UserError, match="wrong columns: missing fox; not expected: emu"):
        check_predictions(table, ["cat", "dog", "fox"])
    with pytest.raises(UserError, match="wrong order"):
        check_predictions(table, ["dog", "cat", "emu"])
    with pytest.raises(UserError, match="wrong ids: missing z; not expected: b"):
        check_predictions(table, CLASSES, ["a", "z"])
    with pytest.raises(UserError, match="duplicate ids: a"):
        check_predictions(table_of([1.0, 0.0, 0.0], [1.0, 0.0, 0.0], ids="aa"), CLASSES)
    with pytest.raises(UserError, match="dtype float64"):
        check_predictions(table.astype(np.float64), CLASSES)


def test_a_difference_is_worded_from_both_sides() -> None:
    assert difference(["a", "b"], ["b", "a"]) == ""
    assert difference(["a"], ["a", "b"]) == "missing b"
    assert difference(["1.0"], ["1"]) == "missing 1; not expected: 1.0"


def test_truth_follows_the_rows_of_the_predictions() -> None:
    labels = pd.Series({"b": "emu", "x": "dog", "a": "cat", "n": None})
    numbers = truth_numbers(labels, table_of([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]))
    assert numbers.tolist() == [0, 2]
    assert numbers.dtype == np.int64


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (pd.Series({"a": "cat", "b": None}), "without a label: b"),
        (pd.Series({"a": "cat"}), "without a label: b"),
        (pd.Series({"a": "cat", "b": "Emu"}), "that are not classes of the predictions: Emu"),
        (pd.Series(["cat", "dog", "dog"], index=["a", "b", "b"]), "two labels: b"),
    ],
)
def test_labels_that_cannot_be_numbered_are_refused(labels: pd.Series, words: str) -> None:
    with pytest.raises(UserError, match=words):
        truth_numbers(labels, table_of([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]))


def test_an_average_is_the_mean_by_id_whatever_the_row_order() -> None:
    one = table_of([1.0, 0.0, 0.0], [0.2, 0.3, 0.5])
    two = table_of([0.4, 0.4, 0.2], [0.0, 1.0, 0.0], ids="ba")
    mean = average([one, two])
    np.testing.assert_allclose(mean.to_numpy(), [[0.5, 0.5, 0.0], [0.3, 0.35, 0.35]], atol=1e-7)
    assert list(mean.index) == ["a", "b"]
    assert (mean.dtypes == np.float32).all()


def test_weights_of_an_average_count() -> None:
    mean = average([table_of([1.0, 0.0, 0.0]), table_of([0.0, 1.0, 0.0])], [0.75, 0.25])
    assert mean.to_numpy().tolist() == [[0.75, 0.25, 0.0]]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(0, 1000))
def test_the_average_of_equal_tables_is_the_table_to_the_bit(copies: int, seed: int) -> None:
    table = random_table(20, seed)
    assert average([table] * copies).equals(table)


def test_tables_of_other_ids_or_classes_are_not_averaged() -> None:
    one = table_of([1.0, 0.0, 0.0])
    with pytest.raises(UserError, match="missing a; not expected: z"):
        average([one, table_of([1.0, 0.0, 0.0], ids="z")])
    with pytest.raises(UserError, match="missing emu"):
        average([one, table_of([1.0, 0.0])])


def test_missing_ids_get_the_mean_prediction_in_the_order_asked_for() -> None:
    table = table_of([1.0, 0.0, 0.0], [0.0, 0.5, 0.5])
    full = with_missing_rows(table, ["b", "bad", "a"])
    check_predictions(full, CLASSES, ["a", "b", "bad"])
    assert list(full.index) == ["b", "bad", "a"]
    assert full.loc["bad"].tolist() == [0.5, 0.25, 0.25]
    assert full.loc["a"].tolist() == [1.0, 0.0, 0.0]
    assert with_missing_rows(table, ["a", "b"]) is table


def test_missing_rows_need_a_row_and_known_ids() -> None:
    with pytest.raises(UserError, match="none of 2 images could be read"):
        with_missing_rows(make_predictions([], CLASSES, np.empty((0, 3))), ["a", "b"])
    with pytest.raises(UserError, match="ids without an image: a"):
        with_missing_rows(table_of([1.0, 0.0, 0.0]), ["b"])


@settings(max_examples=30, deadline=None)
@given(
    ids=st.lists(st.text("aé1_- /犬", min_size=1, max_size=9), unique=True, max_size=9),
    seed=st.integers(0, 99),
)
def test_a_saved_table_comes_back_exactly(ids: list[str], seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("saved") / "member.npz"
    values = np.random.default_rng(seed).dirichlet(np.ones(3), len(ids)) if ids else np.empty((0, 3))
    table = make_predictions(ids, CLASSES, values)
    save_predictions(table, path)
    again = load_predictions(path)
    pd.testing.assert_frame_equal(again, table, check_exact=True)
    assert [p.name for p in path.parent.iterdir()] == ["member.npz"]


def test_equal_tables_are_saved_as_equal_bytes(tmp_path) -> None:
    table = random_table(50, 0)
    paths = [tmp_path / name for name in ("one.npz", "two.npz", "three.npz")]
    save_predictions(table, paths[0])
    save_predictions(table.iloc[::-1].iloc[::-1], paths[1])
    save_predictions(load_predictions(paths[0]), paths[2])
    assert all(a.read_bytes() == b.read_bytes() for a, b in pairwise(paths))


def test_unreadable_predictions_are_named(tmp_path) -> None:
    with pytest.raises(UserError, match=r"no predictions at .*gone\.npz"):
        load_predictions(tmp_path / "gone.npz")
    save_predictions(random_table(50, 0), tmp_path / "whole.npz")
    whole = (tmp_path / "whole.npz").read_bytes()
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_text("no archive")
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    for name in ("other", "cut", "empty", "text", "array"):
        with pytest.raises(UserError, match=rf"cannot read predictions from .*{name}\.npz"):
            load_predictions(tmp_path / f"{name}.npz")


@settings(max_examples=150, deadline=None)
@given(where=st.integers(0, 800), new=st.binary(min_size=1, max_size=8))
def test_damage_anywhere_in_predictions_is_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, where: int, new: bytes
) -> None:
    file = tmp_path_factory.mktemp("damaged") / "ensemble-test.npz"
    save_predictions(random_table(3, 0), file)
    raw = bytearray(file.read_bytes())
    raw[where : where + len(new)] = new
    file.write_bytes(raw)
    with suppress(UserError):
        load_predictions(file)
