"""`kagglekit report`: write a run's report again."""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit.cli.options import data_option, file_option, out_option, plugin_option


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@data_option("Data folder, if it moved.")
@plugin_option()
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@file_option("Of a comparison; default comparison.html in --out DIR.")
@out_option()
def report(
    runs: tuple[str, ...], data: Path | None, plugin: tuple[str, ...], show: bool, file: Path | None, out: Path
) -> None:
    """Write RUN's report.html again: scores, curves, and the images predicted wrongly.

    Two to five runs of a competition are compared on one page: their scores, the settings that differ, their curves,
    and the images whose loss changed most. All are compared with the first one.
    """
    from kagglekit.commands import report as command
    from kagglekit.runs.lookup import find_run
    from kagglekit.system.display.console import for_people

    page = command.report([find_run(run, out) for run in runs], data, plugin, file, out, for_people(False))
    if show:
        click.launch(str(page.absolute()))
