"""The ledger of runs and the comparison of two, on run folders as runs write them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import layouts
import pytest
from click.testing import CliRunner, Result
from command_line import surroundings
from hypothesis import given, settings
from hypothesis import strategies as st

import kagglekit
from kagglekit import Competition, Recipe, Run, UserError, progressive_stages
from kagglekit.cli import cli
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.runs import history, history_index
from kagglekit.runs.history import (
    COLUMNS,
    all_entries,
    compared_scores,
    differing_facts,
    differing_recipe,
    read_entry,
    sort_entries,
)
from kagglekit.runs.info import Record
from kagglekit.runs.lookup import create_run
from kagglekit.system.display.console import Display
from kagglekit.types.metric import greater_is_better

TINY = (
    *("--arch", "test_efficientnet.r160_in1k", "--set", "pretrained=false", "--size", "32", "--set", "tta=1"),
    *("--set", "stage.*.batch_size=8", "--preset", "quick", "--precision", "fp32", "--device", "cpu"),
    *("--set", "stage.1.solver=regression"),
)
RECIPE = Recipe(arch="resnet18", stages=progressive_stages((64, 96)))
BEGIN = datetime(2026, 11, 22, 14, 10)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder; return where its runs go."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    return tmp_path / "submissions"


def make(
    root: Path,
    day: int,
    valid: tuple[float, float] | None = None,
    competition: str = "dog-breed",
    metric: str = "log_loss",
    recipe: Recipe = RECIPE,
    **facts: Any,
) -> Run:
    """Make a run as the runner does, that began on that day of November."""
    began = BEGIN.replace(day=day)
    run = create_run(root, competition, recipe.arch, began)
    run.write_recipe(recipe)
    known = {"status": "finished", "competition": competition, "plugin": competition, "metric": metric}
    known |= {"preset": "quick", "stages": [1, 2]}
    Record.of(run.info_file).update(
        **{**known, "started": began.astimezone().isoformat(timespec="seconds"), "seconds": 75.0, **facts}
    )
    if valid:
        plain = {"member": "all-2-cycle1", "views": "plain", f"valid_{metric}": [9.0, 9.0]}
        Record.of(run.info_file).update(
            scores=[plain, {"member": "ensemble", "views": "mean", f"valid_{metric}": list(valid)}]
        )
    return run


def upload(status: str = "complete", **scores: Any) -> dict[str, Any]:
    return {"status": status, "public": None, "private": None, **scores}


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["history", *map(str, arguments)])


def listed(*arguments: object) -> list[dict[str, Any]]:
    """Ask for JSON; return its rows."""
    result = ask("--json", *arguments)
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


def shown(result: Result) -> list[list[str]]:
    """Return the cells of the table that was printed, its head first."""
    assert result.exit_code == 0, result.output
    return [re.split(r" {2,}", line) for line in result.stdout.splitlines()]


def refused(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    return result.stderr


def test_a_real_run_is_listed_with_the_facts_of_its_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    layouts.write_dog_breed(tmp_path / "data")
    options = ("--data", "data", *TINY, "--epochs", "1", "--stages", "2-2", "--limit", "20")
    done = CliRunner().invoke(cli, ["run", "dog-breed", *options])
    assert done.exit_code == 0, done.output
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (row,), (run,) = listed(), map(Run, (root / "dog-breed").iterdir())
    info = run.info()
    value, error = info.scores[-1]["valid_log_loss"]
    assert row["valid"] == {"value": value, "error": error}
    assert (row["run"], row["competition"], row["status"]) == (run.name, "dog-breed", "finished")
    assert (row["arch"], row["px"], row["stages"], row["epochs"], row["limit"]) == (TINY[1], 32, 1, 1, 20)
    assert (row["time"], row["date"]) == (info.seconds, info.started)
    assert (row["test"], row["public"]) == (None, None)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_the_newest_run_comes_first_and_empty_columns_are_left_out(root: Path) -> None:
    runs = [make(root, day, (0.5, 0.01)) for day in (3, 5, 4)]
    head, *rows = shown(ask("--wide"))
    assert [row[0] for row in rows] == [runs[1].name, runs[2].name, runs[0].name]
    assert {"test", "public", "private", "best", "gap", "limit"}.isdisjoint(head)
    row = dict(zip(head, rows[0], strict=True))
    assert (row["valid"], row["date"], row["time"]) == ("0.5000 ± 0.0100", "2026-11-05 14:10", "75 s")
    assert (row["px"], row["stages"], row["epochs"]) == ("64", "2", "1")  # of two stages of four, the first solved


def test_the_short_table_has_run_score_public_time_and_state_and_fits_80_columns(root: Path) -> None:
    make(root, 1, (0.5, 0.01)).write_submissions([upload(public=0.6)])
    make(root, 2, status="failed")
    lines = ask().stdout.splitlines()
    assert lines[0] == "dog-breed, metric log loss"
    assert re.split(r" {2,}", lines[1]) == ["run", "valid score", "public", "time", "state"]
    assert max(map(len, lines)) <= 80
    make(root, 3, (0.5, 0.01), metric="accuracy", competition="pets")
    assert re.split(r" {2,}", ask().stdout.splitlines()[0])[:3] == ["run", "competition", "metric"]


def test_of_several_competitions_narrow_terminals_get_one_table_without_errors(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(root, 1, (0.5, 0.01), recipe=RECIPE.model_copy(update={"arch": "mobilenetv2_100"}), seconds=2932.0)
    make(root, 2, (0.25, 0.01), metric="accuracy", competition="pets", seconds=8000.0)
    for width, score, time in ((80, "0.5000", "49 min"), (120, "0.5000 ± 0.0100", "48 min 52 s")):
        monkeypatch.setattr(Display, "width", width)  # of a terminal; a pipe has as many columns as a line needs
        lines = ask().stdout.splitlines()
        assert max(map(len, lines)) <= width
        (row,) = (re.split(r" {2,}", line) for line in lines if "dog-breed" in line)
        assert row[1:] == ["dog-breed", "log loss", score, time, "finished"]


@pytest.mark.parametrize(("metric", "order"), [("log_loss", [4, 3, 5]), ("accuracy", [5, 3, 4])])
def test_sorted_by_a_score_the_best_comes_first_and_none_last(root: Path, metric: str, order: list[int]) -> None:
    for day, value in ((3, 0.5), (4, 0.25), (5, 0.75)):
        make(root, day, (value, 0.01), metric=metric)
    failed = make(root, 6, status="failed")
    rows = listed("--sort", "valid")
    assert [datetime.fromisoformat(row["date"]).day for row in rows] == [*order, 6]
    assert (rows[-1]["run"], rows[-1]["valid"], rows[-1]["status"]) == (failed.name, None, "failed")


def test_scores_are_sorted_within_each_competition(root: Path) -> None:
    for day, competition, metric, value in (
        (1, "pets", "accuracy", 0.7),
        (2, "dog-breed", "log_loss", 0.9),
        (3, "pets", "accuracy", 0.8),
        (4, "dog-breed", "log_loss", 0.6),
    ):
        make(root, day, (value, 0.01), competition, metric)
    rows = listed("--sort", "valid")
    assert [(row["competition"], row["valid"]["value"]) for row in rows] == [
        ("dog-breed", 0.6),
        ("dog-breed", 0.9),
        ("pets", 0.8),
        ("pets", 0.7),
    ]


def test_of_a_metric_of_a_plugin_the_largest_comes_first_and_that_is_said(root: Path) -> None:
    make(root, 1, (0.4, 0.1), metric="kappa")
    make(root, 2, (0.3, 0.1), metric="kappa")
    result = ask("--sort", "valid")
    assert "warning: cannot tell whether a greater kappa is better: sorting the largest first" in result.stdout
    assert [row["valid"]["value"] for row in listed("--sort", "valid")] == [0.4, 0.3]
    assert "not known" not in ask("--sort", "arch").stdout


def test_every_column_sorts(root: Path) -> None:
    score = {"test_log_loss": [0.6, 0.1], "valid_log_loss": [0.5, 0.1], "member": "ensemble", "views": "mean"}
    for day in (1, 2):
        make(root, day, scores=[score]).write_submissions([upload(public=0.5, private=0.4), upload(public=0.7)])
    make(root, 3)
    for column in COLUMNS:
        assert len(listed("--sort", column)) == 3, column


def test_scores_of_kaggle_are_those_of_the_last_submission_that_got_any(root: Path) -> None:
    run = make(root, 1, (0.5, 0.02))
    uploads = [
        upload(public=0.6, private=0.62),
        upload(public="0.55000", private=""),
        upload(public=0.58, private=0.57),
    ]
    run.write_submissions([*uploads, upload("error", error="rows are missing"), upload("pending")])
    (row,) = listed()
    assert (row["public"], row["private"], row["best"]) == (0.58, 0.57, 0.55)
    assert row["gap"] == pytest.approx(-0.08)
    head, cells = shown(ask("--wide"))
    table = dict(zip(head, cells, strict=True))
    assert (table["public"], table["best"], table["gap"]) == ("0.58000", "0.55000", "-0.0800")


def test_one_submission_is_no_best_and_a_pending_one_no_score(root: Path) -> None:
    make(root, 1, (0.5, 0.02), metric="accuracy").write_submissions([upload(public=0.6)])
    make(root, 2, (0.5, 0.02)).write_submissions([upload("pending")])
    pending, scored = listed()
    assert (scored["public"], scored["best"]) == (0.6, None)
    assert (pending["public"], pending["gap"]) == (None, None)


def test_a_run_that_is_not_finished_is_listed_without_scores(root: Path) -> None:
    run = create_run(root, "pets", "resnet18", BEGIN)
    Record.of(run.info_file).update(status="running", competition="pets", plugin="pets")
    run.write_recipe(RECIPE)
    (row,) = listed()
    assert (row["status"], row["valid"], row["time"]) == ("running", None, None)
    assert datetime.fromisoformat(row["date"]) == BEGIN.astimezone()  # of its name


def test_a_score_that_is_no_number_counts_as_none(root: Path) -> None:
    make(root, 1, (float("nan"), float("nan")))
    make(root, 2, (0.5, float("nan")))
    good, bad = listed("--sort", "valid")
    assert good["valid"] == {"value": 0.5, "error": 0.0}
    assert bad["valid"] is None


def test_a_recipe_of_another_version_is_listed_all_the_same(root: Path) -> None:
    run = make(root, 1, (0.5, 0.01))
    stored = json.loads(run.recipe_file.read_text())
    stored["colour"] = "green"
    stored["stages"][0] = {**stored["stages"][0], "momentum": 0.9}
    del stored["stages"][1]["ema"]
    run.recipe_file.write_text(json.dumps(stored))
    assert [row["arch"] for row in listed()] == ["resnet18"]


def test_broken_and_foreign_folders_are_named_and_left_out(root: Path) -> None:
    good = make(root, 1, (0.5, 0.01))
    contents = {2: ("recipe.json", "{"), 3: ("run.json", "[1]"), 4: ("score.json", '{"submissions": [{}]}')}
    contents |= {5: ("recipe.json", "{}"), 6: ("run.json", '{"scores": [7]}'), 7: ("run.json", '{"stages": [9]}')}
    broken = []
    for day, (name, content) in contents.items():
        broken.append(make(root, day, (0.5, 0.01)).folder)
        (broken[-1] / name).write_text(content)
    (root / "dog-breed" / "notes").mkdir()
    (root / "dog-breed" / ".hidden").mkdir()
    (root / "README.md").write_text("")
    result = ask("--json")
    assert [row["run"] for row in json.loads(result.stdout)] == [good.name]
    warnings = result.stderr.splitlines()
    assert warnings[0] == f"warning: skipped, not a run: {Path('submissions/dog-breed/notes')}"
    assert [re.match(r"warning: skipped: cannot read (\S+?)(?:/\w+\.json)?: ", line)[1] for line in warnings[1:]] == [  # type: ignore[index]
        str(folder.relative_to(root.parent)) for folder in broken
    ]
    assert f"skipped: cannot read {broken[0].relative_to(root.parent)}" in ask().stdout


HUGE = {"cycles": 10**9, "cycle_len": 10**9, "cycle_mult": 10**300}


@pytest.mark.parametrize("field", HUGE)
def test_a_stage_of_endless_epochs_is_damage_and_no_work(root: Path, field: str) -> None:
    good, run = make(root, 1), make(root, 2)
    stored = json.loads(run.recipe_file.read_text())
    stored["stages"][1] |= {"cycles": 900, field: HUGE[field]}
    run.recipe_file.write_text(json.dumps(stored))
    result = ask("--json")
    assert [row["run"] for row in json.loads(result.stdout)] == [good.name]
    assert "a stage of more than 100,000 epochs" in result.stderr
    with pytest.raises(UserError, match=r"recipe\.json"):
        run.recipe()


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.just("9" * 4000), st.just(10**4000),
    st.just("0001-01-01T00:00:00"), st.just([]), st.just({}), st.just([[1, 2]]), st.just([{"member": "ensemble"}]),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_file_with_any_value_anywhere_is_a_row_or_one_line(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "submissions"
        good, run = make(root, 1, (0.5, 0.01)), make(root, 2, (0.5, 0.01))
        run.write_submissions([upload(public=0.5)])
        file = data.draw(st.sampled_from([run.recipe_file, run.info_file, run.score_file]))
        stored = json.loads(file.read_text())
        place_in = stored
        while isinstance(place_in, dict | list) and place_in:
            keys = list(place_in) if isinstance(place_in, dict) else range(len(place_in))
            holder, key = place_in, data.draw(st.sampled_from(keys))
            place_in = holder[key]
            if data.draw(st.booleans()):
                break
        holder[key] = data.draw(values)
        with suppress(ValueError):  # 4,000 digits are more than Python writes
            file.write_text(json.dumps(stored))
        for arguments in ((), ("--sort", "valid"), ("--sort", "limit")):
            result = ask("--out", root, *arguments)
            assert result.exit_code == 0, (stored, result.output, result.exception)
        result = ask("--out", root, "--json")
        rows = [row["run"] for row in json.loads(result.stdout)]
        assert good.name in rows
        assert (run.name in rows) == (not result.stderr.splitlines())
        assert len(result.stderr.splitlines()) <= 1
        compared = ask("--out", root, good.name, run.name)
        assert compared.exit_code in (0, 1), (stored, compared.output, compared.exception)
        assert compared.exit_code == 0 or compared.output.startswith("error: ")


def test_text_of_a_run_that_a_terminal_would_act_on_is_escaped(root: Path) -> None:
    evil = "\x1b[2J\x1b]0;mine\x07"
    run, other = make(root, 1, (0.5, 0.1), metric=evil, preset=evil, device=evil), make(root, 2, (0.5, 0.1), metric="b")
    for result in (ask(), ask(run.name, other.name)):
        assert result.exit_code == 0, result.output
        assert "\x1b" not in result.output
        assert r"\x1b[2J" in result.output


def test_a_competition_lists_its_runs_and_a_run_itself(root: Path) -> None:
    dogs, pets = make(root, 1), make(root, 2, competition="pets")
    assert [row["run"] for row in listed("dog-breed")] == [dogs.name]
    for text in (pets.folder, pets.name, "20261102", "latest"):
        assert [row["run"] for row in listed(text)] == [pets.name]


def test_a_name_of_neither_competition_nor_run_is_reported(root: Path) -> None:
    make(root, 1), make(root, 2, competition="pets")
    told = refused(ask("dog-bred"), 1)
    assert re.match(
        r"error: 'dog-bred' is not a run or a competition with runs in .*submissions \(.*\)\s+"
        r"hint: competitions with runs: dog-breed, pets; list all runs: kagglekit history$",
        told,
    )
    assert "unknown run 'dog-bred'" in told
    assert "matches several runs" in refused(ask("202611"), 1)


def test_no_runs_are_reported(root: Path) -> None:
    result = ask()
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"no runs in {root}\nhint: start one with kagglekit run COMPETITION\n"
    assert listed() == []
    assert "submissions (no runs in" in refused(ask("pets"), 1)


def test_runs_elsewhere_are_listed(root: Path, tmp_path: Path) -> None:
    run = make(tmp_path / "elsewhere", 1)
    assert listed() == []
    assert [row["run"] for row in listed("--out", "elsewhere")] == [run.name]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a", "b", "c"], "cannot compare 3 runs: history compares two"),
        (["--sort", "score"], "invalid value for '--sort': 'score' is not one of 'run', 'competition'"),
        (["latest", "latest", "--sort", "valid"], "--sort does not apply to the comparison of two runs"),
    ],
)
def test_wrong_input_exits_with_2(root: Path, arguments: list[str], words: str) -> None:
    make(root, 1)
    assert words in refused(ask(*arguments), 2)


def test_two_runs_differ_in_fields_of_the_recipe_by_their_dotted_names(root: Path) -> None:
    first, *others = RECIPE.stages
    added = others[-1].model_copy(update={"name": "all-3", "size": 128})
    changed = {
        "seed": 1,
        "measured": "80 % on another day",
        "drop_rate": 0.5,
        "options": {"mine": {"depth": 2}},
        "stages": (first.model_copy(update={"drop_rate": 0.1, "size": 48}), *others, added),
    }
    assert differing_recipe(make(root, 1), make(root, 2, recipe=RECIPE.model_copy(update=changed))) == {
        "drop_rate": ("0.0", "0.5"),
        "seed": ("0", "1"),
        "options.mine.depth": ("none", "2"),
        "stage.1.size": ("64", "48"),
        "stage.1.drop_rate": ("none", "0.1"),
        "stage.5": ("none", "all-3, 128 px"),
    }


def test_two_runs_differ_in_facts(root: Path) -> None:
    versions = {"torch": "2.15.0", "timm": "1.0.31"}
    a = make(root, 1, versions=versions, device="cpu (2 threads)", images={"train": 80, "valid": 20}, command=["a"])
    b = make(root, 2, versions={**versions, "torch": "2.16.0"}, device="cuda", images={"train": 90, "valid": 20})
    assert differing_facts(a, b) == {
        "images.train": ("80", "90"),
        "versions.torch": ("2.15.0", "2.16.0"),
        "device": ("cpu (2 threads)", "cuda"),
    }


@pytest.mark.parametrize(
    ("metric", "second", "clear", "verdict"),
    [
        ("log_loss", (0.42, 0.02), True, "the second is better"),
        ("log_loss", (0.60, 0.02), True, "the first is better"),
        ("accuracy", (0.60, 0.02), True, "the second is better"),
        ("kappa", (0.60, 0.02), True, "clear"),
        ("log_loss", (0.44, 0.04), False, "not clear"),
    ],
)
def test_scores_are_compared_by_their_errors(
    root: Path, metric: str, second: tuple[float, float], clear: bool, verdict: str
) -> None:
    a, b = make(root, 1, (0.5, 0.03), metric=metric), make(root, 2, second, metric=metric)
    (score,) = compared_scores(a, b).values()
    assert score.change == pytest.approx(second[0] - 0.5)
    assert score.error == pytest.approx((0.03**2 + second[1] ** 2) ** 0.5)
    assert score.clear is clear
    result = ask(a.name, b.name)
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("valid ")]
    assert line.endswith(f"{score.change:+.4f} ± {score.error:.4f}  {verdict}")


def test_scores_of_kaggle_are_compared_without_a_verdict(root: Path) -> None:
    runs = [make(root, day, (0.5, 0.03)) for day in (1, 2)]
    for run, score in zip(runs, (0.61, 0.58), strict=True):
        run.write_submissions([upload(public=score)])
    compared = compared_scores(*runs)
    assert list(compared) == ["valid_log_loss", "public"]
    assert (compared["public"].error, compared["public"].clear) == (None, None)
    assert re.search(r"^public +0\.61000 +0\.58000 +-0\.0300$", ask(runs[0].name, runs[1].name).stdout, re.M)


def test_two_runs_are_shown_side_by_side_and_as_json(root: Path) -> None:
    a, b = make(root, 1, (0.5, 0.03)), make(root, 2, (0.4, 0.03), recipe=RECIPE.model_copy(update={"seed": 1}))
    result = ask("20261101", "latest")
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.stdout.splitlines()[:3]] == ["run", a.name, b.name]
    assert re.search(r"^recipe  first  second\nseed    0      1$", result.stdout, re.M)
    assert "\nrun: no difference\n" in result.stdout
    assert "clear: more than 2 standard errors" in result.stdout
    plain = json.loads(ask("20261101", "latest", "--json").stdout)
    assert [row["run"] for row in plain["runs"]] == [a.name, b.name]
    assert (plain["recipe"], plain["facts"]) == ({"seed": ["0", "1"]}, {})
    assert plain["scores"]["valid_log_loss"]["clear"] is True
    assert plain["scores"]["valid_log_loss"]["b"] == {"value": 0.4, "error": 0.03}


def test_from_python_two_runs_are_compared_in_a_table_and_one_is_listed(root: Path) -> None:
    a, b = make(root, 1, (0.5, 0.03)), make(root, 2, (0.4, 0.03), recipe=RECIPE.model_copy(update={"seed": 1}))
    table = kagglekit.history("20261101", b)
    assert table.loc[("run", "name"), ["first", "second"]].tolist() == [a.name, b.name]
    assert table.loc[("recipe", "seed"), ["first", "second"]].tolist() == ["0", "1"]
    score = table.loc[("score", "valid_log_loss")]
    assert (score["first"], score["second"], score["clear"]) == (0.5, 0.4, True)
    assert score["difference"] == pytest.approx(-0.1)
    assert score["difference_error"] == pytest.approx((2 * 0.03**2) ** 0.5)
    assert [kagglekit.history(which).index.tolist() for which in (a, a.name)] == [[a.name]] * 2
    assert kagglekit.history("dog-breed").index.tolist() == [b.name, a.name]
    for wrong, words in (((a, b, a), "cannot compare 3 runs"), (("cats",), "'cats' is not a run or a competition")):
        with pytest.raises(UserError, match=words):
            kagglekit.history(*wrong)


def test_scores_of_two_competitions_or_of_none_are_not_compared(root: Path) -> None:
    dogs, pets = make(root, 1, (0.5, 0.03)), make(root, 2, (0.4, 0.03), competition="pets")
    assert compared_scores(dogs, pets) == {}
    told = ask(dogs.name, pets.name).stdout
    assert "scores of different competitions cannot be compared" in told
    assert re.search(r"^competition +dog-breed +pets$", told, re.M)
    bare = make(root, 3)
    assert "the runs have no score in common" in ask(dogs.name, bare.name).stdout


def test_a_broken_run_cannot_be_compared(root: Path) -> None:
    a, b = make(root, 1), make(root, 2)
    b.info_file.write_text("{")
    assert f"cannot read {b.info_file.relative_to(root.parent)}" in refused(ask(a.name, b.name), 1)
    assert "unknown run 'b'" in refused(ask(a.name, "b"), 1)


def test_the_direction_of_each_built_in_metric_is_known() -> None:
    hooks = Hooks(load("shapes"))
    names = hooks.provides().metric
    assert "log_loss" in names
    for name in names:
        metric = hooks.metric(Competition(title="any", metric=name))
        assert greater_is_better(name) == metric.greater_is_better, name
    assert greater_is_better("kappa") is None


def test_hundreds_of_runs_are_read_and_nothing_heavy_is_loaded(root: Path, tmp_path: Path) -> None:
    for i in range(200):
        run = create_run(root, "pets", "resnet18", BEGIN + timedelta(minutes=i))
        Record.of(run.info_file).update(status="running", competition="pets", plugin="pets")
        run.write_recipe(RECIPE)
    entries, warnings = all_entries(root)
    assert (len(entries), warnings) == (200, [])
    assert sort_entries(entries, "date") == entries
    heavy = "{'torch', 'torchvision', 'timm', 'pandas', 'numpy', 'sklearn', 'cv2', 'kaggle', 'requests', 'scipy'}"
    code = (
        "import sys\nfrom kagglekit.cli.history import history\nhistory([], standalone_mode=False)\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=surroundings(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_many_runs_are_remembered_until_their_files_change(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_index, "FEW", 1)
    runs = [make(root, day, (0.3, 0.02)) for day in (1, 2)]
    first, _ = all_entries(root)
    reading = []
    monkeypatch.setattr(history, "read_entry", lambda run: reading.append(run) or read_entry(run))
    assert all_entries(root)[0] == first
    assert reading == []
    Record.of(runs[0].info_file).update(seconds=99.0)
    assert [entry.time for entry in all_entries(root)[0]] == [first[0].time, 99.0]
    assert reading == [runs[0]]
