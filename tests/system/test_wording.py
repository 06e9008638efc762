"""Messages for the command line, as notebooks show them."""

from __future__ import annotations

import pytest
from rich.console import Console

import kagglekit
from kagglekit.cli.main import COMMANDS
from kagglekit.system.display.console import NotebookDisplay
from kagglekit.system.display.notebook import NotebookOutput
from kagglekit.system.display.wording import FUNCTIONS, OTHERS, in_python


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pass its data with --data DIR, or leave out --from", "pass its data with data=DIR, or leave out from_run"),
        ("the folder above: --data /work/dogs", 'the folder above: data="/work/dogs"'),
        ("try --set stage.4.grad_checkpointing=true", 'try settings={"stage.4.grad_checkpointing": True}'),
        ("write --set 'stage.*.lr=1e-3'", 'write settings={"stage.*.lr": 1e-3}'),
        ("resume it: kagglekit resume submissions/a/b", 'resume it: kagglekit.resume("submissions/a/b")'),
        ("kagglekit run pets --data data/pets", 'kagglekit.run("pets", data="data/pets")'),
        ("name it: --plugin FILE", "name it: plugins=FILE"),
        ("smaller: --size or --arch", "smaller: size or arch"),
        ("give their folder: kagglekit run ./DIR", 'give their folder: kagglekit.run("./DIR")'),
        ("`kagglekit competitions` lists them", "`!kagglekit competitions` lists them"),
        ("or run kagglekit download pets --data DIR", "or run !kagglekit download pets --data DIR"),
        ("submit with kagglekit kernel RUN --submit", "submit with !kagglekit kernel RUN --submit"),
        ("kagglekit models PATTERN", "!kagglekit models PATTERN"),
        ("list all runs: kagglekit history", "list all runs: kagglekit.history()"),
        ("kagglekit history lists your runs", "kagglekit.history() lists your runs"),
        (
            "left out with kagglekit run --skip-bad-images: a.jpg",
            "left out with kagglekit.run(skip_bad_images=True): a.jpg",
        ),
        ("without torchrun: kagglekit run ... --gpus 2", "without torchrun: kagglekit.run(..., gpus=2)"),
        ("reinstall it (pip install --upgrade six), and", "reinstall it (!pip install --upgrade six), and"),
        ("retry with kagglekit report", "retry with kagglekit.report()"),
        ("name more: --set 'zoo=[\"a\", ...]'", 'name more: settings={"zoo": ["a", ...]}'),
        ("try --set tta=0.", 'try settings={"tta": 0}.'),
        ("here, without --on, -n and --gpus", "here, without on, workers and gpus"),
        ("it needs --folds K: kagglekit is not asked", "it needs folds=K: kagglekit is not asked"),
        ("two --- dashes - and a-b", "two --- dashes - and a-b"),
    ],
)
def test_options_become_keywords(text: str, shown: str) -> None:
    assert in_python(text) == shown


def test_every_command_is_a_function_or_one_of_the_others() -> None:
    assert {*FUNCTIONS, *OTHERS} == COMMANDS.keys()
    assert all(callable(getattr(kagglekit, name.replace("-", "_"))) for name in FUNCTIONS)


def test_lines_that_are_shown_in_a_cell_name_keywords_as_well() -> None:
    shown: list[str] = []
    output = NotebookOutput(None)
    output._publish = lambda live: shown.append(output._plain[-1])  # type: ignore[method-assign]
    display = NotebookDisplay(Console(), output)
    display.report("hint: to change it: kagglekit new dogs --from-data data/dogs, or --folds 3")
    display.warn("cannot write the report; retry with kagglekit report")
    display.table(("a name",), [("--folds",)])
    assert shown[:2] == [
        "hint: to change it: !kagglekit new dogs --from-data data/dogs, or folds=3",
        "warning: cannot write the report; retry with kagglekit.report()",
    ]
    assert "--folds" in shown[-1]
