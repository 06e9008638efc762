"""The panels of predicted numbers, and of ordered grades that are predicted as a number."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.report import panels
from kagglekit.report.label_sections import threshold_section
from kagglekit.report.number_scores import NumberScore, graded, number_score
from kagglekit.report.panels import Judged
from kagglekit.report.plots import histogram, scatter
from kagglekit.report.predictions import cell_of
from kagglekit.report.sections import SHOWN, Drawings, Grid, Section, Sections, cards
from kagglekit.report.svg import matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kagglekit.report.predicted import Predicted
    from kagglekit.report.sections import Part
    from kagglekit.report.thumbnails import Thumbnails
    from kagglekit.tasks.ordinal import Ordinal

LISTED = 4  # targets on a card
CHARTS = 3  # targets whose drawings are seen at once


def number_part(seen: Predicted, pictures: Thumbnails) -> Part:
    """Return the panels of one or several numbers."""
    return Sections([_worst(seen, pictures), _scatters(seen), _targets(seen), *_decision(seen)]).part()


def grade_part(seen: Predicted, pictures: Thumbnails, task: Ordinal) -> Part:
    """Return the panels of ordered grades."""
    grades = task.grades
    cuts = seen.decided.numbers([str(grade) for grade in grades[1:]], (grades[1:] - 0.5).tolist())
    if seen.applied is None:
        seen = replace(seen, applied=grades[graded(seen.values, cuts, grades)].astype(np.float64))
    judged = _judged(seen, grades)
    sections = [
        _worst(seen, pictures, seen.applied),
        _confusion(judged),
        _grades(seen, judged),
        _scatters(seen, tuple(cuts.tolist())),
        *_decision(seen),
    ]
    return Sections(sections).part()


def _decision(seen: Predicted) -> list[Section]:
    return [threshold_section(seen)] if seen.decided.curves else []


def _worst(seen: Predicted, pictures: Thumbnails, grades: NDArray[np.floating] | None = None) -> Section:
    rows = seen.worst(SHOWN)
    lines = [_numbers(seen, row, "" if grades is None else f" (grade {grades[row, 0]:.0f})") for row in rows]
    text = "The largest errors" + (", in deviations of each target." if len(seen.task.columns) > 1 else ".")
    return Section("Worst images", text, [cards(seen, rows, lines, pictures)])


def _numbers(seen: Predicted, row: int, grade: str) -> list[tuple[str, str]]:
    """Return an image's predicted and actual numbers, those of the largest error first."""
    truth, values = seen.truth[row], seen.values[row]
    spread = np.nanstd(seen.truth, axis=0)
    error = np.abs(values - truth) / np.where(spread > 0, spread, 1)
    order = np.argsort(-np.nan_to_num(error), kind="stable")
    lines: list[tuple[str, str]] = []
    for number in order[~np.isnan(truth[order])][:LISTED]:
        name = f"{seen.task.columns[number]}: " if len(truth) > 1 else ""
        lines += [("bad", f"{name}{values[number]:.4g}{grade}"), ("", f"actual: {truth[number]:.4g}")]
    return lines


def _scatters(seen: Predicted, cuts: tuple[float, ...] = ()) -> Section:
    drawn = []
    for number, name in enumerate(seen.task.columns):
        known = np.flatnonzero(~np.isnan(seen.truth[:, number]))
        if not len(known):
            continue
        true, values = seen.truth[known, number].astype(np.float64), seen.values[known, number]
        score = number_score(name, true, values)
        start = f"{name}: " if len(seen.task.columns) > 1 else ""
        caption = f"{start}RMSE {score.rmse:.4g}" + (f", R² {score.r2:.3f}" if score.r2 == score.r2 else "")
        ids = [seen.ids[row] for row in known]
        drawn.append((caption, scatter(f"predicted over actual {name}", true, values, ids, cuts=cuts)))
        drawn.append(("Errors: predicted minus actual", histogram(f"errors of {name}", values - true)))
    text = "On the line both are equal; circles are the largest errors."
    if cuts:
        text += " Dashed: cuts between grades. Points are spread sideways, so that they are seen."
    most = 2 * CHARTS
    block = Drawings(drawn[:most], drawn[most:], f"{len(drawn[most:]) // 2} more targets")
    return Section("Predicted and actual", text, [block])


def _targets(seen: Predicted) -> Section:
    heads = ("target", "images", "mean", "deviation", "RMSE", "MAE", "bias", "R²")
    scores = [number_score(name, seen.truth[:, i], seen.values[:, i]) for i, name in enumerate(seen.task.columns)]
    forms = ("", ",d", ".4g", ".4g", ".4g", ".4g", "+.3g", ".3f")
    return Section(
        "Targets",
        "R² is the share of the variance that is explained; 0 is as good as always predicting the mean.",
        [Grid(heads, [_row(score) for score in scores], (), forms)],
        "Mean and deviation are of the actual numbers; the deviation is the RMSE of always predicting their mean. "
        "Bias is the mean of predicted minus actual.",
    )


def _row(score: NumberScore) -> tuple[str | float, ...]:
    figures = (score.mean, score.deviation, score.rmse, score.mae, score.bias, score.r2)
    return (score.name, score.n, *figures)


def _judged(seen: Predicted, grades: NDArray[np.int64]) -> Judged:
    """Return the images of known grade, each with the certain prediction of its predicted grade."""
    known = np.flatnonzero(~np.isnan(seen.truth[:, 0]))
    applied = np.zeros((0, 1)) if seen.applied is None else seen.applied
    truth, said = (np.rint(of[known, 0] - grades[0]).astype(np.int64) for of in (seen.truth, applied))
    certain = np.eye(len(grades))[said.clip(0, len(grades) - 1)]
    return Judged(tuple(seen.ids[row] for row in known), tuple(str(grade) for grade in grades), truth, certain)


def _confusion(judged: Judged) -> Section:
    counts = panels.confusion(judged)
    drawn = matrix(counts, judged.classes, cell_of(len(judged.classes)), "confusion of grades")
    off = np.abs(judged.truth - judged.predicted)
    text = (
        f"Rows are actual grades, columns predicted ones after the cuts. {np.mean(off == 0):.1%} are right, "
        f"{np.mean(off == 1):.1%} one grade off, {np.mean(off > 1):.1%} more."
    )
    return Section("Confusion", text, [Drawings([("", drawn)])], "Opacity is the share of the row.")


def _grades(seen: Predicted, judged: Judged) -> Section:
    known = np.flatnonzero(~np.isnan(seen.truth[:, 0]))
    values = seen.values[known, 0]
    rows: list[tuple[str | float, ...]] = []
    for number, name in enumerate(judged.classes):
        own = judged.truth == number
        n = int(own.sum())
        if n:
            errors = np.abs(judged.predicted[own] - number)
            rows.append((name, n, float((errors == 0).mean()), float(errors.mean()), float(values[own].mean())))
        else:
            rows.append((name, 0, *[float("nan")] * 3))
    heads = ("grade", "images", "right", "mean error, grades", "mean prediction")
    text = "The mean prediction is that of the number before the cuts."
    return Section("Grades", text, [Grid(heads, rows, (), ("", ",d", ".1%", ".3f", ".3f"))])
