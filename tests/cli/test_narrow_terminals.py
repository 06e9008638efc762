"""What commands print fits terminals of 80 and of 100 columns: tables stay whole, and nothing is torn."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path

import pytest

if not hasattr(os, "openpty"):
    pytest.skip("this system has no pseudo-terminals", allow_module_level=True)

from store_parts import built, draw_images, spec_of
from terminal import kagglekit_shows, on_terminal

from kagglekit import Recipe, Run, progressive_stages
from kagglekit.runs.info import Record
from kagglekit.runs.lookup import create_run, find_run

NETWORK = "mobilenetv4_conv_medium.e500_r224_in1k"
RECIPE = Recipe(arch=NETWORK, stages=progressive_stages((64, 96)))
WIDTHS = pytest.mark.parametrize("columns", [80, 100])


def finished(out: Path, competition: str, minute: int, **scores: list[float]) -> Run:
    """Write a finished run of a network with a long name, with a public score."""
    began = datetime(2026, 12, 1, 12, minute, 41)
    run = create_run(out, competition, NETWORK, began)
    run.write_recipe(RECIPE)
    known = {"status": "finished", "competition": competition, "plugin": competition, "metric": "accuracy"}
    known |= {"preset": "quick", "stages": [1, 2], "started": began.astimezone().isoformat(), "seconds": 4321.0}
    Record.of(run.info_file).update(**known, scores=[{"member": "ensemble", "views": "mean", **scores}])
    run.write_submissions([{"status": "complete", "public": 0.61, "private": None}])
    return run


def two_runs(folder: Path, *competitions: str) -> list[Run]:
    found = []
    for minute, competition in enumerate(competitions):
        scores = {f"{split}_accuracy": [0.5, 0.01] for split in ("valid", "test")}
        scores |= {f"{split}_balanced_accuracy": [0.5 + minute / 9, 0.02] for split in ("valid", "test")}
        found.append(finished(folder / "submissions", competition, minute, **scores))
    return found


def none_is_wider(lines: list[str], columns: int) -> None:
    """Check it; a command stays whole, since it is to be copied, and so does a word."""
    for line in lines:
        assert len(line) <= columns or re.match(r"\s*(kagglekit |\S+$)", line), line


def heads(lines: list[str], word: str) -> int:
    return sum(line.split()[:1] == [word] for line in lines)


@WIDTHS
@pytest.mark.parametrize("competitions", [("dog-breed", "dog-breed"), ("dog-breed", "shapes")])
def test_the_history_of_runs_with_long_names_is_one_table(
    tmp_path: Path, columns: int, competitions: tuple[str, str]
) -> None:
    runs = two_runs(tmp_path, *competitions)
    lines = kagglekit_shows(columns, "history", cwd=tmp_path)
    none_is_wider(lines, columns)
    assert heads(lines, "run") == 1
    shown = [line.split()[0] for line in lines if line.startswith("20261201-")]
    assert [find_run(name, tmp_path / "submissions").folder for name in shown] == [each.folder for each in runs[::-1]]
    assert all(name.startswith("20261201-12") and name.partition("...")[0][:15] == name[:15] for name in shown)
    assert find_run(shown[0][:15], tmp_path / "submissions").name == runs[1].name


@WIDTHS
def test_differences_of_two_runs_stay_beside_their_scores(tmp_path: Path, columns: int) -> None:
    first, second = two_runs(tmp_path, "dog-breed", "dog-breed")
    lines = kagglekit_shows(columns, "history", first.name, second.name, cwd=tmp_path)
    none_is_wider(lines, columns)
    assert heads(lines, "run") + heads(lines, "first") <= 3
    (head,) = [line for line in lines if line.startswith("score")]
    assert "difference" in head


@WIDTHS
def test_the_cache_is_one_table(tmp_path: Path, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    folder = draw_images(tmp_path / "a-folder-of-competitions" / "dog-breed-identification")
    for side in (16, 24):
        built(spec_of(folder, side=side))
    (run,) = two_runs(tmp_path, "dog-breed")
    Record.of(run.info_file).update(data=str(folder))
    lines = kagglekit_shows(columns, "cache", cwd=tmp_path)
    none_is_wider(lines, columns)
    assert heads(lines, "images") == 1


@WIDTHS
def test_what_is_checked_recommended_and_predicted_fits(dogs, tmp_path: Path, columns: int) -> None:
    images = sorted((dogs.data / "test").glob("*.jpg"))[:2]
    for command in (
        ("check", "dog-breed", "--data", dogs.data),
        ("doctor", "--offline"),
        ("models", "mobilenetv4_conv_m*"),
        ("predict", dogs.run.folder, *images, "--device", "cpu"),
    ):
        none_is_wider(kagglekit_shows(columns, *command, cwd=tmp_path), columns)


@WIDTHS
def test_the_names_of_networks_are_whole(tmp_path: Path, columns: int) -> None:
    lines = kagglekit_shows(columns, "models", "mobilenetv4_conv_medium.e500_r2*", cwd=tmp_path)
    assert heads(lines, "model") == 1
    assert "..." not in "".join(lines[1:])
    names = [line.split()[0] for line in lines if "mobilenetv4" in line or line.startswith("e500")]
    assert NETWORK in ("".join(names[:2]), *names)


@WIDTHS
@pytest.mark.parametrize("competition", ["shapes", "pets"])
def test_the_table_of_stages_is_one(tmp_path: Path, columns: int, competition: str) -> None:
    lines = kagglekit_shows(columns, "recipe", competition, cwd=tmp_path)
    none_is_wider(lines, columns)
    assert sum(line.split()[:2] == ["stage", "px"] for line in lines) == 1
    assert any(line.rstrip().endswith("keeps") for line in lines)


@WIDTHS
def test_valid_and_test_scores_of_a_metric_stay_together(tmp_path: Path, columns: int) -> None:
    code = """if 1:
        from types import SimpleNamespace
        from kagglekit.prediction.scores import describe_scores
        from kagglekit.system.display.console import for_people
        keys = [f"{s}_{m}" for m in ("log_loss", "accuracy", "balanced_accuracy") for s in ("valid", "test")]
        name = "20261201-120041-mobilenetv4_conv_medium.e500_r224_in1k/all-2-cycle1"
        rows = [{"member": name, "views": "as predicted", **dict.fromkeys(keys, [0.5, 0.01])} for _ in range(2)]
        describe_scores(rows, SimpleNamespace(truth=None), for_people(False))
    """
    lines = on_terminal(columns, ["-c", code], tmp_path)
    none_is_wider(lines, columns)
    found = [line for line in lines if line.startswith("member")]
    assert len(found) <= 2
    assert all(line.count("valid") == line.count("test") > 0 for line in found)
    assert sum("all-2-cycle1" in line for line in lines) == 2 * len(found)


@WIDTHS
def test_of_a_bar_whole_parts_are_left_out(tmp_path: Path, columns: int) -> None:
    code = """if 1:
        from kagglekit.system.display.console import for_people
        with for_people(False).bar("3 all-layers", 123_456) as bar:
            for step in range(5):
                bar.started -= 100
                bar.advance(24_000, "loss 0.123  valid balanced accuracy 0.456")
                bar.progress.refresh()
    """
    lines = [line for line in on_terminal(columns, ["-c", code], tmp_path) if line.startswith("3 all-layers")]
    assert lines
    none_is_wider(lines, columns)
    for line in lines:
        assert "…" not in line
        assert re.search(r" \d+/123456 .* [-:\d]+ *$", line), line
        assert "loss 0.123" in line or " 0/" in line
        assert "accuracy" not in line or "accuracy 0.456" in line
        assert "images" not in line or re.search(r"[\d,]+ images/s", line)
