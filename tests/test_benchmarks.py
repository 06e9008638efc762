"""What the benchmarks rely on, and the rule by which a ratio counts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import layouts
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from kagglekit import Run
from kagglekit.cli import cli

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


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that score_steps gives, carried out in this process."""
    import score_steps

    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    given: list[list[str]] = []

    def answer(words: list[str]) -> str:
        given.append(words)
        done = CliRunner().invoke(cli, [*words, "--json", *(["--precision", "fp32"] if words[0] == "run" else [])])
        assert done.exit_code == 0, done.output
        return done.stdout

    monkeypatch.setattr(score_steps, "answer", answer)
    return given


def test_each_step_is_scored_out_of_fold_and_on_the_test_images_and_nothing_is_done_twice(commands, tmp_path, capsys):
    import score_steps

    layouts.write_pets(tmp_path / "data")
    settings = {"pretrained": "false", "stage.*.size": 32, "stage.*.batch_size": 8}
    small = {"stage.3.size": 32, "stage.4.size": 32, "stage.4.cycle_mult": 1, "stage.*.cycle_len": 1, "tta": 1}
    words = [f"pets={tmp_path / 'data'}", "--arch", "test_efficientnet.r160_in1k", "--folds", "2"]
    words += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    words += [word for key, value in small.items() for word in ("--stage-set", f"{key}={value}")]
    score_steps.main([*words, "--out", str(tmp_path / "out")])
    table = capsys.readouterr().out
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| pets")
    ]
    assert [row[1] for row in rows] == [
        *("features baseline, 2 folds", "single model", "+ TTA", "+ 2 snapshots", "+ 2 folds", "+ hill climbing"),
        "+ features baseline, hill climbing",
    ]
    features, steps, blend = (
        Run(Path(done["run"])) for done in json.loads((tmp_path / "out/score_steps.json").read_text()).values()
    )
    for row, run in ((rows[0], features), (rows[5], steps), (rows[6], blend)):
        scores = run.info()["scores"][-1]
        shown = [float(row[k].split(" ± ")[0]) for k in (2, 4, 5, 7)]
        keys = ("valid_log_loss", "valid_accuracy", "test_log_loss", "test_accuracy")
        assert shown == pytest.approx([scores[key][0] for key in keys], abs=1e-4)
    by_name = {(row["member"], row["views"]): row for row in steps.info()["scores"]}
    assert float(rows[1][2].split()[0]) == pytest.approx(
        by_name["all-2-cycle2", "plain"]["valid_log_loss"][0], abs=1e-4
    )
    assert float(rows[4][2].split()[0]) == pytest.approx(by_name["candidate", "mean"]["valid_log_loss"][0], abs=1e-4)
    assert rows[4][3] == "+0.0000 ± 0.0000"  # out of fold, folds are no step
    assert float(rows[2][3].split()[0]) == pytest.approx(
        float(rows[1][2].split()[0]) - float(rows[2][2].split()[0]), abs=2e-4
    )
    assert len(commands) == 3
    score_steps.main([*words, "--out", str(tmp_path / "out")])
    assert len(commands) == 3  # all of it was finished
    assert capsys.readouterr().out == table


def test_a_command_that_fails_is_done_again(tmp_path, monkeypatch):
    import score_steps

    options = score_steps.arguments(["pets=DIR", "--out", str(tmp_path)])
    monkeypatch.setattr(score_steps, "answer", lambda words: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        score_steps.finished(options, "pets quick", ["run"])
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(score_steps, "answer", lambda words: json.dumps({"run": str(tmp_path / "there")}))
    assert score_steps.finished(options, "pets quick", ["run"]).run.folder == tmp_path / "there"
    monkeypatch.setattr(score_steps, "answer", lambda words: 1 / 0)
    score_steps.finished(options, "pets quick", ["run"])
    with pytest.raises(ZeroDivisionError):
        score_steps.finished(options, "pets quick", ["run", "--folds", "3"])  # another command


@pytest.fixture(autouse=True, scope="module")
def _forgotten() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
