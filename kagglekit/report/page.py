"""Compute all parts of a report, fill in `page.html`, and write report.html."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.report import curves as logs
from kagglekit.report import scores
from kagglekit.report.head.advice import advice
from kagglekit.report.head.headline import headline
from kagglekit.report.head.made import made
from kagglekit.report.pages.all_runs import refresh_history
from kagglekit.report.pages.rendering import rendered
from kagglekit.report.panels_of import kind_of, label_errors_of, parts_of
from kagglekit.report.reading import Known, predicted
from kagglekit.report.sections import Sections
from kagglekit.report.seen.pictures import picture_sections
from kagglekit.report.seen.test_images import test_sections
from kagglekit.report.thumbnails import thumbnails
from kagglekit.report.trainings import charts, how_worse, stage_ends, trainings
from kagglekit.runs.folder import Run
from kagglekit.runs.loaded import LoadedRun
from kagglekit.system.files import write_text
from kagglekit.types.metric import TITLES

if TYPE_CHECKING:
    from kagglekit.system.display.console import Display


def leave_report(run: Run, display: Display) -> None:
    """Write a finished run's report; warn if this fails, because the run itself is complete."""
    try:
        with display.status("writing the report"):
            write_report(run)
    except Exception as error:  # no fault of the report may fail a finished run
        display.warn(f"cannot write the report ({type(error).__name__}: {error}); retry with kagglekit report")
        return
    refresh_history(run, at_once=True)
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
    """Write the report of a run whose files were read, and label-errors.csv; see `write_report`."""
    run, recipe, info, ran = loaded.run, loaded.recipe, loaded.info, trainings(loaded)
    pictures = thumbnails(run, info, data)
    known = Known.of(info)
    seen = predicted(loaded, known)
    panels = parts_of(seen, pictures) if seen else []
    sectioned = any(part.title or part.template == Sections.template for part in panels)
    kind = kind_of(type(known.task)) if known.task else None
    one_unit = kind.one_unit if kind else not info.classes
    ends = [end for each in ran for end in stage_ends(each, one_unit=one_unit)]
    worse = next(filter(None, map(how_worse, ran)), None)
    suspects = label_errors_of(seen) if seen else []
    infos = [each.loaded.info for each in ran]
    tested = test_sections(run, pictures, scored=any(key.startswith("test_") for key in info.ensemble_scores))
    page = rendered(
        "page.html",
        "report.js",
        run=run.name,
        info=info,
        recipe=recipe,
        metric=TITLES.get(info.metric, info.metric),
        predicts=known.task.describe() if known.task else "",
        origin=scores.origin(info),
        scores=scores.score_table(info.scores),
        picked=scores.picked_stages(loaded),
        parts=scores.parts_table(loaded, ran),
        found_by_member=scores.found_by_member(info),
        found_else=scores.found_else(info),
        seeds=scores.seeds_table(info),
        submitted=run.submission.exists(),
        trained=bool(ran),
        several=len(ran) > 1,
        ends=ends,
        rule=logs.RULE,
        judged=any(end.verdict for end in ends),
        charts=charts(
            ran,
            one_unit=one_unit,
            score=known.task.score if known.task else "loss",
            least=2 if sectioned else 1,
        ),
        headline=headline(loaded, ends),
        advice=advice(loaded, ends, worse, seen, len(suspects)),
        made=made(loaded),
        tested=Sections([*tested, *picture_sections(run, info, pictures, seen)]).part(),
        test_decoding=logs.decoding([each for one in infos for each in one.decoded], ""),
        predict_seconds=sum(one.predict_seconds or 0.0 for one in infos),
        panels=panels,
        sectioned=sectioned,
        class_width=min((part.class_width for part in panels), default=900),
        missing=pictures.missing,
    )
    run.write_label_errors(suspects)
    write_text(run.report, page)
