"""The panels of several labels an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.report import label_scores
from kagglekit.report.label_errors import doubt, where_listed
from kagglekit.report.label_scores import LabelScore
from kagglekit.report.panels import calibration_error
from kagglekit.report.plots import curve_chart
from kagglekit.report.predictions import cell_of
from kagglekit.report.sections import SHOWN, Cards, Drawings, Grid, Section, Sections, cards
from kagglekit.report.svg import calibration_chart, matrix

if TYPE_CHECKING:
    from markupsafe import Markup
    from numpy.typing import NDArray

    from kagglekit.report.predicted import Predicted
    from kagglekit.report.sections import Part
    from kagglekit.report.thumbnails import Thumbnails

    Lines = list[tuple[str, str]]

CHARTS = 12  # that are seen at once
MOST_CHARTS = 60
SEEN_AT_ONCE = 30  # labels of a matrix; more are folded away
LISTED = 3  # labels of a sort on a card


def label_part(seen: Predicted, pictures: Thumbnails) -> Part:
    """Return the panels of several labels."""
    names = seen.task.columns
    thresholds = seen.decided.numbers(names, [float("nan") if seen.decided.found else 0.5] * len(names))
    said = seen.values >= thresholds if seen.applied is None else seen.applied > 0.5
    scores = label_scores.label_scores(seen.truth, seen.values, said)
    sections = [
        _worst(seen, said, pictures),
        _table(seen, thresholds, scores),
        _thresholds(seen, thresholds, scores),
        *([_together(seen, said)] if len(names) > 1 else []),
        *_suspects(seen, pictures),
        _calibration(seen),
    ]
    return Sections(sections).part()


def _worst(seen: Predicted, said: NDArray[np.bool_], pictures: Thumbnails) -> Section:
    rows = seen.worst(SHOWN)
    lines = [_judged(seen, row, said[row]) for row in rows]
    text = "The highest loss. Green: found. Red: predicted, but not a label, or missed; with its probability."
    return Section("Worst images", text, [cards(seen, rows, lines, pictures)])


def _judged(seen: Predicted, row: int, said: NDArray[np.bool_]) -> Lines:
    """Return an image's found, wrong and missed labels, with their probabilities."""
    truth, p = seen.truth[row], seen.values[row]
    found, wrong, missed = said & (truth == 1), said & (truth == 0), ~said & (truth == 1)
    lines: Lines = []
    for style, words, which in (("good", "", found), ("bad", "wrong: ", wrong), ("bad", "missed: ", missed)):
        numbers = sorted(np.flatnonzero(which), key=lambda number: -p[number])
        lines += [(style, f"{words}{seen.task.columns[number]} {p[number]:.2f}") for number in numbers[:LISTED]]
        if len(numbers) > LISTED:
            lines.append((style, f"{words}{len(numbers) - LISTED} more"))
    if not lines:
        lines.append(("", "no label, none predicted"))
    return [*lines, ("", f"loss {seen.loss[row]:.3f}")]


def _table(seen: Predicted, thresholds: NDArray[np.float64], scores: Sequence[LabelScore]) -> Section:
    forms = ("", ",d", ".1%", ".3f", ".4f", ".3f", ".3f", ".3f", ".3f")
    heads = ("label", "with it", "share", "AUC", "log loss", "F1", "at", "best F1", "at")
    order = sorted(scores, key=lambda each: (np.isnan(each.auc), each.auc if each.auc == each.auc else 0.0))
    rows = [
        (
            *(seen.task.columns[each.number], each.positives, each.positives / max(each.n, 1), each.auc, each.loss),
            *(each.f1, float(thresholds[each.number]), each.best_f1, each.best_threshold),
        )
        for each in order
    ]
    columns = list(zip(*rows, strict=True))[1:]
    means = [_mean(column) if place in (2, 3, 4, 6) else "" for place, column in enumerate(columns)]
    return Section(
        "Labels",
        f"Lowest AUC first. F1 is {'as decided' if seen.decided.found else 'at a threshold of 0.5'}.",
        [Grid(heads, rows, ("mean", *means) if len(rows) > 1 else (), forms)],
        "AUC: the area under the ROC curve, which is the chance that an image with the label has a higher probability "
        "than one without. It is left out if no image has the label, or all have it. Decision and best F1 were found "
        "on these same images, so both columns are optimistic, the more so the fewer images have the label. The scores "
        "at the top are not: they are cross-fitted.",
    )


def _mean(column: Sequence[float | str]) -> float:
    known = [float(value) for value in column if value == value]
    return float(np.mean(known)) if known else float("nan")


