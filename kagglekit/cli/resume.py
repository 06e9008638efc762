"""``kagglekit resume``."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import click

from kagglekit.cli.options import data_option, json_option, out_option, plugin_option


@click.command()
@click.argument("run")
@data_option("Data folder, if it was moved.")
@plugin_option()
@out_option()
@json_option()
def resume(run: str, data: Path | None, plugin: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Resume RUN, which was interrupted or failed, from its last checkpoint.

    RUN is a path, the name of a run folder, a unique prefix of it, or latest. A finished run is not changed.
    """
    from kagglekit.hooks.trust import plugins_named
    from kagglekit.runs.lookup import find_run
    from kagglekit.system.console import for_people

    folder, display = find_run(run, out), for_people(as_json)
    with display.console.status("loading torch and timm") if display.console.is_terminal else nullcontext():
        from kagglekit.workflows import start
    with plugins_named(plugin):
        finished = start.resume(folder, display, data)
    if as_json:
        click.echo(json.dumps({"run": str(finished.folder), "estimate_s": None, **finished.info().to_dict()}))
