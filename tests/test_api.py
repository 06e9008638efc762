"""The Python interface: the same options as the command line, and help for words of other tools."""

from __future__ import annotations

import importlib
import inspect
import io
from pathlib import Path

import click
import pandas as pd
import pytest
from rich.console import Console

import kagglekit
from kagglekit.cli.blend import blend
from kagglekit.cli.look import look
from kagglekit.cli.lr_find import lr_find
from kagglekit.cli.report import report
from kagglekit.cli.resume import resume
from kagglekit.cli.run import run
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.hooks.names import check_names
from kagglekit.planning.overrides import apply_overrides
from kagglekit.planning.synonyms import WORDS, keyword_hint, option_hint
from kagglekit.runs.folder import Run
from kagglekit.system.console import Display
from kagglekit.system.errors import UsageError
from kagglekit.system.text_table import wrapped

NAMES = {"plugin": "plugins"}  # keywords for what an option may be given several times
LEFT_OUT = {
    "run": {"as_json", "first_failure"},  # maxfail=1
    "resume": {"as_json", "first_failure", "device", "store"},  # the last two are for jobs
    "blend": {"as_json"},
    "report": {"show"},
    "look": set(),
    "lr_find": {"stages"},  # it refuses the option
}


@pytest.mark.parametrize("command", [run, resume, blend, report, look, lr_find], ids=lambda command: str(command.name))
def test_every_option_of_a_command_is_a_keyword_of_the_same_name(command: click.Command) -> None:
    name = str(command.name).replace("-", "_")
    options = {str(option.name) for option in command.params} - LEFT_OUT[name]
    keywords = inspect.signature(getattr(kagglekit, name)).parameters
    assert {NAMES.get(option, option) for option in options} == set(keywords) - {"display"}
    documented = inspect.getdoc(getattr(kagglekit, name)) or ""
    for keyword in keywords:
        assert f"\n    {keyword}: " in documented.replace("    *runs", "    runs"), keyword


def test_defaults_are_those_of_the_command_line() -> None:
    keywords = inspect.signature(kagglekit.run).parameters
    for option, usual in run.make_context("run", ["shapes"]).params.items():
        name = NAMES.get(option, option)
        if name in keywords and name != "competition":
            assert keywords[name].default == usual or not (keywords[name].default or usual), name


def test_completion_shows_the_public_names() -> None:
    names = dir(kagglekit)
    assert {"run", "resume", "predict", "look", "lr_find", "report", "blend", "history", "Run", "Recipe"} <= set(names)
    assert all(hasattr(kagglekit, name) for name in names)
    importlib.import_module("kagglekit.report.page")  # the package of the same name hides no function
    assert callable(kagglekit.report)


@pytest.mark.parametrize(
    ("keyword", "value", "hint"),
    [
        ("learning_rate", 3e-4, 'write settings={"stage.*.lr": 0.0003}'),
        ("img_size", 96, "write size=96"),
        ("model", "resnet18", "write arch='resnet18'"),
        ("dropout", 0.5, 'write settings={"drop_rate": 0.5}'),
        ("scheduler", "cosine", "write settings={\"stage.*.schedule\": 'sgdr'}"),
        ("sede", 1, "did you mean 'seed'?"),
        ("grad_checkpointing", True, 'write settings={"stage.*.grad_checkpointing": VALUE}'),
    ],
)
def test_a_wrong_keyword_is_refused_with_what_to_write(keyword: str, value: object, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        kagglekit.run("shapes", **{keyword: value})
    assert refused.value.what == f"run() has no keyword {keyword!r}"
    assert refused.value.hint.startswith(hint)


def test_every_word_leads_to_an_option_or_a_setting_that_is_there() -> None:
    hooks = Hooks(load("shapes"))
    recipe = hooks.recipe("quick")
    provided, facts = hooks.provides(), hooks.competition()
    options = {name for option in run.params for name in option.opts}
    for meaning, words in WORDS.items():
        if meaning.startswith("--"):
            assert meaning.partition(" ")[0] in options
        else:
            changed = apply_overrides(recipe, [meaning.replace("FILE", "weights.safetensors")])
            check_names(provided, changed, facts)  # as before a run: the example exists
        for word in words.split():
            assert keyword_hint(word, list(inspect.signature(kagglekit.run).parameters))
            if f"--{word}" not in options:
                assert option_hint(f"--{word}", options).startswith(f"--{word} is called --")


def test_a_log_is_a_table_of_numbers_with_the_rows_of_all_folds(tmp_path: Path) -> None:
    whole = Run(tmp_path)
    assert whole.log().empty
    for number in (1, 2, 10):
        fold = whole.fold(number)
        fold.folder.mkdir()
        fold.write_log(
            [{"stage": "head", "epoch": 1, "valid_loss": 0.5}, {"stage": "all", "epoch": 1, "valid_loss": 0}]
        )
    table = whole.log()
    assert table["fold"].tolist() == [1, 1, 2, 2, 10, 10]
    assert table.groupby("stage")["valid_loss"].mean().to_dict() == {"all": 0.0, "head": 0.5}


def test_history_without_runs_is_an_empty_table_with_its_columns(tmp_path: Path) -> None:
    table = kagglekit.history(out=tmp_path)
    assert isinstance(table, pd.DataFrame)
    assert {"valid", "valid_error", "public", "status"} <= set(table.columns)


@pytest.mark.parametrize("width", [80, 100])
def test_lines_break_between_words_and_commands_stay_whole(width: int) -> None:
    said = io.StringIO()
    display = Display(Console(file=said, force_terminal=True, color_system=None, width=width))
    command = f"kagglekit resume submissions/{'x' * 90}"
    text = f"found an interrupted run with this recipe and data, which was begun yesterday: to resume it: {command}"
    display.report(text)
    lines = said.getvalue().splitlines()
    assert lines[-1] == f"  {command}"
    assert all(len(line) <= width for line in lines[:-1])
    assert " ".join(line.strip() for line in lines) == text
    assert wrapped("short", width) == "short"
