"""`kagglekit download`: download a competition's data."""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit.cli.options import data_option, max_unpacked_option, timeout_option


@click.command()
@click.argument("competition")
@data_option("Target folder; default $KAGGLEKIT_DATA/NAME, then ./data/NAME.")
@timeout_option("progress")
@click.option("--keep-archives", is_flag=True, help="Keep the archives beside the unpacked files.")
@max_unpacked_option()
def download(
    competition: str, data: Path | None, timeout: float, keep_archives: bool, max_unpacked: int | None
) -> None:
    """Download COMPETITION's data, check and unpack them.

    Resumes an interrupted download; a complete one is not requested again.
    """
    from kagglekit.hooks.calls import Hooks
    from kagglekit.hooks.manager import load
    from kagglekit.kaggle.competition_data import ensure_data, report_counts
    from kagglekit.system.display.console import for_people
    from kagglekit.types.download import DownloadOptions

    display = for_people(False)
    plugins = load(competition)
    for line in plugins.warnings:
        display.warn(line)
    hooks = Hooks(plugins, display.warn)
    options = DownloadOptions(display, timeout, keep_archives, max_unpacked)
    folder = ensure_data(hooks, plugins.competition, data, options)
    report_counts(hooks, folder, display)
    display.report(f"train on them: kagglekit run {competition}{f' --data {data}' if data else ''}")
