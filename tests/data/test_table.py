from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from single_labels import classes_of

from kagglekit import UserError
from kagglekit.data.splits import limit_images, split_off, split_valid
from kagglekit.data.table import check_table


def table_of(counts: dict[str, int], test: int = 0, valid: dict[str, int] | None = None) -> pd.DataFrame:
    rows = [(f"{label}{n}", label, "train") for label, count in counts.items() for n in range(count)]
    rows += [(f"v{label}{n}", label, "valid") for label, count in (valid or {}).items() for n in range(count)]
    rows += [(f"t{n}", None, "test") for n in range(test)]
    table = pd.DataFrame(rows, columns=["id", "label", "split"], dtype=object)
    return table.assign(path=[f"{image}.jpg" for image in table["id"]])


def on_disk(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    for path in table["path"]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return table


def held(table: pd.DataFrame, split: str = "valid") -> set[str]:
    return set(table.loc[table["split"] == split, "id"])


def test_a_sound_table_gets_whole_paths_and_no_warnings(tmp_path: Path) -> None:
    table = on_disk(table_of({"a": 2, "b": 2}, test=1), tmp_path)
    checked, warnings = check_table(table, tmp_path)
    assert checked["path"].tolist() == [str(tmp_path / path) for path in table["path"]]
    assert checked["label"].tolist() == ["a", "a", "b", "b", None]
    assert warnings == []


def test_a_relative_data_folder_gives_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = on_disk(table_of({"a": 2, "b": 2}, test=1), tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert check_table(table, Path("data"))[0]["path"][0] == str(tmp_path / "data" / "a0.jpg")


def test_paths_outside_of_the_data_folder_stay(tmp_path: Path) -> None:
    table = on_disk(table_of({"a": 2, "b": 2}, test=1), tmp_path / "elsewhere")
    table["path"] = [tmp_path / "elsewhere" / path for path in table["path"]]
    checked, _ = check_table(table, tmp_path / "data")
    assert checked["path"].tolist() == [str(path) for path in table["path"]]


def test_every_problem_is_reported_with_its_first_offenders_and_their_number(tmp_path: Path) -> None:
    table = on_disk(table_of({"a": 20, "b": 3}, test=4), tmp_path)
    for number in range(8):
        (tmp_path / f"a{number}.jpg").unlink()
    table.loc[table["id"].isin(["b0", "b1"]), "id"] = "a19"
    table.loc[table["id"] == "t1", "id"] = "t0"
    table.loc[3, "label"] = None
    table.loc[4, "label"] = 2.5
    table.loc[5, "split"] = "holdout"
    with pytest.raises(UserError) as caught:
        check_table(table, tmp_path)
    lines = caught.value.what.splitlines()
    assert "has 6 problems" in lines[0]
    assert [line for line in lines if "missing files" in line and "(8 in all)" in line]
    assert "  - ids of more than one labelled image: a19" in lines
    assert "  - ids of more than one test image: t0" in lines
    assert "  - train or valid images without a label: a3" in lines
    assert "  - labels that are not text (by id): a4" in lines
    assert "  - splits other than train, valid, test: holdout" in lines
    assert "labels_from_csv(..., ignore_unlabelled=True) leaves out images without a label" in caught.value.hint


def test_train_and_test_images_may_have_the_same_ids(tmp_path: Path) -> None:
    table = table_of({"a": 2, "b": 2}, test=2)
    table["id"] = ["1", "2", "3", "4", "1", "2"]
    check_table(on_disk(table, tmp_path), tmp_path)


def test_whole_numbers_become_text(tmp_path: Path) -> None:
    table = on_disk(table_of({"a": 2, "b": 2}, test=1), tmp_path)
    table["id"] = np.arange(5)
    table["label"] = [1, 1, 10, 10, None]
    checked, _ = check_table(table.astype(object), tmp_path)
    assert checked["id"].tolist() == ["0", "1", "2", "3", "4"]
    assert classes_of(checked) == ("1", "10")


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_every_kind_of_nothing_is_an_unknown_label(tmp_path: Path, missing: object) -> None:
    table = on_disk(table_of({"a": 2, "b": 2}, test=1), tmp_path)
    table["label"] = pd.Series(["a", "a", "b", "b", missing], dtype=object)
    assert check_table(table, tmp_path)[0]["label"].tolist()[-1] is None


def test_wrong_columns_are_refused_by_name(tmp_path: Path) -> None:
    table = table_of({"a": 2})
    with pytest.raises(UserError, match=r"has the columns id, split, path\nit needs id, path, label, split"):
        check_table(table.drop(columns="label"), tmp_path)
    with pytest.raises(UserError, match=r"; or name the targets' columns: Competition\(targets=...\)"):
        check_table(table.drop(columns="label").assign(rust=1), tmp_path)
    with pytest.raises(UserError, match=r"optionally group, row, weight, key, each once; others are kept$"):
        check_table(pd.concat([table, table["id"]], axis=1), tmp_path)
    with pytest.raises(UserError, match="found no images"):
        check_table(table[:0], tmp_path)
    with pytest.raises(UserError, match="returned list, not a pandas DataFrame"):
        check_table([], tmp_path)  # type: ignore[arg-type]


def test_unknown_columns_are_kept_as_they_are(tmp_path: Path) -> None:
    table = on_disk(table_of({"a": 2, "b": 2}, test=1), tmp_path).assign(age=[1.5, 2.0, 3.0, None, 5.0], site="x")
    checked, warnings = check_table(table, tmp_path)
    assert checked["age"].tolist()[:3] == [1.5, 2.0, 3.0]
    assert set(checked["site"]) == {"x"}
    assert warnings == []


def test_a_folder_is_no_image_file(tmp_path: Path) -> None:
    table = on_disk(table_of({"a": 2, "b": 2}, test=1), tmp_path)
    (tmp_path / "b1.jpg").unlink()
    (tmp_path / "b1.jpg").mkdir()
    with pytest.raises(UserError, match=r"1 problem:\n  - missing files: .*b1.jpg"):
        check_table(table, tmp_path)


def test_linked_images_count_as_there(tmp_path: Path) -> None:
    table = on_disk(table_of({"a": 2, "b": 2}, test=1), tmp_path)
    (tmp_path / "b1.jpg").unlink()
    (tmp_path / "b1.jpg").symlink_to(tmp_path / "b0.jpg")
    check_table(table, tmp_path)


def test_classes_that_only_valid_has_are_refused(tmp_path: Path) -> None:
    table = on_disk(table_of({"a": 2, "b": 2}, valid={"a": 1, "c": 2}), tmp_path)
    with pytest.raises(UserError, match="classes in valid but not in train: c"):
        check_table(table, tmp_path)


def test_single_images_and_no_test_images_are_warnings(tmp_path: Path) -> None:
    _, warnings = check_table(on_disk(table_of({"a": 2, "b": 1, "c": 1}), tmp_path), tmp_path)
    assert len(warnings) == 2
    assert "too few to train and to validate: b, c" in warnings[0]
    assert "no test images" in warnings[1]


def test_a_hundred_thousand_images_are_checked_and_split_in_seconds(tmp_path: Path) -> None:
    names = [f"{number % 10}/{number}.jpg" for number in range(100_000)]
    for folder in range(10):
        (tmp_path / str(folder)).mkdir()
    for name in names[:200]:  # the others are missing, which is the slow case
        (tmp_path / name).touch()
    table = pd.DataFrame({"id": names, "path": names, "label": [str(n % 1000) for n in range(len(names))]})
    began = time.process_time()
    with pytest.raises(UserError, match=r"99800 in all"):
        check_table(table.assign(split="train"), tmp_path)
    split_valid(table.assign(split="train"), 0.2, 0)
    assert time.process_time() - began < 6


def test_one_class_is_nothing_to_tell_apart() -> None:
    with pytest.raises(UserError, match="at least two classes are needed; the labelled images have a"):
        classes_of(table_of({"a": 3}, test=2))


def test_classes_are_sorted_and_known_test_labels_add_none() -> None:
    table = table_of({"b": 2, "a": 2, "C": 1}, test=2)
    table.loc[table["split"] == "test", "label"] = "d"
    assert classes_of(table) == ("C", "a", "b")


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    share=st.floats(0.02, 0.9),
    seed=st.integers(0, 5),
)
def test_a_valid_split_is_stratified_and_leaves_every_class_one(counts: list[int], share: float, seed: int) -> None:
    table = table_of({f"c{i}": count for i, count in enumerate(counts)}, test=3)
    if max(counts) == 1:
        with pytest.raises(UserError, match="no image can be held out"):
            split_valid(table, share, seed)
        return
    split = split_valid(table, share, seed)
    valid = Counter(split.loc[split["split"] == "valid", "label"])
    most = sum(count - 1 for count in counts)
    assert sum(valid.values()) == min(max(1, round(share * sum(counts))), most)
    for number, count in enumerate(counts):
        assert valid[f"c{number}"] <= count - 1
        if sum(valid.values()) < most and share < 0.5 and count > 1:
            assert abs(valid[f"c{number}"] - share * count) < 2
    assert (split["split"] == "test").sum() == 3


def test_a_valid_split_depends_on_ids_and_seed_but_not_on_row_order() -> None:
    table = table_of({"a": 30, "b": 20, "c": 1}, test=5)
    once = held(split_valid(table, 0.2, 0))
    assert held(split_valid(table.sample(frac=1, random_state=1), 0.2, 0)) == once
    assert held(split_valid(table, 0.2, 1)) != once
    assert len(once) == 10


def test_a_valid_split_that_is_there_stays() -> None:
    table = table_of({"a": 30, "b": 20}, valid={"a": 1})
    assert split_valid(table, 0.2, 0) is table


def test_images_of_a_group_stay_together() -> None:
    table = table_of({"a": 60, "b": 40})
    table["group"] = [f"g{number // 4}" for number in range(100)]
    split = split_valid(table, 0.2, 0)
    valid = split["split"] == "valid"
    assert not set(split.loc[valid, "group"]) & set(split.loc[~valid, "group"])
    assert Counter(split.loc[valid, "label"]) == {"a": 12, "b": 8}
    shuffled = split_valid(table.sample(frac=1, random_state=1), 0.2, 0)
    assert held(shuffled) == held(split)


def test_images_without_a_group_are_on_their_own() -> None:
    table = table_of({"a": 40, "b": 40})
    table["group"] = [None] * 76 + ["g"] * 4
    valid = split_valid(table, 0.2, 0)
    assert len(held(valid)) == 16


def test_the_smallest_group_is_held_out_where_all_are_large() -> None:
    table = table_of({"a": 10, "b": 10})
    table["group"] = ["g1"] * 6 + ["g2"] * 4 + ["g3"] * 5 + ["g4"] * 5
    split = split_valid(table, 0.1, 0)
    assert set(split.loc[split["split"] == "valid", "group"]) == {"g2"}


def test_a_test_split_can_be_cut_off_before_the_valid_one() -> None:
    split = split_valid(split_off(table_of({"a": 40, "b": 20}), "test", 0.5, 0), 0.2, 0)
    assert Counter(zip(split["split"], split["label"], strict=True)) == {
        ("train", "a"): 16,
        ("valid", "a"): 4,
        ("test", "a"): 20,
        ("train", "b"): 8,
        ("valid", "b"): 2,
        ("test", "b"): 10,
    }


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=10), n=st.integers(1, 120), test=st.integers(0, 90))
def test_a_limit_keeps_shares_and_two_of_each_class(counts: list[int], n: int, test: int) -> None:
    table = table_of({f"c{i}": count for i, count in enumerate(counts)}, test=test)
    if n < len(counts):
        with pytest.raises(UserError, match=f"use a limit of at least {2 * len(counts)}"):
            limit_images(table, n, 0)
        return
    kept = limit_images(table, n, 0)
    by_class = Counter(kept["label"].dropna())
    assert sum(by_class.values()) == min(n, sum(counts))
    assert (kept["split"] == "test").sum() == min(n, test)
    for number, count in enumerate(counts):
        assert by_class[f"c{number}"] >= min(count, 2 if n >= 2 * len(counts) else 1)
    assert kept["id"].tolist() == [image for image in table["id"] if image in set(kept["id"])]


