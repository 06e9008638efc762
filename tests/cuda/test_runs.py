"""Whole runs on a GPU: interrupted and resumed, with images here or there, recorded or not."""

from __future__ import annotations

import re
from pathlib import Path

import layouts
import pytest
import torch
from stopping import go_on, only, outcome, start, stopped

from kagglekit import Run
from kagglekit.training import tuning

pytestmark = pytest.mark.cuda


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dogs")
    layouts.write_dog_breed(folder, per_class=6, test=20)
    return folder


@pytest.fixture(scope="module")
def whole(data: Path, device: torch.device, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return start(data, tmp_path_factory.mktemp("whole"), asked={"device": str(device), "deterministic": True})[0]


@pytest.mark.parametrize("call", [2, 6])
def test_a_run_that_was_interrupted_ends_with_the_scores_of_one_that_was_not(data, whole, device, tmp_path, call):
    run, _ = stopped(data, tmp_path, call, asked={"device": str(device), "deterministic": True})
    assert re.search(r"from the last checkpoint: stage \d", go_on(run))
    assert run.info().scores == whole.info().scores
    assert outcome(run) == outcome(whole)


def scores(run: Run) -> dict[tuple[str, str], float]:
    return {(row["member"], row["views"]): row["valid_log_loss"][0] for row in run.info().scores}


def test_a_run_with_its_images_on_the_device_ends_with_the_scores_of_a_memory_map(data, gpu, tmp_path):
    found = [
        start(data, tmp_path / keep, asked={"device": str(gpu), "store": keep, "stages": "1-2"})[0]
        for keep in ("device", "map")
    ]
    assert scores(found[0]) == pytest.approx(scores(found[1]), abs=0.1)


def test_steps_are_recorded_from_seconds_on_and_a_run_that_was_killed_continues_with_them(
    data, gpu, tmp_path, monkeypatch
):
    monkeypatch.setattr(tuning, "GRAPHS_PAY", 0.0)
    asked = {"device": str(gpu), "stages": "4"}
    more = {"stage__4__cycle_len": 8, "stage__4__cycles": 1}
    run, said = start(data, tmp_path / "whole", asked=asked, **more)
    assert re.search(r"4 all-2: steps are recorded as CUDA graphs, in ", said)
    assert "all-2" in run.info().compiled
    plain, said = start(data, tmp_path / "plain", asked={**asked, "compile": "off"}, **more)
    assert "recorded" not in said
    assert scores(run) == pytest.approx(scores(plain), abs=0.1)
    with pytest.raises(KeyboardInterrupt):
        stopped_by_kill(data, tmp_path / "killed", monkeypatch, asked, more)
    go_on(only(tmp_path / "killed"))
    assert scores(only(tmp_path / "killed")) == pytest.approx(scores(run), abs=0.1)


def stopped_by_kill(data: Path, out: Path, monkeypatch: pytest.MonkeyPatch, asked: dict, more: dict) -> None:
    """Raise KeyboardInterrupt after 30 steps, without a checkpoint of that step."""
    left = [30]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kagglekit.training.trainer.stop_if_asked", count)
        start(data, out, asked=asked, **more)
