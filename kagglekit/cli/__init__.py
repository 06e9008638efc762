"""The command line: one module a command, imported when it is used, so that ``--help`` answers at once."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from kagglekit import __version__
from kagglekit.errors import UserError

COMMANDS = {  # name: (module, what it does)
    "run": ("run", "Train on a competition's images and write a checked submission."),
    "recipe": ("recipe", "Print a competition's recipe, overrides applied, without training."),
    "competitions": ("listing", "List the competitions."),
    "plugins": ("listing", "List the plugins and the hooks they answer."),
    "models": ("models", "Find timm models by name, with size, licence and exposure."),
    "look": ("look", "Check a data folder: classes, counts, sizes."),
    "cache": ("cache", "Show or clear the cache of decoded images."),
}


class _Commands(click.Group):
    """Commands that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"kagglekit.cli.{COMMANDS[name][0]}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in COMMANDS.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except UserError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(130)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="kagglekit")
def cli() -> None:
    """From an image competition to a checked submission.

    \b
    kagglekit run shapes                  the demo: no data, no account, no GPU
    kagglekit run dog-breed --data DIR    a real competition
    """  # noqa: D301