def test_a_limit_takes_train_and_valid_in_proportion_and_train_first() -> None:
    table = table_of({"a": 80, "b": 2}, valid={"a": 20, "b": 12})
    kept = limit_images(table, 24, 0)
    splits = Counter(zip(kept["split"], kept["label"], strict=True))
    assert splits["train", "b"] >= 1
    assert splits["valid", "b"] >= 1
    assert 13 <= splits["train", "a"] <= 17
    tight = limit_images(table, 2, 0)
    assert tight["split"].tolist() == ["train", "train"]


def test_a_limit_does_not_depend_on_row_order() -> None:
    table = table_of({"a": 30, "b": 20}, test=50)
    kept = limit_images(table.sample(frac=1, random_state=3), 10, 0)
    assert set(kept["id"]) == set(limit_images(table, 10, 0)["id"])


def test_a_limit_above_what_there_is_changes_nothing() -> None:
    table = table_of({"a": 3, "b": 2}, test=2)
    pd.testing.assert_frame_equal(limit_images(table, 100, 0), table)


def test_known_test_labels_change_nothing() -> None:
    table = table_of({"a": 20, "b": 10}, test=30)
    is_test = (table["split"] == "test").to_numpy()
    labels = np.where(is_test, np.resize(["a", "b", "b"], len(table)), table["label"].to_numpy())
    shuffled = labels.copy()
    shuffled[is_test] = np.random.default_rng(0).permutation(labels[is_test])
    answers = []
    for known in (labels, shuffled):
        limited = limit_images(table.assign(label=known), 15, 0)
        split = split_valid(limited, 0.2, 0)
        answers.append((classes_of(split), split.drop(columns="label")))
    assert answers[0][0] == answers[1][0]
    pd.testing.assert_frame_equal(answers[0][1], answers[1][1])
