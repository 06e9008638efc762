"""From nothing to a score: download, run and submit on tiny data in the real layouts of both Kaggle competitions."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from kaggle_server import KaggleServer
from kaggle_session import ask, entries, fail, succeed
from layouts import write_dog_breed, write_dogs_vs_cats

from kagglekit.runs.lookup import find_run

TINY = (
    *("--arch", "test_resnet", "--set", "pretrained=false", "--size", 32, "--stages", "1", "--precision", "fp32"),
    *("--set", "stage.1.solver=regression"),
)


def log_loss(csv: str, solution: dict[str, str], positive: str | None) -> float:
    """Compute the score of the public part by hand: every third id of the solution."""
    rows = pd.read_csv(csv, dtype={"id": str}).set_index("id")
    public = list(solution)[::3]
    if positive:
        chances = [rows.loc[i, "label"] if solution[i] == positive else 1 - rows.loc[i, "label"] for i in public]
    else:
        chances = [rows.loc[i, solution[i]] / rows.loc[i].sum() for i in public]
    return float(-np.log(chances).mean())


def test_dog_breed_in_one_command(tmp_path):
    solution = write_dog_breed(tmp_path / "source")
    home = tmp_path / "home"
    home.mkdir()
    with KaggleServer() as server:
        server.add_competition("dog-breed-identification", tmp_path / "source", solution, title="Dog Breeds")
        done = succeed(server, home, "run", "dog-breed", *TINY, "--submit", "-m", "all at once")
        run = find_run("latest", home / "submissions")
        (entry,) = entries(run)
        assert entry["public"] == pytest.approx(log_loss(run.submission, solution, None), abs=1e-4)
        assert f"submission {entry['ref']}: public score" in done.stdout
        history = ask(server, home, "history", "dog-breed", "--json", credentials="none")
        (row,) = json.loads(history.stdout)
        assert row["public"] == entry["public"]


def test_dogs_vs_cats_step_by_step(tmp_path):
    solution = write_dogs_vs_cats(tmp_path / "source", zipped=True)
    home = tmp_path / "home"
    home.mkdir()
    slug = "dogs-vs-cats-redux-kernels-edition"
    with KaggleServer() as server:
        server.add_competition(slug, tmp_path / "source", solution, positive="dog")
        succeed(server, home, "download", "dogs-vs-cats")
        succeed(server, home, "run", "dogs-vs-cats", *TINY, credentials="none")
        succeed(server, home, "submit", "dogs-vs-cats")
        run = find_run("latest", home / "submissions")
        (entry,) = entries(run)
        assert entry["public"] == pytest.approx(log_loss(run.submission, solution, "dog"), abs=1e-4)
        assert server.count("DownloadDataFiles") == 1
        error = fail(server, home, "run", "dogs-vs-cats", *TINY, "--submit", "--limit", 8, code=2)
        assert "--submit cannot be combined with --limit" in error


def test_run_asks_kaggle_before_it_trains(tmp_path):
    with KaggleServer() as server:
        contest = server.add_competition("dog-breed-identification")
        contest.used_today = contest.max_daily
        error = fail(server, tmp_path, "run", "dog-breed", *TINY, "--submit")
        assert re.search("no submissions to .* are left today", error)
        assert not (tmp_path / "submissions").exists()
        contest.used_today = contest.max_daily - 1
        error = fail(server, tmp_path, "run", "dog-breed", *TINY, "--submit", code=2)
        assert "this is today's last submission" in error
        assert not (tmp_path / "submissions").exists()
