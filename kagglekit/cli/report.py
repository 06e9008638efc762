"""`kagglekit report`: write a run's report again."""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit.cli.options import data_option, out_option, plugin_option
from kagglekit.system.errors import UserError


@click.command()
@click.argument("run", metavar="RUN")
@data_option("Data folder, if it moved.")
@plugin_option()
@click.option("--open", "show", is_flag=True, help="Open the report in the browser.")
@out_option()
def report(run: str, data: Path | None, plugin: tuple[str, ...], show: bool, out: Path) -> None:
    """Write RUN's report.html again: scores, curves, and the images predicted wrongly."""
    from kagglekit.hooks.trust import UntrustedPlugin, plugins_named, trusted_plugins
    from kagglekit.runs.loaded import LoadedRun
    from kagglekit.runs.lookup import find_run
    from kagglekit.system.console import for_people

    loaded, display = LoadedRun.read(find_run(run, out)), for_people(False)
    if data and not data.is_dir():
        raise UserError(f"the data folder {data} does not exist", "--data names the folder of the images")
    page = loaded.run.report
    with display.status(f"writing the report of {loaded.run.name}"):
        from kagglekit.report.page import write_page
    with plugins_named(plugin):
        try:
            trusted_plugins(loaded.info.plugin, loaded.info.plugin_files)
        except UntrustedPlugin as error:
            display.warn(f"no thumbnails: {error.what}\nhint: {error.hint}")
        with display.status("reading its predictions and drawing"):
            write_page(loaded, data)
    display.report(f"report: {page}")
    if show:
        click.launch(str(page.absolute()))
