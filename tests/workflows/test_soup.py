"""Weights of finished runs are averaged into one network that predicts like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from tiny_competitions import TINY, ask, write_folders, write_plugin

from kagglekit import Run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a base run, three runs that began with its weights, and one with another split."""
    place = tmp_path_factory.mktemp("soup")
    write_folders(place / "d", n=16)
    plugin = write_plugin(place, facts="metric='accuracy'")
    common = (plugin, "--data", place / "d", "--out", place / "s", *TINY)
    stages = ("--stages", "2", "--set", "stage.2.cycle_len=1")
    run("run", *common, "--name", "base")
    base = ("--from", found(place, "base").folder, *stages, "--set", "split_seed=0")
    for seed in range(3):
        run("run", *common, *base, "--seed", seed, "--name", f"seed{seed}", "--set", "stage.2.lr=0.001")
    run("run", *common, "--seed", 7, "--name", "other")
    return place


def run(*arguments: object) -> str:
    done = ask(*arguments)
    assert done.exit_code == 0, done.output
    return str(done.output)


def found(place: Path, name: str) -> Run:
    return Run(next((place / "s" / "tiny").glob(f"*-{name}")))


def test_a_soup_is_the_mean_of_the_weights_that_it_keeps_and_predicts(place: Path) -> None:
    runs = [found(place, f"seed{seed}") for seed in range(3)]
    said = run("blend", "--soup", *(each.folder for each in runs), "--out", place / "s")
    made = found(place, "soup")
    info = made.info()
    assert info.status == "finished"
    assert said.count("kept") + 1 == len(info.soup_of)
    assert said.count("left out") == 3 - len(info.soup_of)
    kept = [load_file(each.final_weights) for each in runs if each.name in info.soup_of]
    soup = load_file(made.final_weights)
    for name, value in soup.items():
        if "running_" not in name and "num_batches" not in name:
            np.testing.assert_allclose(value, np.mean([each[name] for each in kept], axis=0), atol=1e-6)
    assert [member.name for member in info.members] == ["soup"]
    own = pd.read_csv(made.submission)
    assert len(own) == 4
    run("predict", made.folder, "--data", place / "d", "--submission", place / "again.csv", "--device", "cpu")
    pd.testing.assert_frame_equal(pd.read_csv(place / "again.csv"), own)
    assert "The mean of the weights of" in made.report.read_text()
    blended = run("blend", made.folder, runs[0].folder, "--out", place / "s", "--ensemble", "mean")
    assert "2 members of 2 runs" in blended


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("seed0", "other"), "held out different images"),
        (("seed0",), "at least two different runs"),
    ],
)
def test_runs_that_do_not_fit_are_refused(place: Path, names: tuple[str, ...], message: str) -> None:
    done = ask("blend", "--soup", *(found(place, name).folder for name in names), "--out", place / "s")
    assert done.exit_code == 1
    assert message in done.output


def test_soup_and_ensemble_exclude_each_other(place: Path) -> None:
    runs = [found(place, f"seed{seed}").folder for seed in range(2)]
    done = ask("blend", "--soup", *runs, "--ensemble", "mean", "--out", place / "s")
    assert done.exit_code == 2
    assert "--soup averages weights" in done.output
