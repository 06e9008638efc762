"""The Python interface: the same options as the command line, and help for words of other tools."""

from __future__ import annotations

import importlib
import inspect
import io
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import kagglekit
from kagglekit.cli.blend import blend
from kagglekit.cli.keywords import checked
from kagglekit.cli.look import look
from kagglekit.cli.lr_find import lr_find
from kagglekit.cli.predict import predict
from kagglekit.cli.report import report
from kagglekit.cli.resume import resume
from kagglekit.cli.run import run
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.hooks.names import check_names
from kagglekit.notebook.request import command_of, request_of
from kagglekit.planning.overrides import apply_overrides
from kagglekit.planning.synonyms import WORDS, keyword_hint, option_hint
from kagglekit.runs.folder import Run
from kagglekit.runs.place import RUNS
from kagglekit.system.display.console import Display
from kagglekit.system.display.text_table import wrapped
from kagglekit.system.errors import UsageError, UserError

NAMES = {"plugin": "plugins"}  # keywords for what an option may be given several times
LEFT_OUT = {
    "run": {"as_json", "first_failure"},  # maxfail=1
    "resume": {"as_json", "first_failure", "device", "store"},  # the last two are for jobs
    "blend": {"as_json"},
    "report": {"show"},
    "look": set(),
    "lr_find": {"stages"},  # it refuses the option
    "predict": {"as_json", "csv", "submission", "data", "sample", "paths"},  # it returns a table
}
IN_PYTHON = {"display", "images"}


@pytest.mark.parametrize(
    "command", [run, resume, blend, report, look, lr_find, predict], ids=lambda command: str(command.name)
)
def test_every_option_of_a_command_is_a_keyword_of_the_same_name(command: click.Command) -> None:
    name = str(command.name).replace("-", "_")
    options = {str(option.name) for option in command.params} - LEFT_OUT[name]
    keywords = inspect.signature(getattr(kagglekit, name)).parameters
    assert {NAMES.get(option, option) for option in options} == set(keywords) - IN_PYTHON
    documented = inspect.getdoc(getattr(kagglekit, name)) or ""
    for keyword in keywords:
        assert f"\n    {keyword}: " in documented.replace("    *runs", "    runs"), keyword


def test_defaults_are_those_of_the_command_line() -> None:
    keywords = inspect.signature(kagglekit.run).parameters
    for option, usual in run.make_context("run", ["shapes"]).params.items():
        name = NAMES.get(option, option)
        if name in keywords and name != "competition":
            assert keywords[name].default == usual or not (keywords[name].default or usual), name


