"""Runs that learn from a finished one, on other targets than one class an image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_competitions import TINY, ask
from tiny_targets import KINDS, write_plugin, write_tints

from kagglekit import Run
from kagglekit.runs.lookup import all_runs
from kagglekit.types.predictions import load_predictions

GRADIENT = [part if part != "1" else "1-2" for part in TINY]  # a stage of gradient steps after the head's


def run(plugin: str, *more: object) -> tuple[Run, str]:
    """Run the plugin; return the newest run and what was printed."""
    done = ask("run", plugin, "--data", "d", *GRADIENT, "--set", "ensemble=mean", *more)
    assert done.exit_code == 0, done.output
    return all_runs(Path("submissions"))[-1], " ".join(done.output.split())


def taught(name: str, *options: str) -> tuple[str, ...]:
    """Return the options of a run that learns from the first one."""
    teacher = all_runs(Path("submissions"))[0].name
    settings = (f"targets={name}", f"teacher={teacher}", *(f"options.{option}" for option in options))
    return tuple(part for each in settings for part in ("--set", each))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_distilled_and_refuses_what_it_lacks(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    write_tints(tmp_path / "d", kind)
    plugin = write_plugin(tmp_path, kind)
    teacher, _ = run(plugin)
    temperature = 2 if kind == "labels" else 1
    student, said = run(plugin, *taught("distil", f"distil_temperature={temperature}"))
    n = json.loads(teacher.info_file.read_text())["images"]["train"]
    assert f"{n} of {n} training images learn from {teacher.name}" in said
    tables = [load_predictions(each.predictions("ensemble", "test")) for each in (teacher, student)]
    assert not tables[0].equals(tables[1])
    if kind == "labels":
        pseudo, said = run(plugin, *taught("pseudo", "pseudo_confidence=0.5"))
        assert "12 of 12 test images join with soft pseudo-labels" in said
        assert json.loads(pseudo.info_file.read_text())["images"]["added"] == 12
    before = len(all_runs(Path("submissions")))
    if kind != "labels":
        done = ask("run", plugin, "--data", "d", *GRADIENT, *taught("distil", "distil_temperature=2"))
        assert done.exit_code == 1
        assert "a temperature of 2" in " ".join(done.output.split())
        assert ask("run", plugin, "--data", "d", *GRADIENT, *taught("pseudo")).exit_code == 1
    done = ask("run", plugin, "--data", "d", *GRADIENT, *taught("weights"))
    assert done.exit_code == 1
    assert "targets=weights compares one class an image" in " ".join(done.output.split())
    assert len(all_runs(Path("submissions"))) == before  # refused before a run has a folder
