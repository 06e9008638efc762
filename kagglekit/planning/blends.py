"""Check a blend before anything slow: its runs, its ensemble, its data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kagglekit.data.location import check_given
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_for
from kagglekit.runs.loaded import LoadedRun
from kagglekit.runs.lookup import find_run
from kagglekit.system.errors import UserError, listing
from kagglekit.types.predictions import difference


def check_blend(texts: Sequence[str], ensemble: str, data: Path | None, out: Path) -> list[LoadedRun]:
    """Read the runs to blend.

    Args:
        texts: Paths, names, or unique prefixes of names.
        ensemble: How to combine their members.
        data: The data folder; None for the first run's.
        out: Folder of all runs.

    Raises:
        UserError: They are not several finished runs of one competition with the same classes, no plugin provides the
            ensemble, or the data folder does not exist.
    """
    runs = [LoadedRun.read(find_run(text, out)) for text in texts]
    check_runs(runs)
    first = runs[0]
    hooks = Hooks(load_for(first.info))
    hooks.check_names(first.recipe.model_copy(update={"ensemble": ensemble}), hooks.competition())
    if data is not None:
        check_given(data, hooks.competition(), first.info.competition)
    return runs


def check_runs(runs: Sequence[LoadedRun]) -> None:
    """Check that the runs are several, finished, and of one competition with the same classes."""
    names = [each.run.name for each in runs]
    if len({each.run.folder.resolve() for each in runs}) < len(names) or len(names) < 2:
        raise UserError(f"a blend needs at least two different runs, not {listing(names)}", "name each run once")
    if len(set(names)) < len(names):
        what = f"two of the runs have the same name: {listing(names)}"
        raise UserError(what, "rename a folder: a blend identifies its runs by name")
    first = runs[0]
    for each in runs:
        folder, info = each.run.folder, each.info
        if info.status != "finished" or not info.members:
            raise UserError(f"{folder} is not finished (status: {info.status})", "blend finished runs only")
        if info.competition != first.info.competition:
            what = f"{folder} is a run of {info.competition}, {first.run.folder} of {first.info.competition}"
            raise UserError(what, "blend runs of one competition")
        if (info.task, info.classes) != (first.info.task, first.info.classes):
            how = difference(info.classes, first.info.classes) or "their order differs"
            what = f"{folder} was trained on different classes than {first.run.folder}: {how}"
            raise UserError(what, "blend runs with the same classes")
