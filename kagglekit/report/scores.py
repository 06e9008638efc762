"""The report's tables of scores, of an ensemble's fitted values, and of repeated seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kagglekit.report.trainings import Training, title
from kagglekit.runs.info import RunInfo
from kagglekit.runs.loaded import LoadedRun


@dataclass(frozen=True)
class Table:
    """A table of text."""

    heads: list[str]
    rows: list[list[str]]


def score_table(scores: Sequence[Mapping[str, Any]], first: str = "") -> Table:
    """Show scores as ``value ± standard error``.

    Args:
        scores: Rows as in run.json, with ``of`` for the first column if there is one.
        first: Heading of the first column; empty for none.
    """
    keys = list(dict.fromkeys(key for row in scores for key in row if key not in ("of", "member", "views")))
    heads = [*([first] if first else []), "member", "views", *(title(key) for key in keys)]
    cells = ("of", "member", "views") if first else ("member", "views")
    rows = [
        [*(row[key] for key in cells), *("{:.4f} ± {:.4f}".format(*row[key]) if key in row else "" for key in keys)]
        for row in scores
    ]
    return Table(heads, rows)


def parts_table(loaded: LoadedRun, trainings: Sequence[Training]) -> Table | None:
    """Return the scores of each fold, or of each blended run in the same folder; None if there are no parts."""
    names = loaded.info.blend_of
    if names:
        parts = [(name, loaded.run.blended(name).info().scores[-1:]) for name in names]
    else:
        parts = [(each.label, each.loaded.info.scores) for each in trainings if each.label]
    scores = [{"of": label, **row} for label, rows in parts for row in rows]
    return score_table(scores, "run" if names else "fold") if scores else None


def found_by_member(info: RunInfo) -> list[tuple[str, list[tuple[str, float]]]]:
    """Return the ensemble's fitted values for several members: their name (``weights``), and each with its value."""
    found = [(key, value) for key, value in info.fitted.items() if isinstance(value, dict) and len(value) > 1]
    return [(key, [(name, float(x)) for name, x in value.items()]) for key, value in found]


def found_else(info: RunInfo) -> list[str]:
    """Return a text for each single number that the ensemble fitted; 0 is no gain, and says nothing."""
    return [f"{key}: {value:.4g}" for key, value in info.fitted.items() if isinstance(value, float) and value]


def seeds_table(info: RunInfo) -> Table | None:
    """Return the scatter of the scores over seeds; None if the run was not repeated."""
    spread = info.repeats
    if not spread:
        return None
    heads = ["over seeds", "mean", "deviation", "error over images, paired", "smallest significant difference"]
    keys = ("mean", "deviation", "paired_error", "smallest")
    names = [title(f"valid_{each.name}") for each in spread.scores]
    values = [[f"{getattr(each, key):.4f}" for key in keys] for each in spread.scores]
    return Table(heads, [[name, *cells] for name, cells in zip(names, values, strict=True)])


def picked_stages(loaded: LoadedRun) -> list[str]:
    """Return the stages whose epoch was chosen by the valid images; for a blend, those of its runs."""
    if names := loaded.info.blend_of:
        parts = [loaded.run.blended(name) for name in names]
        found = [stage for part in parts if part.recipe_file.exists() for stage in picked_stages(LoadedRun.read(part))]
        return list(dict.fromkeys(found))
    return loaded.recipe.picked(loaded.info.stages)


def origin(info: RunInfo) -> str:
    """Return the origin of a blend, or of a run on all labelled images or on other targets; empty for others."""
    return " ".join(filter(None, (_repeats(info), _learnt(info))))


def _learnt(info: RunInfo) -> str:
    """Return what a run was trained on instead of the labels of all training images; empty for others."""
    dropped = f"{info.dropped:,} labelled images are in no training (--drop)." if info.dropped else ""
    return " ".join(filter(None, (dropped, f"Targets: {info.targets}." if info.targets else "")))


def _repeats(info: RunInfo) -> str:
    if info.blend_of:
        return f"A blend of {len(info.blend_of)} runs; see their reports for the trainings."
    if info.soup_of:
        return f"The mean of the weights of {len(info.soup_of)} runs: {', '.join(info.soup_of)}."
    if info.full_of:
        return (
            f"{info.full_of}, retrained on all labelled images. It has no valid images to score; see that run's "
            "report for the recipe's score."
        )
    return ""
