"""A search over recipes: trials are runs, the winner is scored again, and an interrupted search goes on."""

from __future__ import annotations

import json
from pathlib import Path

import layouts
import pytest
from click.testing import CliRunner, Result
from places import SUPPORT

from kagglekit.cli import cli
from kagglekit.runs.sweep_folder import Sweep, SweepInfo, Trial
from kagglekit.sweep.describe import describe_sweep
from kagglekit.sweep.space import parse_space, settings_of
from kagglekit.system.display.console import for_people
from kagglekit.system.errors import UsageError

TINY = ("pretrained=false", "stage.*.batch_size=8", "stage.*.size=32", "stage.4.cycle_mult=1", "tta=1")
FIXED = [
    "--arch",
    "test_efficientnet.r160_in1k",
    "--stages",
    "4",
    "--epochs",
    "2",
    "--device",
    "cpu",
    "--preset",
    "quick",
]
JOBS = ["--plugin", str(SUPPORT / "forked_jobs.py"), "--on", "here"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dogs")
    layouts.write_dog_breed(folder, per_class=6, test=6)
    return folder


def search(data: Path, out: Path, *arguments: str) -> Result:
    settings = [part for setting in TINY for part in ("--set", setting)]
    tries = ["--try", "stage.4.lr=1e-4..1e-1:log", "--try", "tta=1..2", "--pruner", "none"]
    common = ["sweep", "run", "dog-breed", "--data", str(data), "--out", str(out), *FIXED, *settings, *JOBS, *tries]
    return CliRunner().invoke(cli, [*common, *arguments])


def test_an_interrupted_search_goes_on_and_its_winner_is_scored_on_other_folds(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORKED_ASK", "trial-0")
    interrupted = search(data, tmp_path, "--trials", "2")
    assert interrupted.exit_code == 130, interrupted.output
    done = search(data, tmp_path, "--trials", "2", "--json")
    assert done.exit_code == 0, done.output
    (sweep,) = (Sweep(file.parent) for file in tmp_path.glob("*/*/sweep.json"))
    info = sweep.info()
    assert info.finished
    assert sorted(info.trials) == [0, 1]
    for number, trial in info.trials.items():
        scores = sweep.trial(number).info().ensemble_scores
        assert trial.score == scores["valid_log_loss"].value
        assert sweep.trial(number).recipe().stages[3].lr == pytest.approx(float(trial.settings[0].partition("=")[2]))
    assert info.base is not None
    assert info.base.score is not None
    assert {which: trial.state for which, trial in info.fresh.items()} == {"best": "finished", "base": "finished"}
    assert sweep.fresh("best").recipe().split_seed == 1000
    assert json.loads(done.stdout.splitlines()[-1])["sweep"] == str(sweep.folder)
    assert sweep.plots.exists()

    by_name = ["recipe", "dog-breed", "--preset", sweep.name, "--out", str(tmp_path)]
    printed = CliRunner().invoke(cli, by_name)
    assert printed.exit_code == 0, printed.output
    assert f"preset: {sweep.name}" in printed.output
    assert f"{sweep.best_recipe().stages[3].lr:.2g} " in printed.output
    listed = CliRunner().invoke(cli, ["history", "--out", str(tmp_path)])
    assert "skipped" not in listed.output


@pytest.mark.slow
def test_when_the_time_is_over_no_more_trials_begin(data: Path, tmp_path: Path) -> None:
    early = search(data, tmp_path, "--trials", "40", "--time", "0.01s")
    assert early.exit_code == 1, early.output
    assert "the time was over before the first trial could begin" in early.output
    (sweep,) = (Sweep(file.parent) for file in tmp_path.glob("*/*/sweep.json"))
    assert sweep.info().base is not None  # it is kept
    resumed = ["sweep", "resume", str(sweep.folder), "--time", "1s", *JOBS]
    late = CliRunner().invoke(cli, resumed)
    assert late.exit_code == 0, late.output
    info = sweep.info()
    assert 1 <= len(info.trials) < 40
    assert not info.finished  # the same command would go on
    assert info.fresh["best"].state == "finished"
    assert "trials is" in late.output or "no trial is better" in late.output


def test_what_to_try_is_read() -> None:
    lr, cycles, augment = parse_space(
        ["stage.*.lr=1e-5..1e-3:log", "stage.4.cycles=1..4", "stage.4.augment=a(x=1,y=2),b"]
    )
    assert (lr.kind, lr.low, lr.high, lr.log) == ("float", 1e-5, 1e-3, True)
    assert (cycles.kind, cycles.low, cycles.high, cycles.log) == ("int", 1, 4, False)
    assert augment.choices == ("a(x=1,y=2)", "b")
    assert settings_of({"lr": 0.000123456, "n": 3, "arch": "b"}) == ("lr=0.0001235", "n=3", "arch=b")


@pytest.mark.parametrize("text", ["lr", "lr=", "lr=1", "lr=2..1", "lr=0..1:log", "arch=a,,b", "arch=a,a"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid --try"):
        parse_space([text])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--try", "folds=2,3"], "--try folds: trials must hold out the same images"),
        (["--try", "stage.4.cycels=1..2"], "unknown key 'cycels': did you mean 'cycles'?"),
        (["--try", "arch=resnet18,resnot18"], "resnot18"),
        (["--try", "arch=resnet18,resnet34", "--sampler", "guess"], "unknown sampler 'guess'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_starts(
    arguments: list[str], message: str, data: Path, tmp_path: Path
) -> None:
    given = ["sweep", "run", "dog-breed", "--data", str(data), "--out", str(tmp_path), *arguments]
    done = CliRunner().invoke(cli, given)
    assert done.exit_code == 2
    assert message in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fresh", "words"),
    [
        ((0.40, 0.45), "it is 0.0500 better (0.4000 against 0.4500): 50% of the gain was luck"),
        ((0.46, 0.45), "it is not better (0.4600 against 0.4500): the gain was luck"),
        ((0.30, 0.45), "it is 0.1500 better (0.3000 against 0.4500): none of the gain was luck"),
    ],
)
def test_the_table_says_how_much_of_the_gain_was_luck(
    fresh: tuple[float, float], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best, base = (Trial(state="finished", score=score) for score in fresh)
    info = SweepInfo(
        competition="pets",
        metric="log_loss",
        greater_is_better=False,
        recipe={},
        space=parse_space(["arch=a,b"]),
        trials_wanted=2,
        sampler="tpe",
        pruner="none",
        base=Trial(state="finished", score=0.5),
        trials={0: Trial(settings=("arch=a",), state="finished", score=0.4), 1: Trial(state="pruned")},
        fresh={"best": best, "base": base},
    )
    describe_sweep(Sweep(tmp_path), info, for_people(False))
    printed = capsys.readouterr().out
    assert words in printed
    assert "the best of 2 trials is 0.1000 better than the unchanged recipe" in printed
