"""`kagglekit check`: the conformance check of a competition's plugin."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagglekit.cli.options import data_option, disable_option, further_plugins_option, json_option
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kagglekit.authoring.findings import Finding
    from kagglekit.system.display.console import Display


@click.command()
@click.argument("plugin")
@data_option("Data folder, packed or not; nothing is downloaded.")
@further_plugins_option()
@disable_option()
@json_option("Print the findings as JSON.")
def check(plugin: str, data: Path | None, plugins: tuple[str, ...], disable: tuple[str, ...], as_json: bool) -> None:
    """Check each part of PLUGIN: a competition's name, a plugin file (./cassava.py), or a data folder (./cassava/).

    Check hooks and facts, each preset's recipe, the labels and the form of the CSV. Train two steps of each stage with
    random weights on the CPU, twice, and compare. Exit with code 1 if there is a problem.
    """
    from kagglekit.system.display.console import for_people

    display = for_people(as_json)
    if data and not data.is_dir():
        raise UserError(f"the data folder {data} does not exist", "--data names the folder of the unpacked download")
    with display.status(f"checking {plugin}"):
        from kagglekit.authoring.check import examination
        from kagglekit.authoring.from_folder import competition_of
    plugin, data = competition_of(plugin, data, display)
    findings = _shown(examination(plugin, data, disable, plugins), display, as_json)
    problems = sum(finding.status == "problem" for finding in findings)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        click.echo(f"{problems} problem{'s' * (problems != 1)}" if problems else "no problems")
    raise SystemExit(1 if problems else 0)


def _shown(steps: Iterator[Finding | str], display: Display, as_json: bool) -> list[Finding]:
    """Print each finding as it is found, unless they are printed as JSON, and what is being done; return them."""
    from kagglekit.authoring.findings import INDENT, Finding, describe_finding

    findings = []
    with ExitStack() as status:
        for each in steps:
            status.close()  # before a line is printed
            if isinstance(each, Finding):
                findings.append(each)
                if not as_json:
                    display.report(describe_finding(each), INDENT)
            else:
                status.enter_context(display.status(each))
    return findings
