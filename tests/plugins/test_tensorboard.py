"""The TensorBoard watcher: used when it is asked for, and never in the way of a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import forks
import pytest
from command_line import surroundings
from tiny_runs import TINY

from kagglekit import Run
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

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
    return forks.run(["-c", code, *arguments], cwd, surroundings(cwd))


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
    losses = [float(row["valid_loss"]) for row in run.log_rows()]
    assert [value for _, value in scalars["epoch/valid_loss"]] == pytest.approx(losses, rel=1e-4)
    assert scalars["final/valid_log_loss"][0][1] == pytest.approx(run.info().scores[-1]["valid_log_loss"][0], rel=1e-4)


RESUMED = """
import sys
from pathlib import Path
from kagglekit import Recipe, Run, Stage
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
run = Run(Path(sys.argv[1]))
stages = tuple(Stage(name=name, size=32) for name in ("one", "two"))
recipe = Recipe(arch="a", stages=stages, options={"tensorboard": True})
log = []

def begin():
    hooks = Hooks(load("dog-breed"), lambda words: sys.exit(words))
    hooks.run_start(run, recipe)
    return hooks

def epoch(hooks, stage, last, loss):
    steps = [{"stage": stage.name, "step": n, "lr": 0.1, "momentum": 0.9, "loss": loss} for n in (last - 1, last)]
    run.add_steps(steps)
    place = {"stage": stage.name, "size": 32, "cycle": 1, "epoch": last // 2, "step": last}
    log.append({**place, "lr": 0.1, "valid_loss": loss})
    run.write_log(log)
    hooks.epoch_end(run, stage, log[-1])

hooks = begin()
hooks.stage_start(run, stages[0])
epoch(hooks, stages[0], 2, 8.0)
epoch(hooks, stages[0], 4, 7.0)
hooks.stage_end(run, stages[0])
hooks.stage_start(run, stages[1])
epoch(hooks, stages[1], 2, 6.0)
epoch(hooks, stages[1], 4, 99.0)  # is lost: the checkpoint was written before it
hooks.run_failed(run, KeyboardInterrupt())
del log[-1]
hooks = begin()
run.write_log(log)  # as a resumed run puts it back
hooks.stage_start(run, stages[1])
epoch(hooks, stages[1], 4, 5.0)
hooks.stage_end(run, stages[1])
hooks.run_failed(run, KeyboardInterrupt())
hooks = begin()  # all training is done
hooks.run_end(run, {})
"""


def test_a_resumed_run_goes_on_behind_the_stages_before_and_replaces_what_was_lost(tmp_path):
    pytest.importorskip("tensorboard", reason="kagglekit[tensorboard] is not installed")
    import json

    folder = tmp_path / "run"
    folder.mkdir()
    done = python(RESUMED, folder, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    read = python(READ, folder / "tensorboard", cwd=tmp_path)
    assert read.returncode == 0, read.stderr
    scalars = json.loads(read.stdout)
    wanted = {1: 8.0, 2: 8.0, 3: 7.0, 4: 7.0, 5: 6.0, 6: 6.0, 7: 5.0, 8: 5.0}
    assert scalars["step/loss"] == [list(pair) for pair in wanted.items()]
    assert scalars["epoch/valid_loss"] == [[2, 8.0], [4, 7.0], [6, 6.0], [8, 5.0]]


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
    assert "the package tensorboard cannot be imported" in said[0]
    assert "pip install 'kagglekit[tensorboard]'" in said[0]
    assert "failed in" not in said[0]
