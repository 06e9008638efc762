"""`kagglekit doctor`: check whether this machine can train and reach Kaggle, with a hint for each problem."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kagglekit.cli.options import json_option
from kagglekit.system.display.text_table import wrapped

if TYPE_CHECKING:
    from kagglekit.system.check import Check
    from kagglekit.system.display.console import Display

STYLES = {"ok": "green", "warning": "yellow", "problem": "red", "skipped": "dim"}
INDENT = " " * 9


@click.command()
@click.option("--offline", is_flag=True, help="Do not check with Kaggle whether it accepts the credentials.")
@json_option("Print the checks as JSON.")
@click.pass_context
def doctor(ctx: click.Context, offline: bool, as_json: bool) -> None:
    """Check this machine: versions, device, disk, the kaggle client, credentials, proxies.

    Exits with 1 if there is a problem. Prints no secret.
    """
    from kagglekit.doctor import examine
    from kagglekit.system.display.console import for_people

    display, found = for_people(as_json), []
    for check in examine(offline):
        found.append(check)
        if not as_json:
            _show(check, display)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in found], indent=1))
    problems = sum(check.status == "problem" for check in found)
    if problems:
        display.report(f"{problems} problem{'s' * (problems != 1)}")
        ctx.exit(1)


def _show(check: Check, display: Display) -> None:
    """Print a check, and its hint below."""
    shown = wrapped(f"{check.status:8} {check.name}: {check.found}", display.width, len(INDENT))
    display.console.print(f"{check.status:8}", style=STYLES[check.status], end="")
    display.report(shown[8:])
    for line in check.hint.splitlines():
        display.report(f"{INDENT}{line}")
