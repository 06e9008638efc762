"""`kagglekit download`: from nothing to labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagglekit.cli.options import data_option, timeout_option

if TYPE_CHECKING:
    from kagglekit.hooks.calls import Hooks


@click.command()
@click.argument("competition")
@data_option("Target folder; default $KAGGLEKIT_DATA/NAME, then ./data/NAME.")
@timeout_option("progress")
@click.option("--keep-archives", is_flag=True, help="Keep the archives beside what was unpacked from them.")
def download(competition: str, data: Path | None, timeout: float, keep_archives: bool) -> None:
    """Download COMPETITION's data, check and unpack them.

    A download that was stopped goes on where it stopped; one that is complete is not asked for again.
    """
    from kagglekit.data.location import data_place, existing_data, is_untidy
    from kagglekit.hooks.calls import Hooks
    from kagglekit.hooks.manager import load
    from kagglekit.system.console import for_people
    from kagglekit.types.download import DownloadOptions

    display = for_people(False)
    plugins = load(competition)
    for line in plugins.warnings:
        display.warn(line)
    hooks = Hooks(plugins, display.warn)
    facts = hooks.competition()
    folder = None if data else existing_data(facts, plugins.competition)
    if folder and not is_untidy(folder):
        display.report(f"the data are in {folder}")
    else:
        place = data.absolute() if data else data_place(plugins.competition)
        folder = hooks.download(facts, place, DownloadOptions(display, timeout, keep_archives))
    _count(hooks, folder)
    display.report(f"train on them: kagglekit run {competition}{f' --data {data}' if data else ''}")


def _count(hooks: Hooks, folder: Path) -> None:
    """Say what the image table holds: the proof that the plugin can read what was downloaded."""
    from kagglekit.data.table import check_table
    from kagglekit.system.console import for_people
    from kagglekit.types.image_table import classes_of

    table, warnings = check_table(hooks.labels(folder), folder)
    display = for_people(False)
    for line in warnings:
        display.warn(line)
    test = int((table["split"] == "test").sum())
    display.report(f"{len(table) - test:,} labelled images of {len(classes_of(table))} classes, {test:,} test images")
