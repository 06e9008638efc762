"""Each hook's answer is used: seen in the output of a run whose plugin answers them all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import kagglekit
from places import TESTS

from kagglekit.hooks.specs import HOOKS

PLUGIN = TESTS / "hooks" / "every_hook.py"


SEEN = [
    ("provides", "good evening"),  # an option that nobody declares would be refused
    ("competition", "Every Hook Cup"),
    ("labels", "12 test; 3 colours"),
    ("task", "12 test; 3 colours"),
    ("recipe", "own-stage"),
    ("download", "every-hook/drawn"),
    ("read_image", "decoded 36 labelled images"),
    ("check_model", "checked mean-colour"),
    ("model", "weights: every-weights, licence: every-licence"),
    ("layer_groups", "for 2 groups"),
    ("optimizer", "optimizer step at lr 0.125"),
    ("loss", "train loss 7."),
    ("metric", "valid percent 100.0000"),
    ("views", "valid percent 100.0000"),  # the default view sees black only
    ("augment", "paint: (9, 3, 8, 8) in epoch 2"),
    ("schedule", "own-stage-cycle3"),
    ("ensemble", "ensemble: the first of 3 members, 7 labels"),
    ("decision", "decision as-is, found on 7 valid predictions: score 100"),
    ("run_start", "watch: run of mean-colour starts in every-hook"),
    ("stage_start", "watch: own-stage starts"),
    ("epoch_end", "watch: epoch 3 of own-stage ended at step 9"),
    ("stage_end", "watch: own-stage ended with 3 snapshots"),
    ("run_end", "watch: run ended with 100 percent"),
]
"""Each hook, and what is seen of its answer in the output of a run."""
ELSEWHERE = {"submission", "run_failed", "targets", "executor", "sampler"}
"""In submission.csv, in a run that fails, and in test_hooks_page.py."""


def install(place: Path) -> str:
    """Install the plugin as a distribution, as pip would leave it; return the folder for PYTHONPATH."""
    info = place / "site" / "every_hook_cup-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: every-hook-cup\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[kagglekit.competitions]\nevery-hook = kagglekit_every_hook\n")
    shutil.copy(PLUGIN, place / "site" / "kagglekit_every_hook.py")
    return str(place / "site")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    place = tmp_path_factory.mktemp("every-hook")
    finished = kagglekit("run", "every-hook", "--precision", "fp32", cwd=place, PYTHONPATH=install(place))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (folder,) = (place / "submissions" / "every-hook").iterdir()
    return finished.stdout, folder


def test_no_hook_is_forgotten_here():
    assert {hook for hook, _ in SEEN} | ELSEWHERE == {hook.removeprefix("kagglekit_") for hook in HOOKS}


@pytest.mark.parametrize(("hook", "seen"), SEEN)
def test_the_answer_shows_in_the_output(done, hook, seen):
    assert seen in done[0]


def test_the_submission_is_the_plugins(done):
    lines = (done[1] / "submission.csv").read_text().splitlines()
    assert lines[0] == "picture,colour"
    assert lines[1:4] == ["image-36,amber", "image-37,blue", "image-38,crimson"]
    assert len(lines) == 13


def test_the_ensemble_fitted_and_the_schedule_are_recorded(done):
    info = json.loads((done[1] / "run.json").read_text())
    assert info["fitted"] == {"taken": "own-stage-cycle1"}
    assert (done[1] / "log.csv").read_text().splitlines()[-1].split(",")[4:6] == ["9", "0.125"]


def test_run_json_says_who_answered_each_hook(done):
    answered = json.loads((done[1] / "run.json").read_text())["answered"]
    watchers = {hook for hook in HOOKS if hook.endswith(("_start", "_end", "_failed"))}
    for hook in (
        set(HOOKS) - watchers - {f"kagglekit_{name}" for name in ("provides", "targets", "executor", "sampler")}
    ):
        assert "every-hook (every-hook-cup 2.0)" in answered[hook], (
            hook
        )  # for log loss, the default metric answered too


def test_a_failing_run_tells_its_watchers(tmp_path):
    shutil.copy(PLUGIN, tmp_path)
    failed = kagglekit("run", "./every_hook.py", "--precision", "fp32", cwd=tmp_path, EVERY_HOOK_FAILS="1")
    assert failed.returncode == 1
    assert "watch: run failed with NotFinite" in failed.stdout
    assert "the loss is no longer finite: stage 1 (own-stage), epoch 1, step 1" in failed.stderr
    assert "Traceback" not in failed.stderr
