"""Parts of containers in memory."""

from __future__ import annotations

import gc

import pytest

from kagglekit.containers import held
from kagglekit.containers.held import Held, check_size


def test_the_parts_used_last_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "usable_memory", lambda: 400.0)
    one, other, read = Held(), Held(), []

    def get(place: Held, name: str, size: int = 40) -> str:
        return str(place.get(name, lambda: read.append(name) or name, size))

    assert [get(one, "a"), get(one, "b"), get(one, "a"), get(other, "c"), get(one, "a")] == ["a", "b", "a", "c", "a"]
    assert read == ["a", "b", "c"]
    get(one, "b")
    assert read == ["a", "b", "c", "b"]
    assert get(other, "huge", 10**6) == "huge"  # alone, it may be larger
    del one, other
    gc.collect()
    assert not held._parts


def test_a_part_that_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "usable_memory", lambda: 400.0)
    check_size(200, "it")
    with pytest.raises(ValueError, match="it claims to take 201 bytes"):
        check_size(201, "it")