def _thresholds(seen: Predicted, thresholds: NDArray[np.float64], scores: Sequence[LabelScore]) -> Section:
    """Draw the decision's own curves; without any, each label's F1."""
    if seen.decided.curves:
        return threshold_section(seen)
    order = sorted((each for each in scores if each.positives), key=lambda each: (each.best_f1, each.number))
    drawn = [
        (
            seen.task.columns[each.number],
            _f1_chart(seen, each.number, float(thresholds[each.number])),
        )
        for each in order[:MOST_CHARTS]
    ]
    text = "F1 against the threshold from which a probability counts as the label, worst label first. Dashed: in use."
    return Section("Thresholds", text, [_folded(drawn)])


def threshold_section(seen: Predicted) -> Section:
    """Return the section of a decision's own curves."""
    drawn = [
        (title, curve_chart(title, points, seen.decided.marks(title)))
        for title, points in list(seen.decided.curves.items())[:MOST_CHARTS]
    ]
    text = f"{seen.decided.metric} if one number of the decision ({seen.decided.name}) changes. Dashed: found."
    return Section("Thresholds", text, [_folded(drawn)])


def _folded(drawn: Sequence[tuple[str, Markup]]) -> Drawings:
    return Drawings(drawn[:CHARTS], drawn[CHARTS:], f"{len(drawn) - CHARTS} more")


def _f1_chart(seen: Predicted, number: int, threshold: float) -> Markup:
    name = seen.task.columns[number]
    points = label_scores.f1_curve(seen.truth[:, number], seen.values[:, number])
    return curve_chart(f"F1 of {name} against its threshold", points, [threshold])


def _together(seen: Predicted, said: NDArray[np.bool_]) -> Section:
    names, truth = seen.task.columns, seen.truth
    both, confused = label_scores.co_occurrence(truth), label_scores.confusion(truth, said)
    of = both.diagonal()
    cell = min(cell_of(len(names)), 30.0)

    def tell_both(i: int, j: int) -> str:
        return f"{names[i]}: {of[i]}" if i == j else f"{both[i, j]} of {of[i]} with {names[i]} also have {names[j]}"

    def tell_confused(i: int, j: int) -> str:
        n = f"{confused[i, j]} of {of[i]}"
        return f"{names[i]} found: {n}" if i == j else f"{names[i]} missed and {names[j]} wrongly predicted: {n}"

    drawn = [
        ("Occur together", matrix(both, names, cell, "labels that occur together", of, tell_both, neutral=True)),
        ("Confused", matrix(confused, names, cell, "labels that are confused", of, tell_confused)),
    ]
    few = len(names) <= SEEN_AT_ONCE
    return Section(
        "Confusion",
        "Left: images that have both labels. Right, on the diagonal: images whose label was found; beside it, images "
        "that lack the column's label, but were given it while the row's was missed.",
        [Drawings(drawn if few else [], [] if few else drawn, f"matrices of {len(names)} labels")],
        "Opacity is the share of the images that have the row's label.",
    )


def _suspects(seen: Predicted, pictures: Thumbnails) -> list[Section]:
    if why := doubt(seen):
        return [Section("Likely label errors", why, [])]
    found = label_scores.suspects(seen.truth, seen.values, SHOWN)
    if not found:
        return []
    lines = [_suspicion(seen, row, number) for row, number in found]
    shown: Cards = cards(seen, [row for row, _ in found], lines, pictures)
    text = (
        "Confidently predicted otherwise than labelled (confident learning for each label, Northcutt et al. 2021). "
        f"{where_listed(seen)}"
    )
    return [Section("Likely label errors", text, [shown])]


def _suspicion(seen: Predicted, row: int, number: int) -> Lines:
    has = seen.truth[row, number] == 1
    name = seen.task.columns[number]
    words = f"labelled {name}" if has else f"not labelled {name}"
    return [("bad", words), ("", f"p {seen.values[row, number]:.3f}")]


def _calibration(seen: Predicted) -> Section:
    bins = label_scores.calibration(seen.truth, seen.values)
    if not bins:
        return Section("Calibration", "No known label.", [])
    chart = calibration_chart(bins, "labels", "probability", "share with the label")
    text = (
        "How often images have a label that is predicted with a given probability, over all labels. On the line both "
        f"agree. Expected calibration error: {calibration_error(bins):.4f}."
    )
    return Section("Calibration", text, [Drawings([("", chart)])], "Larger dots stand for more labels of images.")
