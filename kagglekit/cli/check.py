"""`kagglekit check`: the conformance check of a competition's plugin."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from kagglekit.cli.options import data_option, disable_option, further_plugins_option, json_option


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
    from kagglekit.authoring.check import examine
    from kagglekit.authoring.findings import describe_finding
    from kagglekit.authoring.from_folder import competition_of
    from kagglekit.system.console import for_people

    plugin, data = competition_of(plugin, data, for_people(as_json))
    findings = examine(plugin, data, disable, plugins)
    problems = sum(finding.status == "problem" for finding in findings)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            click.echo(describe_finding(finding))
        click.echo(f"{problems} problem{'s' * (problems != 1)}" if problems else "no problems")
    raise SystemExit(1 if problems else 0)
