"""CSV files with a row for each image and target."""

from __future__ import annotations

import pandas as pd
import pytest

from kagglekit.data.long_form import rows_about, split_ids


@pytest.mark.parametrize(
    ("ids", "columns", "pairs"),
    [
        (["ID_1_any", "ID_1_epidural"], ["any", "epidural"], [("ID_1", "any"), ("ID_1", "epidural")]),
        (["7__Dry_Clover_g", "7__Clover_g"], ["Clover_g", "Dry_Clover_g"], [("7", "Dry_Clover_g"), ("7", "Clover_g")]),
        (["a-x", "b-y"], ["x", "y"], [("a", "x"), ("b", "y")]),
        (["a_x", "b_z"], ["x", "y"], None),
        (["1", "2"], ["1", "2"], None),
        ([], ["x"], None),
    ],
)
def test_ids_are_taken_apart(ids, columns, pairs):
    assert split_ids(ids, columns) == pairs


def test_known_images_decide_between_names_that_end_alike():
    assert split_ids(["1_a_b", "1_b"], ["b", "a_b"]) == [("1", "a_b"), ("1", "b")]
    assert split_ids(["1_a_b", "1_a_a_b"], ["b", "a_b"], {"1_a"}) == [("1_a", "b"), ("1_a", "a_b")]


def test_the_rows_about_some_images_are_those_of_their_targets():
    sample = pd.DataFrame({"id": ["1_x", "1_y", "2_x", "2_y"], "value": ["0"] * 4})
    assert rows_about(sample, ["2"], ["x", "y"])["id"].tolist() == ["2_x", "2_y"]
    assert rows_about(sample, ["3"], ["x", "y"]).empty
