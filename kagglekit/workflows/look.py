"""Summarize a competition's images, in text and plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kagglekit.data.location import check_given
from kagglekit.data.sample import asked_sample
from kagglekit.data.table import read_table
from kagglekit.eda.summary import show_summary
from kagglekit.eda.target_of import target_of
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.planning.choose import auto_preset
from kagglekit.planning.make import find_data
from kagglekit.planning.overrides import apply_overrides
from kagglekit.planning.wrong_folder import pointing_elsewhere
from kagglekit.system.display.console import Display
from kagglekit.types.competition import Competition
from kagglekit.types.download import DownloadOptions
from kagglekit.types.recipe import Recipe


def look(
    competition: str,
    data: Path | None,
    display: Display,
    *,
    plugins: Sequence[str] = (),
    sample: Path | None = None,
    plots: Path | None = None,
    preset: str | None = "auto",
    settings: Sequence[str] = (),
) -> Path | None:
    """Show the targets, counts, sizes, near-duplicates and anomalies of a competition's images.

    Args:
        competition: Its name or plugin file.
        data: The data folder; None for the usual place.
        display: Shows the text.
        plugins: Further plugin files.
        sample: The sample submission; None to look for it.
        plots: The folder for plots; None for ``pictures/NAME``.
        preset: The preset whose stages are drawn; None for text alone, which does not look for near-duplicates.
        settings: Changes of its recipe, ``KEY=VALUE``.

    Returns:
        The folder of the plots; None without plots.

    Raises:
        UserError: There are no data, the plugin's image table is invalid, or a setting does not fit.
    """
    loaded = load(competition, files=plugins)
    for line in loaded.warnings:
        display.warn(line)
    hooks = Hooks(loaded, display.warn)
    facts = hooks.competition()
    if data is not None:
        check_given(data, facts, loaded.competition)
    recipe = _recipe(hooks, facts, preset, settings) if preset else None  # what is misspelt is refused first
    folder = find_data(hooks, facts, loaded.competition, data, DownloadOptions(display))
    if sample:
        asked_sample(folder, sample)
    with display.status("reading the labels"), pointing_elsewhere(hooks, folder):
        table, task, warnings = read_table(hooks, facts, folder)
    display.report(f"{facts.title}: {len(table):,} images of {task.describe()} in {folder}")
    target = target_of(task, table)
    headers = show_summary(target, folder, hooks, display, sample)
    for warning in warnings:
        display.warn(warning)
    if recipe is None:
        return None
    with display.status("loading torch for the plots"):
        from kagglekit.eda.gallery import draw_all
    place = plots or Path("pictures") / loaded.competition
    draw_all(target, headers, hooks, recipe, place, display)
    display.report(f"plots: {place}")
    return place


def _recipe(hooks: Hooks, facts: Competition, preset: str, settings: Sequence[str]) -> Recipe:
    """Return a preset's recipe with the settings applied; names are only checked where there are settings."""
    recipe = hooks.recipe(auto_preset("auto") if preset == "auto" else preset)
    if settings:
        recipe = apply_overrides(recipe, settings)
        hooks.check_names(recipe, facts)
        hooks.check_augmentations(recipe)
    return recipe
