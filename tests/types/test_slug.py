"""The name of a competition, from whatever people copy."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit import Competition
from kagglekit.hooks.manager import load
from kagglekit.system.errors import UserError
from kagglekit.types.competition import parse_slug


@pytest.mark.parametrize(
    "text",
    [
        "leaf-cup",
        " leaf-cup\n",
        "https://www.kaggle.com/competitions/leaf-cup",
        "https://www.kaggle.com/competitions/leaf-cup/",
        "https://www.kaggle.com/competitions/leaf-cup/data?select=train.csv#head",
        "http://kaggle.com/c/leaf-cup/leaderboard",
        "https://inclass.kaggle.com/c/leaf-cup",
        "HTTPS://WWW.Kaggle.com/competitions/leaf-cup/overview/evaluation",
        "www.kaggle.com/competitions/leaf-cup",
        "kaggle.com/c/leaf-cup?rvi=1",
        "//www.kaggle.com/c/leaf-cup",
        "competitions/leaf-cup",
        "/c/leaf-cup",
    ],
)
def test_a_name_and_every_address_give_the_name(text):
    assert parse_slug(text) == "leaf-cup"
    assert Competition(title="Leaves", slug=text).slug == "leaf-cup"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Leaf Cup",
        "../leaf-cup",
        "leaf-cup/../../other",
        "https://www.kaggle.com/datasets/ada/leaves",
        "https://www.kaggle.com/competitions",
        "https://www.kaggle.com/competitions/..",
        "https://example.com/competitions/leaf-cup",
        "https://kaggle.com.example.com/c/leaf-cup",
        "http://[leaf",
        "leaf\x1b[31m",
    ],
)
def test_anything_else_is_an_error_that_shows_the_form(text):
    with pytest.raises(ValueError, match=r"not the name or address .*kaggle\.com/competitions/NAME") as caught:
        parse_slug(text)
    assert "\x1b" not in str(caught.value)


@given(st.text())
def test_any_text_gives_a_name_or_an_error(text):
    with suppress(ValueError):
        assert re.fullmatch("[A-Za-z0-9_-]+", parse_slug(text))


def test_an_address_in_place_of_a_competition_is_explained():
    address = "https://www.kaggle.com/competitions/leaf-cup"
    with pytest.raises(UserError, match="is an address, not the name of a competition's plugin") as caught:
        load(address)
    assert f"kagglekit new NAME --slug {address}" in caught.value.hint
