"""What the benchmarks rely on, and the rule by which a ratio counts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_every_function_that_is_clocked_is_still_there():
    import clocks

    for name in (*clocks.WATCHED, *clocks.PARTS):
        assert callable(clocks.found(name)), name


def test_what_a_second_run_is_caught_at_is_still_there():
    import startup

    from kagglekit import train

    assert "train.take_step = read, step" in startup.SECOND_RUN
    assert callable(train.take_step)


def test_every_second_belongs_to_the_innermost_clock(monkeypatch):
    import clocks

    now = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0, 21.0])
    monkeypatch.setattr(clocks, "time", SimpleNamespace(perf_counter=lambda: next(now)))
    kept = clocks.Clocks(torch.device("cpu"), exact=True)
    with kept.inside("full", "rest"), kept.inside("", "validation"), kept.inside("", "wait"):
        pass
    assert kept.spent["run"] == {"rest": 1.0}
    assert kept.spent["full"] == {"validation": 3.0 + 4.0 + 5.0, "rest": 2.0 + 6.0}  # what it waits for is its own


def test_a_ratio_counts_up_to_the_peers_own_deviation():
    from timing import Taken
    from versus import Scores, counts, scored

    def runs(*losses: float) -> list[Taken]:
        return [Taken(1.0, 1.0, Scores(loss, 0.5)) for loss in losses]

    assert counts(runs(1.1, 1.1), runs(0.9, 1.1))  # deviation 0.141
    assert not counts(runs(1.2, 1.2), runs(0.9, 1.1))
    assert counts(runs(1.0), runs(1.0))
    half = scored(np.array([[0.5, 0.5], [0.25, 0.75]]), [0, 0])
    assert half.log_loss == pytest.approx(np.log(2) * 1.5)
    assert half.accuracy == 0.5


def test_pictures_are_the_same_whenever_they_are_drawn():
    from pictures import draw

    first, again, other = draw(3, 7, 60, 40), draw(3, 7, 60, 40), draw(3, 8, 60, 40)
    assert first.shape == (40, 60, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_contenders_take_turns():
    from timing import interleaved

    order: list[tuple[str, int]] = []
    taken = interleaved({name: lambda run, name=name: order.append((name, run)) for name in "ab"}, 2)
    assert order == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert [len(runs) for runs in taken.values()] == [2, 2]


@pytest.fixture(autouse=True, scope="module")
def _forgotten() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
