"""`kagglekit look`: summarize a competition's images."""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit.cli.options import data_option, further_plugins_option, pictures_option, preset_option, sample_option


@click.command()
@click.argument("competition")
@data_option("Data folder, packed or not.")
@sample_option()
@further_plugins_option()
@pictures_option("the plots")
@click.option("--no-pictures", is_flag=True, help="Print text only: no plots, no search for near-duplicates.")
@preset_option("Preset whose stages are drawn.")
def look(
    competition: str,
    data: Path | None,
    sample: Path | None,
    plugins: tuple[str, ...],
    pictures: Path | None,
    no_pictures: bool,
    preset: str,
) -> None:
    """Summarize the images of COMPETITION: classes, counts, sizes, near-duplicates, anomalies.

    COMPETITION is a name, a plugin file (./cassava.py), or a data folder (./cassava/), whose layout is then recognised.
    The plots show class counts, sizes, samples of each class, near-duplicates, and one image as each stage sees it.
    """
    from kagglekit.authoring.from_folder import competition_of
    from kagglekit.data.table import check_table
    from kagglekit.eda.summary import show_summary
    from kagglekit.hooks.calls import Hooks
    from kagglekit.hooks.manager import load
    from kagglekit.planning.choose import auto_preset
    from kagglekit.planning.make import find_data
    from kagglekit.system.console import for_people
    from kagglekit.types.download import DownloadOptions
    from kagglekit.types.image_table import classes_of

    display = for_people(False)
    competition, data = competition_of(competition, data, display)
    loaded = load(competition, files=plugins)
    for line in loaded.warnings:
        display.warn(line)
    hooks = Hooks(loaded, display.warn)
    facts = hooks.competition()
    folder = find_data(hooks, facts, loaded.competition, data, DownloadOptions(display))
    table, warnings = check_table(hooks.labels(folder), folder)
    display.report(f"{facts.title}: {len(table):,} images of {len(classes_of(table))} classes in {folder}")
    headers = show_summary(table, folder, hooks, display, sample)
    for warning in warnings:
        display.warn(warning)
    if no_pictures:
        return
    from kagglekit.eda.gallery import draw_all

    recipe = hooks.recipe(auto_preset("auto") if preset == "auto" else preset)
    place = pictures or Path("pictures") / loaded.competition
    draw_all(table, headers, hooks, recipe, place, display)
    display.report(f"plots: {place}")
