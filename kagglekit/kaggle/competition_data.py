"""Find or download the data of a competition, and count what its plugin reads from them."""

from __future__ import annotations

from pathlib import Path

from kagglekit.data.location import data_place, existing_data, is_untidy
from kagglekit.data.packed_folder import see_through
from kagglekit.data.table import read_table
from kagglekit.hooks.calls import Hooks
from kagglekit.system.display.console import Display
from kagglekit.types.download import DownloadOptions


def ensure_data(hooks: Hooks, name: str, asked: Path | None, options: DownloadOptions) -> Path:
    """Return the data folder of a competition; download it if it does not exist or is not complete.

    Args:
        hooks: The competition's.
        name: The competition's name.
        asked: The folder that the user named; None for the usual places.
        options: Of the download.

    Raises:
        UserError: The download fails.
    """
    competition = hooks.competition()
    existing = None if asked else existing_data(competition, name)
    if existing and not is_untidy(existing):
        options.display.report(f"the data are in {existing}")
        return existing
    return hooks.download(competition, asked.absolute() if asked else data_place(name), options)


def report_counts(hooks: Hooks, folder: Path, display: Display) -> None:
    """Show how many images and classes the plugin finds in a data folder: the proof that it can read them.

    Raises:
        UserError: It cannot.
    """
    folder = see_through(folder, display)
    table, task, warnings = read_table(hooks, hooks.competition(), folder)
    for line in warnings:
        display.warn(line)
    test = int((table["split"] == "test").sum())
    display.report(f"{len(table) - test:,} labelled images of {task.describe()}, {test:,} test images")