def test_the_command_line_of_a_call_asks_for_the_same() -> None:
    given: dict[str, object] = {
        "limit": 60,
        "epochs": 1,
        "stages": "4",
        "size": 64,
        "drop": Path("wrong.csv"),
        "data": Path("my data"),
        "settings": {"tta": 1, "stage.4.lr": "auto"},
        "from_run": Run(Path("runs/1")),
        "group_duplicates": True,
        "plugins": ("a.py", "b.py"),
        "disable": ("optuna",),
        "workers": 2,
        "maxfail": 1,
    }
    usual = {name: keyword.default for name, keyword in inspect.signature(kagglekit.run).parameters.items()}
    program, name, *arguments = command_of({**usual, **given, "competition": "shapes"}, usual)
    assert (program, name) == ("kagglekit", "run")
    found, plain = (run.make_context("run", words).params for words in (arguments, ["shapes"]))
    expected = {**given, "settings": ("tta=1", "stage.4.lr=auto"), "from_run": str(Path("runs/1"))}
    assert {key: value for key, value in found.items() if value != plain[key]} == expected


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
        ("set", {"tta": 1}, "did you mean 'settings'?"),
        ("n", 2, "did you mean 'workers'?"),
        ("json", True, "its keywords: data, "),
        ("grad_checkpointing", True, 'write settings={"stage.*.grad_checkpointing": VALUE}'),
    ],
)
def test_a_wrong_keyword_is_refused_with_what_to_write(keyword: str, value: object, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        kagglekit.run("shapes", **{keyword: value})
    assert refused.value.what == f"run() has no keyword {keyword!r}"
    assert refused.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("run", (("shapes", "resnet18"), {}), "run(): too many positional arguments"),
        ("run", (("shapes",), {"settings": ["a"]}), "settings is a list, not a dict"),
        ("run", (("shapes",), {"settings": "tta=1"}), "settings is a str, not a dict"),
        ("run", (("shapes",), {"stages": 9}), "invalid --stages '9': the recipe has stages 1 to "),
        ("run", ((5,), {}), "unknown competition '5'"),
        ("run", ((None,), {}), "no competition given"),
        ("run", ((["shapes"],), {}), "invalid value for competition: expected text or a number, not list"),
        ("predict", (("latest",), {}), "predict(): missing a required argument: 'images'"),
        ("predict", (("latest", "cat.jpg"), {"top": 0}), "invalid value for top: 0 is not in the range x>=1"),
        ("predict", (("latest", "cat.jpg"), {"top": "a"}), "invalid value for top: 'a' is not a whole number"),
        ("run", (("shapes",), {"limit": 0}), "invalid value for limit: 0 is not in the range x>=1"),
        ("run", (("shapes",), {"repeats": 0}), "invalid value for repeats: 0 is not in the range x>=1"),
        ("run", (("shapes",), {"only_fold": 0}), "invalid value for only_fold: 0 is not in the range x>=1"),
        ("run", (("shapes",), {"save_every": -1}), "invalid value for save_every: -1.0 is not in the range x>=0"),
        ("run", (("shapes",), {"retries": -1}), "invalid value for retries: -1 is not in the range x>=0"),
        ("run", (("shapes",), {"size": 1.5}), "invalid value for size: '1.5' is not a whole number"),
        ("run", (("shapes",), {"epochs": True}), "invalid value for epochs: 'True' is not a whole number"),
        ("run", (("shapes",), {"dry_run": "maybe"}), "invalid value for dry_run: 'maybe' is neither true nor false"),
        ("run", (("shapes",), {"max_unpacked": "much"}), "invalid value for max_unpacked: 'much' is no size"),
        ("run", (("shapes",), {"plugins": "x.py"}), "the plugin file x.py does not exist"),
        ("run", (("shapes",), {"hours": "x", "on": "kaggle"}), "invalid value for hours: 'x' is not a number"),
        ("run", (("shapes",), {"display": False}), "display is a bool, not a Display"),
        ("blend", ((["a", "b"],), {}), "invalid value for runs: expected text or a number, not list"),
        ("blend", ((), {"runs": ["a", "b"]}), "blend() has no keyword 'runs'"),
    ],
)
def test_a_wrong_value_is_refused_like_on_the_command_line(
    name: str, given: tuple[tuple[object, ...], dict[str, object]], message: str
) -> None:
    with pytest.raises(UserError) as refused:
        getattr(kagglekit, name)(*given[0], **given[1])
    assert refused.value.what.startswith(message)


def test_a_value_is_taken_as_on_the_command_line(tmp_path: Path) -> None:
    given = {
        "threads": "2",
        "size": np.int64(96),
        "max_unpacked": "20GB",
        "workers": "auto",
        "plugins": tmp_path / "x.py",
        "stages": 3,
        "full": Run(tmp_path),
        "settings": {"weights": tmp_path / "x.pt", "tta": np.int64(2)},
        "arch": None,
        "out": None,
    }
    arguments = checked("run", inspect.signature(kagglekit.run), ["shapes"], given).arguments
    request = request_of(
        {name: one.default for name, one in inspect.signature(kagglekit.run).parameters.items()} | arguments
    )
    assert (request.threads, request.size, request.max_unpacked, request.stages) == (2, 96, 20 * 10**9, "3")
    assert (request.plugins, request.full, request.out) == ((str(tmp_path / "x.py"),), str(tmp_path), RUNS)
    assert request.settings == (f"weights={tmp_path / 'x.pt'}", 'tta="2"')
    assert (request.jobs.on, request.jobs.workers) == ("local", None)


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
