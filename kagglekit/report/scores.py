"""Tables of scores, of what an ensemble found, and of the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kagglekit.report.trainings import Training, title
from kagglekit.runs.folder import Run
from kagglekit.runs.info import RunInfo


@dataclass(frozen=True)
class Table:
    """A table of text: the heads, the rows."""

    heads: list[str]
    rows: list[list[str]]


def score_table(scores: Sequence[Mapping[str, Any]], first: str = "") -> Table:
    """Show scores as ``value ± standard error``.

    Args:
        scores: Rows as in run.json, with ``of`` where there is a first column.
        first: The head of that column.
    """
    keys = list(dict.fromkeys(key for row in scores for key in row if key not in ("of", "member", "views")))
    heads = [*([first] if first else []), "member", "views", *(title(key) for key in keys)]
    cells = ("of", "member", "views") if first else ("member", "views")
    rows = [
        [*(row[key] for key in cells), *("{:.4f} ± {:.4f}".format(*row[key]) if key in row else "" for key in keys)]
        for row in scores
    ]
    return Table(heads, rows)


def parts_table(run: Run, trainings: Sequence[Training]) -> Table | None:
    """Show the scores of each fold, or of each run of a blend that lies beside it; None where there are no parts."""
    names = run.info().blend_of
    if names:
        parts = [(name, Run(run.folder.parent / name).info().scores[-1:]) for name in names]
    else:
        parts = [(each.label, each.run.info().scores) for each in trainings if each.label]
    scores = [{"of": label, **row} for label, rows in parts for row in rows]
    return score_table(scores, "run" if names else "fold") if scores else None


def found_by_member(info: RunInfo) -> list[tuple[str, list[tuple[str, float]]]]:
    """Return what the ensemble found for each member: its name (``weights``), and the members with a number each."""
    found = info.fitted.items()
    return [(key, [(name, float(x)) for name, x in value.items()]) for key, value in found if isinstance(value, dict)]


def found_else(info: RunInfo) -> list[str]:
    """Word the single numbers that the ensemble found."""
    return [f"{key}: {value:.4g}" for key, value in info.fitted.items() if isinstance(value, float)]


def seeds_table(info: RunInfo) -> Table | None:
    """Show how scores scatter over seeds; None where the run was not repeated."""
    spread = info.repeats
    if not spread:
        return None
    heads = ["over seeds", "mean", "deviation", "error over images, paired", "smallest difference to believe"]
    keys = ("mean", "deviation", "paired_error", "smallest")
    names = [title(f"valid_{each.name}") for each in spread.scores]
    values = [[f"{getattr(each, key):.4f}" for key in keys] for each in spread.scores]
    return Table(heads, [[name, *cells] for name, cells in zip(names, values, strict=True)])


def picked_stages(run: Run) -> list[str]:
    """Name the stages whose epoch was picked on the images of the valid scores; of a blend, those of its runs."""
    info = run.info()
    if names := info.blend_of:
        parts = [Run(run.folder.parent / name) for name in names]
        found = [stage for part in parts if part.recipe_file.exists() for stage in picked_stages(part)]
        return list(dict.fromkeys(found))
    return run.recipe().picked(info.stages)


def origin(info: RunInfo) -> str:
    """Say what a run without a valid score of its own, or without a training, was made of; empty for others."""
    if info.blend_of:
        return f"A blend of {len(info.blend_of)} runs, without a training of its own; their reports show theirs."
    if info.full_of:
        return (
            f"Trained on all labelled images, as {info.full_of} was on a part of them. Its own valid score is "
            "unknown; that run's report has the score of the recipe."
        )
    return ""
