"""Columns beside the images are read as numbers or categories, and checked before a run starts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kagglekit import Competition, UserError
from kagglekit.data.metadata import check_metadata, metadata_of, metadata_rows

TABLE = pd.DataFrame(
    {
        "id": ["a", "b", "c", "t"],
        "split": ["train", "valid", "train", "test"],
        "age": ["45.0", "", None, "unknown"],
        "sex": ["male", " ", "female", "male"],
        "count": [1, np.nan, 2.5, 0.1],
    }
).astype(object)
LABELLED, TEST = TABLE[:3], TABLE[3:]


def test_columns_of_numbers_are_numbers_and_others_are_categories() -> None:
    found = metadata_of(LABELLED, TEST, ("age", "sex", "count"))
    assert found is not None
    assert found.labelled.index.tolist() == ["a", "b", "c"]
    np.testing.assert_equal(found.labelled["age"].to_numpy(), [45, np.nan, np.nan])
    np.testing.assert_equal(found.test["age"].to_numpy(), [np.nan])  # a text among test images is no number
    assert found.labelled["sex"].tolist() == ["male", None, "female"]
    np.testing.assert_equal(found.labelled["count"].to_numpy(), [1, np.nan, 2.5])
    assert metadata_of(LABELLED, TEST, ()) is None


def test_what_is_written_to_a_run_reads_back_as_it_was() -> None:
    names = ("count", "sex")
    rows = metadata_rows(LABELLED.assign(count=[0.1, 1 / 3, None]), ["c", "a"], names)
    assert rows[0] == {"id": "c", "count": "", "sex": "female"}
    again = metadata_of(pd.DataFrame(rows), TEST, names)
    assert again is not None
    assert again.labelled.loc["a", "count"] == 0.1
    assert metadata_rows(LABELLED.assign(count=1 / 3), ["a"], ("count",))[0]["count"] == str(1 / 3)


@pytest.mark.parametrize(
    ("change", "names", "message"),
    [
        ({}, ("age", "height"), "lacks columns that Competition.metadata names: height"),
        ({"sex": [None, "", np.nan, "male"]}, ("sex",), "sex: no labelled image has a value"),
        ({"age": ["45", "3", None, ""]}, ("age", "sex"), "age: no test image has a value, so what is learnt"),
    ],
)
def test_columns_that_could_not_be_used_are_refused(change: dict[str, object], names: tuple, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_metadata(TABLE.assign(**change), names)


def test_texts_that_are_no_categories_are_refused() -> None:
    many = pd.DataFrame({"id": map(str, range(300)), "split": "train", "name": [f"x{k}" for k in range(300)]})
    with pytest.raises(UserError, match="name: 300 different texts; at most 250"):
        check_metadata(many, ("name",))
    check_metadata(many.assign(name=range(300)), ("name",))


def test_a_competition_cannot_name_what_is_predicted() -> None:
    for wrong in (("label",), ("age", "age")):
        with pytest.raises(ValueError, match="metadata names a column twice, or one that holds what is predicted"):
            Competition(title="x", metadata=wrong)
