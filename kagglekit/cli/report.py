"""`kagglekit report`: write a run's report again."""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit.cli.options import data_option, file_option, out_option, plugin_option
from kagglekit.system.errors import UsageError, UserError


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
    from kagglekit.hooks.trust import UntrustedPlugin, plugins_named, trusted_plugins
    from kagglekit.runs.loaded import LoadedRun
    from kagglekit.runs.lookup import find_run
    from kagglekit.system.console import for_people
    from kagglekit.system.files import check_writable

    if len(runs) == 1 and file:
        raise UsageError("--file names the page of a comparison, and there is one RUN", "name two runs or more")
    several, display = [LoadedRun.read(find_run(run, out)) for run in runs], for_people(False)
    loaded = several[0]
    if data and not data.is_dir():
        raise UserError(f"the data folder {data} does not exist", "--data names the folder of the images")
    page = loaded.run.report if len(several) == 1 else file or out / "comparison.html"
    check_writable(page.parent, "choose another place with --file FILE")
    with display.status(f"writing the report of {' and '.join(each.run.name for each in several)}"):
        from kagglekit.report.page import write_page
        from kagglekit.report.pages.comparison import write_comparison
    with plugins_named(plugin):
        try:
            trusted_plugins(loaded.info.plugin, loaded.info.plugin_files)
        except UntrustedPlugin as error:
            display.warn(f"no thumbnails: {error.what}\nhint: {error.hint}")
        with display.status("reading its predictions and drawing"):
            if len(several) > 1:
                write_comparison(several, page, data)
            else:
                write_page(loaded, data)
    display.report(f"{'report' if len(several) == 1 else 'comparison'}: {page}")
    if show:
        click.launch(str(page.absolute()))
