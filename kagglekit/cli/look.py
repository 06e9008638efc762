"""`kagglekit look`: summarize a competition's images."""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit.cli.options import (
    data_option,
    further_plugins_option,
    pictures_option,
    preset_option,
    sample_option,
    settings_option,
)


@click.command()
@click.argument("competition")
@data_option("Data folder, packed or not.")
@sample_option()
@further_plugins_option()
@pictures_option("the plots")
@click.option("--no-pictures", is_flag=True, help="Print text only: no plots, no search for near-duplicates.")
@preset_option("Preset whose stages are drawn.")
@settings_option()
def look(
    competition: str,
    data: Path | None,
    sample: Path | None,
    plugins: tuple[str, ...],
    pictures: Path | None,
    no_pictures: bool,
    preset: str,
    settings: tuple[str, ...],
) -> None:
    """Summarize the images of COMPETITION: targets, counts, sizes, near-duplicates, anomalies.

    COMPETITION is a name, a plugin file (./cassava.py), or a data folder (./cassava/), whose layout is then recognised.
    The plots show targets, sizes, samples, near-duplicates, and one image as each stage sees it.
    """
    from kagglekit.system.display.console import for_people

    display = for_people(False)
    with display.status(f"looking at {competition}: loading its plugin"):
        from kagglekit.authoring.from_folder import recognised
        from kagglekit.planning.request import Request
        from kagglekit.workflows.look import look as show
    asked = recognised(Request(competition, data=data, preset=preset, settings=settings, plugins=plugins), display)
    drawn = None if no_pictures else preset
    show(
        asked.competition,
        asked.data,
        display,
        plugins=plugins,
        sample=sample,
        plots=pictures,
        preset=drawn,
        settings=settings,
    )
