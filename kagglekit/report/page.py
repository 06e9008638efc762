"""The page: everything computed, filled into `page.html`, written as report.html."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

from kagglekit.describe import TITLES
from kagglekit.files import write_text
from kagglekit.predictions import load_predictions, truth_numbers
from kagglekit.report import curves as logs
from kagglekit.report import panels
from kagglekit.report.panels import Judged, Rows
from kagglekit.report.svg import Curve, calibration_chart, chart, matrix
from kagglekit.report.thumbnails import Thumbnails, thumbnails
from kagglekit.run_folder import Run
from kagglekit.smoothing import smoothed

if TYPE_CHECKING:
    from markupsafe import Markup

    from kagglekit.progress import Display

SHOWN = 12  # images of a panel
PAIRS = 20
BLOCKS = 6
FACTS = ("title", "device", "started", "images", "classes", "status")  # of run.json; a damaged one may lack some
POINTS = 1200  # of a curve: one a pixel


@dataclass(frozen=True)
class Card:
    """An image as the page shows it.

    Attributes:
        image: Its id.
        picture: A data URI; empty for none.
        predicted: Its predicted class.
        actual: Its class.
        loss: nats.
        probability: Of its class.
        right: Whether the two classes are the same.
    """

    image: str
    picture: str
    predicted: str
    actual: str
    loss: float
    probability: float
    right: bool


@dataclass(frozen=True)
class Panel:
    """A titled row of images."""

    title: str
    words: str
    cards: list[Card]


def leave_report(run: Run, display: Display) -> None:
    """Write a finished run's report; a report that fails is told of, and costs the run nothing."""
    try:
        write_report(run)
    except Exception as error:  # whatever it is, the run is done and paid for
        display.warn(f"the report could not be written ({type(error).__name__}: {error}); kagglekit report tries again")
        return
    display.say(f"report: {run.report}")


def write_report(run: Run, data: Path | None = None) -> None:
    """Write report.html from a run's folder; equal folders and images give equal bytes.

    Args:
        run: Finished, or as far as it came.
        data: Where its images are; None for where they were when it ran.

    Raises:
        UserError: The folder is no run, or a file of it can't be read.
    """
    recipe, info, log = run.recipe(), run.info(), run.log()
    judged = judge(run)
    pictures = thumbnails(run, data)
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["figure"] = _figure
    template = environment.from_string((files("kagglekit.report") / "page.html").read_text(encoding="utf-8"))
    stages = {stage.name: stage for stage in recipe.stages}
    page = template.render(
        run=run.name,
        info={**dict.fromkeys(FACTS, ""), **info},
        recipe=recipe,
        metric=TITLES.get(info.get("metric", ""), info.get("metric", "")),
        scores=score_rows(info.get("scores", [])),
        verdicts=[
            (stages[name], rows[-1], logs.verdict(rows, stages[name])) for name, rows in logs.by_stage(log).items()
        ],
        rule=logs.RULE,
        charts=_charts(logs.curves(log, run.steps())),
        timings=logs.timings(log, info.get("stage_seconds", {})),
        judged=judged,
        missing=pictures.missing,
        **(_shown(judged, pictures, recipe.seed) if judged else {}),
    )
    write_text(run.report, page)


def judge(run: Run) -> Judged | None:
    """Read the final valid predictions and the images' classes; None where the run did not come so far."""
    valid = run.valid()
    if not valid or not run.predictions("ensemble", "valid").exists():
        return None
    import pandas as pd

    table = load_predictions(run.predictions("ensemble", "valid"))
    truth = truth_numbers(pd.Series({row["id"]: row["label"] for row in valid}, dtype="str"), table)
    return Judged(tuple(table.index), tuple(table.columns), truth, table.to_numpy(np.float64))


