"""The group of all commands: each module is imported when its command is used, so that ``--help`` is fast."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any, NoReturn

import click

from kagglekit._version import __version__
from kagglekit.cli.sections import write_sections
from kagglekit.planning.synonyms import option_hint
from kagglekit.system.display.printable import printable_lines
from kagglekit.system.errors import UsageError, UserError, described, unknown
from kagglekit.system.job_process import end_with_starter, is_launched, tell_launcher
from kagglekit.system.limits import wait_passively
from kagglekit.system.process import leave, process_place
from kagglekit.system.signals import Stopped

SECTIONS = {  # of `kagglekit --help`; a command: its module, what it does
    "Train": {
        "run": ("run", "Train on a competition's images and write a checked submission."),
        "resume": ("resume", "Resume an interrupted run from its last checkpoint."),
        "sweep": ("sweep", "Search over recipes: trials are runs, and the winner is scored again."),
        "blend": ("blend", "Combine finished runs into a new run with its own submission."),
        "recipe": ("recipe", "Print a competition's recipe with overrides applied, without training."),
        "lr-find": ("lr_find", "Find a stage's learning rate with a range test."),
        "models": ("models", "Find timm models by name, with size, licence and pretraining data."),
    },
    "Data": {
        "competitions": ("listing", "List the installed competitions."),
        "look": ("look", "Summarize a competition's images: classes, counts, sizes, duplicates."),
    },
    "Kaggle": {
        "download": ("download", "Download, check and unpack a competition's data."),
        "submit": ("submit", "Upload a submission to Kaggle and wait for its score."),
        "kernel": ("kernel", "Predict and submit on Kaggle's own machines, as code competitions demand."),
        "leaderboard": ("leaderboard", "Show the public leaderboard, your place and the medal thresholds."),
    },
    "Results": {
        "history": ("history", "List runs with their scores, or compare two runs."),
        "report": ("report", "Write a run's report.html again."),
        "predict": ("predict", "Predict the classes of new images with a finished run."),
        "export": ("export", "Write a run's network as an ONNX file for other programs."),
    },
    "Authoring": {
        "new": ("new", "Create a competition plugin from a data folder."),
        "check": ("check", "Check a competition plugin part by part."),
        "plugins": ("listing", "List the installed plugins and the hooks they implement."),
    },
    "Machine": {
        "doctor": ("doctor", "Check this machine, the kaggle client and the credentials."),
        "cache": ("cache", "Show the cache of decoded images, and remove what is old or too much."),
    },
}
COMMANDS = {name: command for commands in SECTIONS.values() for name, command in commands.items()}


SHARED = ("run", "resume")  # commands that several processes may do together
CTRL_C = "interrupted by Ctrl-C"


class _Commands(click.Group):
    """Commands, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"kagglekit.cli.{COMMANDS[name][0]}"), name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            raise UsageError(unknown("command", args[0], COMMANDS), "kagglekit --help says what each does")
        if process_place().world > 1 and args[0] not in SHARED:
            raise UsageError(f"{args[0]} is done by one process: only {' and '.join(SHARED)} work under torchrun")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_sections(
            formatter,
            {title: [(name, text) for name, (_, text) in commands.items()] for title, commands in SECTIONS.items()},
        )

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run a command and exit with its code.

        An error that the user can fix is one message without a traceback, a bug a traceback. Neither shows a secret.
        """
        if not sys.warnoptions:
            warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # of odd metadata in images
        try:
            code = super().main(*args, **{**kwargs, "standalone_mode": False})
        except UserError as error:
            _fail(described(error.what, error.hint), error.exit_code, error.of_all)
        except click.ClickException as error:
            words = kwargs.get("args") or (args[0] if args else sys.argv[1:])
            _fail(_usage_message(error, list(words)), error.exit_code, of_all=True)
        except (click.Abort, KeyboardInterrupt) as error:  # click turns the second into the first
            stopped = error if isinstance(error, Stopped) else error.__cause__
            message, code = (str(stopped), stopped.exit_code) if isinstance(stopped, Stopped) else (CTRL_C, 130)
            if is_launched():  # the process that asked it to stop says so
                sys.exit(code)
            _fail(message, code, of_all=True)
        except Exception as error:
            if isinstance(error, OSError) and _is_of_output(error):
                from kagglekit.system.display.console import output_error

                full = output_error(error)
                _fail(described(full.what, full.hint), full.exit_code)
            _fail(traceback.format_exc(), 1)  # a bug
        sys.exit(code)


def _is_of_output(error: OSError) -> bool:
    """Return whether an error was raised while a command, or click itself, printed to standard output."""
    from rich.console import Console

    printing = {click.echo.__code__, Console.print.__code__}
    return any(frame.f_code in printing for frame, _ in traceback.walk_tb(error.__traceback__))


def _fail(message: str, code: int, of_all: bool = False) -> NoReturn:
    """Print a message without the secrets in it, and exit.

    Args:
        message: The message.
        code: The exit code.
        of_all: Whether all processes that share a training may have the same to say: then the first of a machine does.
    """
    from kagglekit.kaggle.credentials import masked

    text = printable_lines(masked(message))
    if of_all and process_place().local:
        sys.exit(code)
    if is_launched():
        tell_launcher(text)
        sys.exit(code)
    if sys.stderr is not None and sys.stderr.isatty():
        from kagglekit.system.display.text_table import wrapped

        text = wrapped(text, shutil.get_terminal_size().columns)
        if text.startswith("error:") and not os.environ.get("NO_COLOR"):
            first, *more = text.splitlines()
            text = "\n".join([click.style(first, fg="red"), *more])
    click.echo(text, err=True)
    sys.exit(code)


def _usage_message(error: click.ClickException, words: list[str]) -> str:
    """Return click's own message in the form of all others; an option known by another name has its own in the hint.

    Args:
        error: What click refuses.
        words: The command line.
    """
    text = in_plain_words(error.format_message())
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "kagglekit"
    hint = ""
    if isinstance(error, click.NoSuchOption) and error.ctx:
        there = {name for parameter in error.ctx.command.params for name in parameter.opts}
        if hint := option_hint(error.option_name, there, _value_of(error.option_name, words)):
            text = f"no such option {error.option_name}"  # click's own guess would mislead
    if isinstance(error, click.MissingParameter) and error.param and error.param.name in ("run", "runs"):
        hint = f"name a run; the newest is called latest: {command} latest"
    return described(text, hint or f"see {command} --help")


def in_plain_words(text: str) -> str:
    """Return what click says about a value, in the form of all other messages."""
    text = re.sub(r"is not a valid boolean\b.*", "is neither true nor false", text.rstrip("."))
    for kind, wanted in (("integer", "a whole number"), ("float", "a number")):
        text = re.sub(rf"is not a valid {kind}( range)?\b", f"is not {wanted}", text)
    return f"{text[:1].lower()}{text[1:]}"


def _value_of(option: str, words: list[str]) -> str:
    """Return what follows an option on the command line; empty if that is another option, or nothing."""
    for word, then in zip(words, [*words[1:], "--"], strict=True):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option:
            return "" if then.startswith("--") else then
    return ""


@click.command(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="kagglekit")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """From an image competition to a checked submission.

    \b
    kagglekit run shapes                  the demo: no data, no account, no GPU
    kagglekit run dog-breed --data DIR    a real competition
    """  # noqa: D301
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


def command() -> NoReturn:
    """Run the command line as a process of its own, and end the process."""
    end_with_starter()
    wait_passively()  # before any command loads torch
    if process_place().rank:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # the first process speaks for all
    try:
        cli(prog_name="kagglekit")
    except SystemExit as ended:
        leave(ended.code if isinstance(ended.code, int) else int(ended.code is not None))
    raise AssertionError("click always exits")
