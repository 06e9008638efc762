"""Compute all parts of a report, fill in `page.html`, and write report.html."""

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
from kagglekit.report.headline import headline
from kagglekit.report.panels_of import losses_compare, parts_of
from kagglekit.report.predicted import Decided, Predicted
from kagglekit.report.sections import Sections
from kagglekit.report.thumbnails import thumbnails
from kagglekit.report.trainings import charts, stage_ends, trainings
from kagglekit.runs.folder import Run
from kagglekit.runs.info import RunInfo
from kagglekit.runs.loaded import LoadedRun
from kagglekit.system.files import write_text
from kagglekit.tasks.built_in import loaded_task
from kagglekit.types.metric import TITLES
from kagglekit.types.predictions import load_predictions

if TYPE_CHECKING:
    from kagglekit.system.console import Display


def leave_report(run: Run, display: Display) -> None:
    """Write a finished run's report; warn if this fails, because the run itself is complete."""
    try:
        write_report(run)
    except Exception as error:  # no fault of the report may fail a finished run
        display.warn(f"cannot write the report ({type(error).__name__}: {error}); retry with kagglekit report")
        return
    display.report(f"report: {run.report}")


def write_report(run: Run, data: Path | None = None) -> None:
    """Write report.html from a run's folder; equal folders and images give equal bytes.

    Args:
        run: A finished or interrupted run.
        data: The folder of its images; None for the folder used by the run.

    Raises:
        UserError: The folder is not a run, or one of its files cannot be read.
    """
    write_page(LoadedRun.read(run), data)


def write_page(loaded: LoadedRun, data: Path | None = None) -> None:
    """Write the report of a run whose files were read; see `write_report`."""
    run, recipe, info, ran = loaded.run, loaded.recipe, loaded.info, trainings(loaded)
    pictures = thumbnails(run, info, data)
    seen = predicted(loaded)
    panels = parts_of(seen, pictures) if seen else []
    sectioned = any(part.title or part.template == Sections.template for part in panels)
    one_unit = losses_compare(info.task)
    ends = [end for each in ran for end in stage_ends(each, one_unit=one_unit)]
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(figure=_figure, breakable=_breakable)
    template = environment.get_template("page.html")
    infos = [each.loaded.info for each in ran]
    page = template.render(
        run=run.name,
        info=info,
        recipe=recipe,
        metric=TITLES.get(info.metric, info.metric),
        predicts=_predicts(info),
        origin=scores.origin(info),
        scores=scores.score_table(info.scores),
        picked=scores.picked_stages(loaded),
        parts=scores.parts_table(loaded, ran),
        found_by_member=scores.found_by_member(info),
        found_else=scores.found_else(info),
        seeds=scores.seeds_table(info),
        trained=bool(ran),
        several=len(ran) > 1,
        ends=ends,
        rule=logs.RULE,
        charts=charts(ran, one_unit=one_unit),
        headline=headline(loaded, ends) if sectioned else None,
        test_decoding=logs.decoding([each for one in infos for each in one.decoded], ""),
        predict_seconds=sum(one.predict_seconds or 0.0 for one in infos),
        panels=panels,
        sectioned=sectioned,
        class_width=min((part.class_width for part in panels), default=900),
        missing=pictures.missing,
    )
    write_text(run.report, page.encode(errors="backslashreplace").decode())  # names need not be Unicode


def predicted(loaded: LoadedRun) -> Predicted | None:
    """Read the final valid predictions and the images' targets; None without them, or for a plugin's own task."""
    run, info = loaded.run, loaded.info
    valid = rows.valid(run)
    if not valid or not run.predictions("ensemble", "valid").exists():
        return None
    import pandas as pd

    table = load_predictions(run.predictions("ensemble", "valid"))
    task = loaded_task(info.task, tuple(table.columns), info.task_state)
    if task is None:
        return None
    truth = task.truth(pd.Series({row["id"]: row["label"] for row in valid}, dtype="str"), table)
    return Predicted(tuple(table.index), task, truth, table.to_numpy(np.float64), _decided(info), loaded.recipe.seed)


def _predicts(info: RunInfo) -> str:
    """Return what is predicted: ``37 classes``; empty if it is not known."""
    task = loaded_task(info.task, info.classes, info.task_state) if info.classes else None
    return task.describe() if task else ""


def _decided(info: RunInfo) -> Decided:
    known = info.decision
    if known is None:
        return Decided()
    return Decided(known.name, known.found, known.curves, TITLES.get(info.metric, info.metric))


def _template(name: str) -> str:
    return (files("kagglekit.report") / "templates" / name).read_text(encoding="utf-8")


def _figure(value: float, form: str = ".3f") -> str:
    """Format a number; return nothing for nan."""
    return "" if value != value else format(value, form)


def _breakable(name: str) -> Markup:
    """Allow a line break after each underscore and slash."""
    parts = re.split(r"(?<=[_/])", name)
    return Markup("<wbr>").join(parts)
