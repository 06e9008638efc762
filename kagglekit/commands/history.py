"""``kagglekit history`` and `kagglekit.history`: which runs are listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kagglekit.runs.history import Entry, all_entries, read_entry
from kagglekit.runs.lookup import find_run
from kagglekit.system.errors import UserError


def listed(which: str, out: Path, warn: Callable[[str], None]) -> list[Entry]:
    """Return all runs, a competition's runs, or one run.

    Args:
        which: A competition, or a run as in `find_run`; empty for all.
        out: Folder of all runs.
        warn: Takes a line for each folder that is skipped.

    Raises:
        UserError: There is no competition with runs and no run of that name.
    """
    entries, warnings = all_entries(out)
    for warning in warnings:
        warn(warning)
    chosen = [entry for entry in entries if which in ("", entry.competition)]
    if chosen or not which:
        return chosen
    try:
        return [read_entry(find_run(which, out))]
    except UserError as error:
        there = ", ".join(sorted({entry.competition for entry in entries})) or "none"
        raise UserError(
            f"{which!r} is not a run or a competition with runs in {out.resolve()} ({error.what})",
            f"competitions with runs: {there}; list all runs: kagglekit history",
        ) from None
