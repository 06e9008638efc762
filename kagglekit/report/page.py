"""The page: everything computed, filled into `page.html`, written as report.html."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import numpy as np
from markupsafe import Markup

from kagglekit.report import curves as logs
from kagglekit.report import rows, scores
from kagglekit.report.panels import Judged
from kagglekit.report.shown import shown
from kagglekit.report.thumbnails import thumbnails
from kagglekit.report.trainings import charts, stage_ends, trainings
from kagglekit.runs.folder import Run
from kagglekit.system.files import write_text
from kagglekit.types.metric import TITLES
from kagglekit.types.predictions import load_predictions, truth_numbers

if TYPE_CHECKING:
    from kagglekit.system.console import Display


def leave_report(run: Run, display: Display) -> None:
    """Write a finished run's report; a report that fails is told of, and costs the run nothing."""
    try:
        write_report(run)
    except Exception as error:  # whatever it is, the run is done and paid for
        display.warn(f"the report could not be written ({type(error).__name__}: {error}); kagglekit report tries again")
        return
    display.report(f"report: {run.report}")


def write_report(run: Run, data: Path | None = None) -> None:
    """Write report.html from a run's folder; equal folders and images give equal bytes.

    Args:
        run: Finished, or as far as it came.
        data: Where its images are; None for where they were when it ran.

    Raises:
        UserError: The folder is no run, or a file of it can't be read.
    """
    recipe, info, ran = run.recipe(), run.info(), trainings(run)
    judged = judge(run)
    pictures = thumbnails(run, data)
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(figure=_figure, breakable=_breakable)
    template = environment.from_string((files("kagglekit.report") / "page.html").read_text(encoding="utf-8"))
    infos = [each.run.info() for each in ran]
    page = template.render(
        run=run.name,
        info=info,
        recipe=recipe,
        metric=TITLES.get(info.metric, info.metric),
        origin=scores.origin(info),
        scores=scores.score_table(info.scores),
        picked=scores.picked_stages(run),
        parts=scores.parts_table(run, ran),
        found_by_member=scores.found_by_member(info),
        found_else=scores.found_else(info),
        seeds=scores.seeds_table(info),
        trained=bool(ran),
        several=len(ran) > 1,
        ends=[end for each in ran for end in stage_ends(each)],
        rule=logs.RULE,
        charts=charts(ran),
        test_decoding=logs.decoding([each for one in infos for each in one.decoded], ""),
        predict_seconds=sum(one.predict_seconds or 0.0 for one in infos),
        judged=judged,
        missing=pictures.missing,
        **(shown(judged, pictures, recipe.seed) if judged else {}),
    )
    write_text(run.report, page)


def judge(run: Run) -> Judged | None:
    """Read the final valid predictions and the images' classes; None where the run did not come so far."""
    valid = rows.valid(run)
    if not valid or not run.predictions("ensemble", "valid").exists():
        return None
    import pandas as pd

    table = load_predictions(run.predictions("ensemble", "valid"))
    truth = truth_numbers(pd.Series({row["id"]: row["label"] for row in valid}, dtype="str"), table)
    return Judged(tuple(table.index), tuple(table.columns), truth, table.to_numpy(np.float64))


def _figure(value: float, form: str = ".3f") -> str:
    """Format a number; nothing for nan."""
    return "" if value != value else format(value, form)


def _breakable(name: str) -> Markup:
    """Let a name be broken after each underscore and slash."""
    parts = re.split(r"(?<=[_/])", name)
    return Markup("<wbr>").join(parts)
