from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.system.named_calls import read_calls


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("", ()),
        ("  ", ()),
        ("jpeg", (("jpeg", {}),)),
        (" jpeg( ) + a-b_2.C(x=1) ", (("jpeg", {}), ("a-b_2.C", {"x": 1}))),
        ("a(x=-0.5,y=1e+2,z=(1, 2),s=word,t='a b',u=true,v=None)+a",
         (("a", {"x": -0.5, "y": 100.0, "z": (1, 2), "s": "word", "t": "a b", "u": True, "v": None}), ("a", {}))),
    ],
)  # fmt: skip
def test_names_and_settings_are_read(text: str, calls: object) -> None:
    assert read_calls(text) == calls


@pytest.mark.parametrize(
    "text",
    ["+", "a+", "a++b", "a b", "a(", "a)", "a(1)", "a(**{})", "a(x=f())", "a(x=1,x=2)", "a(x=__import__('os'))", "1a",
     "a(x=" + "[" * 5000 + "]" * 5000 + ")"],
)  # fmt: skip
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot read .*: expected NAME or NAME\(KEY=VALUE"):
        read_calls(text)


@given(st.text("ab(+)=,.1'[ \\", max_size=30))
def test_no_text_does_anything_else(text: str) -> None:
    try:
        calls = read_calls(text)
    except ValueError:
        return
    assert all(name for name, _ in calls)
