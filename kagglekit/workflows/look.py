"""Summarize a competition's images, in text and plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kagglekit.data.table import read_table
from kagglekit.eda.summary import show_summary
from kagglekit.eda.target_of import target_of
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.planning.choose import auto_preset
from kagglekit.planning.make import find_data
from kagglekit.system.console import Display
from kagglekit.types.download import DownloadOptions


def look(
    competition: str,
    data: Path | None,
    display: Display,
    *,
    plugins: Sequence[str] = (),
    sample: Path | None = None,
    plots: Path | None = None,
    preset: str | None = "auto",
) -> None:
    """Show the targets, counts, sizes, near-duplicates and anomalies of a competition's images.

    Args:
        competition: Its name or plugin file.
        data: The data folder; None for the usual place.
        display: Shows the text.
        plugins: Further plugin files.
        sample: The sample submission; None to look for it.
        plots: The folder for plots; None for ``pictures/NAME``.
        preset: The preset whose stages are drawn; None for text alone, which does not look for near-duplicates.

    Raises:
        UserError: There are no data, or the plugin's image table is invalid.
    """
    loaded = load(competition, files=plugins)
    for line in loaded.warnings:
        display.warn(line)
    hooks = Hooks(loaded, display.warn)
    facts = hooks.competition()
    folder = find_data(hooks, facts, loaded.competition, data, DownloadOptions(display))
    table, task, warnings = read_table(hooks, facts, folder)
    display.report(f"{facts.title}: {len(table):,} images of {task.describe()} in {folder}")
    target = target_of(task, table)
    headers = show_summary(target, folder, hooks, display, sample)
    for warning in warnings:
        display.warn(warning)
    if preset is None:
        return
    from kagglekit.eda.gallery import draw_all

    recipe = hooks.recipe(auto_preset("auto") if preset == "auto" else preset)
    place = plots or Path("pictures") / loaded.competition
    draw_all(target, headers, hooks, recipe, place, display)
    display.report(f"plots: {place}")