def score_rows(scores: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return the heads and the cells of the table of scores: ``value ± standard error``."""
    keys = [key for key in (scores[-1] if scores else {}) if key not in ("member", "views")]
    heads = ["member", "views", *(_title(key) for key in keys)]
    rows = [
        [row["member"], row["views"], *("{:.4f} ± {:.4f}".format(*row[key]) if key in row else "" for key in keys)]
        for row in scores
    ]
    return heads, rows


def _title(key: str) -> str:
    split, _, metric = key.partition("_")
    return f"{split} {TITLES.get(metric, metric)}"


def _charts(found: logs.Curves) -> list[tuple[str, list[Curve], Markup]]:
    """Draw loss, each further metric, learning rate and momentum; the curves are for the legends."""
    if not found.spans:
        return []
    loss = logs.thinned(found.loss, POINTS)
    smooth = logs.thinned(logs.Line(found.loss.xs, smoothed(found.loss.ys)), POINTS)
    curves = [Curve("", loss, "faint"), Curve("training, smoothed", smooth, "c1")]
    drawn = [("Loss, nats", [*curves, Curve("valid", found.epochs["valid_loss"], "c2", dots=True)])]
    for key, line in found.epochs.items():
        if key != "valid_loss":
            drawn.append((_title(key).capitalize(), [Curve("", line, "c2", dots=True)]))
    for title, line in (("Learning rate of the head", found.lr), ("Momentum", found.momentum)):
        drawn.append((title, [Curve("", logs.thinned(line, POINTS), "c1")]))
    drawn = [(title, some) for title, some in drawn if any(curve.line.xs for curve in some)]
    return [(title, some, chart(title, some, found.spans)) for title, some in drawn]


def _shown(judged: Judged, pictures: Thumbnails, seed: int) -> dict[str, Any]:
    """Compute every panel of the valid predictions."""
    counts, bins = panels.confusion(judged), panels.calibration(judged)
    names = judged.classes
    return {
        "names": names,
        "matrix": matrix(counts, names, _cell(len(names)), "confusion matrix"),
        "blocks": [] if len(names) <= panels.LARGEST_BLOCK else _blocks(counts, names),
        "pairs": panels.confused_pairs(counts, PAIRS),
        "panels": _panels(judged, pictures, seed),
        "calibration": calibration_chart(bins),
        "calibration_error": panels.calibration_error(bins),
        "class_scores": panels.class_scores(judged),
        "per_class": _per_class(judged, pictures),
    }


def _cell(n: int) -> float:
    """Choose a matrix's cell, px, so that the whole is as wide as the page at most."""
    return max(2.0, min(34.0, 960 / n))


def _blocks(counts: Any, names: Sequence[str]) -> list[Markup]:
    groups = panels.blocks(counts, BLOCKS)
    return [matrix(counts[np.ix_(of, of)], [names[i] for i in of], 30, "confused with one another") for of in groups]


def _panels(judged: Judged, pictures: Thumbnails, seed: int) -> list[Panel]:
    chosen = {
        "Top losses": ("The images of highest loss.", panels.top_losses(judged, SHOWN)),
        "Most uncertain": (
            "The least difference between the two highest probabilities.",
            panels.most_uncertain(judged, SHOWN),
        ),
        "Likely label errors": (
            "Another class is confidently said than the label (confident learning, Northcutt et al. 2021).",
            panels.label_errors(judged, SHOWN),
        ),
        "Random correct": ("Drawn among the correct ones.", panels.random_rows(judged, True, SHOWN, seed)),
        "Random incorrect": ("Drawn among the wrong ones.", panels.random_rows(judged, False, SHOWN, seed)),
    }
    return [Panel(title, words, cards(judged, rows, pictures)) for title, (words, rows) in chosen.items()]


def _per_class(judged: Judged, pictures: Thumbnails) -> list[tuple[str, list[Card], list[Card]]]:
    """Return each class's name with its most correct and its most incorrect images."""
    most = 3 if len(judged.classes) <= 20 else 1
    return [
        (
            name,
            cards(judged, panels.most_correct(judged, number, most), pictures),
            cards(judged, panels.most_incorrect(judged, number, most), pictures),
        )
        for number, name in enumerate(judged.classes)
    ]


def cards(judged: Judged, rows: Rows, pictures: Thumbnails) -> list[Card]:
    """Show images of `judged` by their row numbers."""
    return [
        Card(
            judged.ids[row],
            pictures.picture(judged.ids[row]),
            judged.classes[judged.predicted[row]],
            judged.classes[judged.truth[row]],
            float(judged.loss[row]),
            float(judged.actual[row]),
            bool(judged.correct[row]),
        )
        for row in rows
    ]


def _figure(value: float, form: str = ".3f") -> str:
    """Format a number; nothing for nan."""
    return "" if value != value else format(value, form)
