"""Samplers by Optuna: a search that is opened again proposes what an undisturbed one would."""

from __future__ import annotations

from pathlib import Path

import pytest

from kagglekit.types.search import Parameter, Sampler, Study
from kagglekit_optuna import kagglekit_sampler

SPACE = (
    Parameter("stage.4.lr", "float", 1e-4, 1e-1, log=True),
    Parameter("arch", "choice", choices=("a", "b")),
    Parameter("stage.4.cycles", "int", 1, 3),
)


def opened(folder: Path, name: str = "tpe", pruner: str = "none") -> Sampler:
    sampler = kagglekit_sampler(name, Study(SPACE, str(folder / "study.journal"), False, 7, pruner))
    assert sampler is not None
    return sampler


def score(values: dict[str, float | int | str]) -> float:
    return float(values["stage.4.lr"]) + (values["arch"] == "b")


def test_a_search_that_is_opened_again_goes_on(tmp_path: Path) -> None:
    for place in ("at-once", "again"):
        (tmp_path / place).mkdir()
    whole, asked = opened(tmp_path / "at-once"), {}
    for _ in range(8):
        number, values = whole.ask()
        asked[number] = values
        whole.tell(number, score(values))
    for expected in asked.values():
        sampler = opened(tmp_path / "again")
        number, values = sampler.ask()
        assert values == expected
        again = opened(tmp_path / "again")
        assert again.running() == {number: values}
        again.tell(number, score(values))
    shares = whole.importance()
    assert max(shares, key=lambda key: shares[key]) == "arch"
    assert sum(shares.values()) == pytest.approx(1)


def test_a_hopeless_trial_is_stopped_and_a_report_is_taken_once(tmp_path: Path) -> None:
    sampler = opened(tmp_path, "random", "median")
    for loss in (0.5, 0.4, 0.6, 0.5, 0.4, 0.3):
        number, _ = sampler.ask()
        assert not any(sampler.report(number, step, loss) for step in (1, 2, 3))
        sampler.tell(number, loss)
    number, values = sampler.ask()
    assert not sampler.report(number, 1, 9.0)  # one epoch says little
    assert sampler.report(number, 2, 9.0)
    assert not sampler.report(number, 2, 9.0)
    assert sampler.running() == {number: values}
    sampler.tell(number, None, pruned=True)
    assert sampler.running() == {}
