"""Find and create run folders."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from kagglekit.runs.folder import Run
from kagglekit.runs.place import RUNS
from kagglekit.system.errors import UserError, listing, unknown

HINT = "list all runs: kagglekit history"


def create_run(root: Path, competition: str, label: str, now: datetime) -> Run:
    """Make a new, empty run folder ``root/COMPETITION/DATE-TIME-LABEL``; an existing one is never reused.

    Raises:
        UserError: The folder cannot be made.
    """
    stem = f"{now:%Y%m%d-%H%M%S}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', label)}"
    for suffix in ["", *(f"-{i}" for i in range(2, 1000))]:
        folder = root / competition / (stem + suffix)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.exists():  # a file is in the way
                raise UserError(
                    f"cannot create {folder}: a file has that name", "choose another place with --out DIR"
                ) from None
            continue
        except OSError as error:
            raise UserError(
                f"cannot create {folder}: {error.strerror}", "choose another place with --out DIR"
            ) from None
        return Run(folder)
    raise UserError(f"{root / competition} holds 1,000 runs named {stem}", "choose another --name")


def all_runs(root: Path, competition: str | None = None) -> list[Run]:
    """Return the runs below `root`, the oldest first by the times in their folders' names, then by their recipes'.

    Args:
        root: Where runs are.
        competition: List only this competition's runs.
    """
    files = root.glob(f"{competition or '*'}/*/{Run(root).recipe_file.name}")
    return [Run(file.parent) for file in sorted(files, key=_age)]


def _age(recipe: Path) -> tuple[str, int]:
    second = recipe.parent.name[: len("20261231-235959")]  # of two runs in one, the name says not which came first
    return second, recipe.stat().st_mtime_ns


def submitted_runs(root: Path) -> list[Run]:
    """Return the folders below `root` with a record of uploads to Kaggle, by their paths."""
    return [Run(file.parent) for file in sorted(root.glob(f"*/*/{Run(root).score_file.name}"))]


def find_run(text: str, root: Path = RUNS, competition: str | None = None) -> Run:
    """Find a run by its path, its folder's name, a unique prefix of it, ``latest``, or a competition: its latest run.

    A name may also be as narrow terminals show it, with ``...`` for its middle.

    Args:
        text: What the user typed.
        root: Where runs are.
        competition: Search only this competition's runs.

    Raises:
        UserError: No run matches, or several do.
    """
    if Run(Path(text)).recipe_file.exists():
        return Run(Path(text))
    folders = [run.folder for run in all_runs(root, competition)]
    if "/" in text and Path(text).exists():
        raise UserError(f"{text} is not the folder of a run: it has no {Run(root).recipe_file.name}", HINT)
    if not folders:
        raise UserError(
            f"no runs in {(root / (competition or '')).resolve()}",
            f"start one: kagglekit run {competition or 'COMPETITION'}, or pass their folder: --out DIR",
        )
    if text == "latest":
        return Run(folders[-1])
    start, _, end = text.partition("...")
    found = [f for f in folders if f.name == text]
    found = found or [f for f in folders if f.name.startswith(start) and f.name.endswith(end)]
    found = found or [f for f in folders if f.parent.name == text][-1:]
    if len(found) > 1:
        raise UserError(f"{text!r} matches several runs: {listing([f.name for f in found])}", "use a longer prefix")
    if not found:
        raise UserError(unknown("run", text, [f.name for f in folders[-10:]] + ["latest"]), HINT)
    return Run(found[0])
