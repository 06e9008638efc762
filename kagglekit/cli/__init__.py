"""The command line: one module a command, imported when it is used, so that ``--help`` answers at once."""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import Any, NoReturn

import click

from kagglekit._version import __version__
from kagglekit.system.errors import UsageError, UserError, unknown
from kagglekit.system.printable import printable_lines
from kagglekit.system.signals import Stopped

COMMANDS = {  # name: (module, what it does)
    "run": ("run", "Train on a competition's images and write a checked submission."),
    "download": ("download", "Download a competition's data, check and unpack them."),
    "submit": ("submit", "Upload a submission to Kaggle and wait for its score."),
    "leaderboard": ("leaderboard", "Show the public leaderboard, our place, and what medals need."),
    "history": ("history", "List the runs with their scores, or show what two runs differ in."),
    "resume": ("resume", "Go on with a run that was stopped, from its last checkpoint."),
    "blend": ("blend", "Combine finished runs into a new one with its own submission."),
    "recipe": ("recipe", "Print a competition's recipe, overrides applied, without training."),
    "competitions": ("listing", "List the competitions."),
    "plugins": ("listing", "List the plugins and the hooks they answer."),
    "models": ("models", "Find timm models by name, with size, licence and exposure."),
    "new": ("new", "Begin a competition's plugin from a look at its data."),
    "check": ("check", "Check a competition's plugin, part by part."),
    "predict": ("predict", "Predict the classes of new images with a finished run."),
    "report": ("report", "Make a run's report.html again."),
    "lr-find": ("lr_find", "Find learning rates for a stage, by a range test."),
    "look": ("look", "Check a data folder: classes, counts, sizes."),
    "cache": ("cache", "Show or clear the cache of decoded images."),
    "doctor": ("doctor", "Check this machine, the kaggle client and the credentials."),
}


class _Commands(click.Group):
    """Commands that are imported when they are called."""

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
            raise UsageError(unknown("command", args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in COMMANDS.items()])

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run a command and exit with its code: an error is one message, whoever found it, and no traceback.

        A bug has its traceback. No secret is shown in either.
        """
        try:
            code = super().main(*args, **{**kwargs, "standalone_mode": False})
        except UserError as error:
            _fail(str(error), error.exit_code)
        except click.ClickException as error:
            _fail(_worded(error), error.exit_code)
        except (click.Abort, KeyboardInterrupt) as error:  # click makes one of the other
            stopped = error if isinstance(error, Stopped) else error.__cause__
            click.echo(str(stopped) if isinstance(stopped, Stopped) else "stopped by Ctrl-C", err=True)
            sys.exit(stopped.exit_code if isinstance(stopped, Stopped) else 130)
        except Exception:  # nothing that a user could mend
            _fail(traceback.format_exc(), 1, "")
        sys.exit(code)


def _fail(message: str, code: int, kind: str = "error: ") -> NoReturn:
    from kagglekit.kaggle.credentials import masked

    click.echo(f"{kind}{printable_lines(masked(message))}", err=True)
    sys.exit(code)


def _worded(error: click.ClickException) -> str:
    """Word click's own errors as all others are."""
    text = error.format_message().rstrip(".")
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "kagglekit"
    return f"{text[:1].lower()}{text[1:]}\nwhat it takes: {command} --help"


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
