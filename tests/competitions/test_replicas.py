"""Plugins of real competitions, each of at most 40 lines, on replicas that ../shared/layouts draws.

That folder is no part of the project: without it these tests are skipped.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pandas as pd
import pytest
from places import SHARED, TESTS
from tiny_competitions import TINY, ask

PLUGINS = sorted((TESTS / "competitions" / "other_targets").glob("*.py"))
REPLICAS = SHARED / "layouts"
RECIPE = """
from kagglekit import Recipe, hookimpl, progressive_stages

@hookimpl
def kagglekit_recipe(preset):
    stages = progressive_stages((32,), batch_size=8, solver="regression")
    return Recipe(arch="test_resnet", pretrained=False, stages=stages)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kagglekit_small.py").write_text(RECIPE)
    return tmp_path


def draw(slug: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (REPLICAS / "generate.py").is_file():
        pytest.skip(f"there is no {REPLICAS / 'generate.py'}, which draws replicas of competitions")
    monkeypatch.syspath_prepend(str(REPLICAS))
    importlib.import_module("generate").generate(slug, folder, unpacked=True)


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.stem)
def test_a_plugin_of_40_lines_goes_through_check_run_and_submission(
    place: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(plugin.stem, place, monkeypatch)
    given = (plugin, "--data", "data", "--plugin", "kagglekit_small.py")
    checked = ask("check", *given)
    assert checked.exit_code == 0, checked.output
    done = ask("run", *given, *TINY)
    assert done.exit_code == 0, done.output
    (made,) = Path("submissions").glob("*/*/submission.csv")
    assert problems(made, Path("hidden")) == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.stem)
def test_it_is_short(plugin: Path) -> None:
    assert len(plugin.read_text().splitlines()) <= 40


def problems(made: Path, hidden: Path) -> list[str]:
    """Return what is wrong with the form of a CSV."""
    table, sample = (pd.read_csv(file, dtype=str, keep_default_na=False) for file in (made, hidden / "sample.csv"))
    facts = json.loads((hidden / "facts.json").read_text())
    if list(table.columns) != list(sample.columns) or list(table.iloc[:, 0]) != list(sample.iloc[:, 0]):
        return [f"other columns or ids than the sample's: {table.head()}"]
    values = table.iloc[:, 1:].stack()
    if facts["values"] in ("probability", "number"):
        numbers = pd.to_numeric(values)
        top = 1 if facts["values"] == "probability" else float("inf")
        return [] if numbers.between(0, top).all() and numbers.nunique() > 1 else [f"strange values: {values.head()}"]
    several = facts["values"] in ("labels", "ranking")
    names = {name for value in values for name in (value.split(" ") if several else [value])}
    return [f"strange labels: {names - set(facts['allowed'])}"] if names - set(facts["allowed"]) else []
