"""The TensorBoard watcher: used when it is asked for, and never in the way of a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import surroundings
from test_runs import TINY

from kagglekit import Run
from kagglekit.hooks import Hooks
from kagglekit.manager import load
from kagglekit.recipe import Recipe, Stage

TRAIN = """
import sys, kagglekit
data, out = sys.argv[1:]
settings = SETTINGS
kagglekit.run("dog-breed", data=data, out=out, settings=settings, preset="quick", precision="fp32", stages="1-2")
"""
READ = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
board = EventAccumulator(sys.argv[1])
board.Reload()
tags = board.Tags()["scalars"]
print(json.dumps({tag: [(event.step, event.value) for event in board.Scalars(tag)] for tag in tags}))
"""


def python(code: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=surroundings(cwd),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_run_that_asks_for_it_leaves_its_curves(dogs, tmp_path):
    pytest.importorskip("tensorboard", reason="kagglekit[tensorboard] is not installed")
    import json

    settings = {**TINY, "tta": 0, "options.tensorboard": True}
    done = python(TRAIN.replace("SETTINGS", repr(settings)), dogs.data, tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stdout
    (folder,) = (tmp_path / "out" / "dog-breed").iterdir()
    run = Run(folder)
    read = python(READ, folder / "tensorboard", cwd=tmp_path)
    assert read.returncode == 0, read.stderr
    scalars = json.loads(read.stdout)
    assert [step for step, _ in scalars["step/loss"]] == [int(row["step"]) for row in run.steps()]
    assert [value for _, value in scalars["step/lr"]] == pytest.approx([float(row["lr"]) for row in run.steps()])
    losses = [float(row["valid_loss"]) for row in run.log()]
    assert [value for _, value in scalars["epoch/valid_loss"]] == pytest.approx(losses, rel=1e-4)
    assert scalars["final/valid_log_loss"][0][1] == pytest.approx(
        run.info()["scores"][-1]["valid_log_loss"][0], rel=1e-4
    )


def test_a_run_that_does_not_ask_has_none(dogs):
    assert not (dogs.run.folder / "tensorboard").exists()


def test_a_missing_package_is_told_and_stops_nothing(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    said: list[str] = []
    hooks = Hooks(load("dog-breed"), said.append)
    recipe = Recipe(arch="a", stages=(Stage(name="s", size=32),), options={"tensorboard": True})
    hooks.run_start(Run(tmp_path), recipe)
    hooks.epoch_end(Run(tmp_path), recipe.stages[0], {"stage": "s", "step": 1, "valid_loss": 0.5})
    assert len(said) == 1
    assert "the package tensorboard can't be imported" in said[0]
    assert "pip install 'kagglekit[tensorboard]'" in said[0]
    assert "failed in" not in said[0]
