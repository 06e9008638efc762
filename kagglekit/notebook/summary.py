"""A run in one screen of HTML, for notebooks: scores, curves, most confused classes, worst images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from markupsafe import Markup, escape

from kagglekit.report import panels
from kagglekit.report.reading import Known, predicted
from kagglekit.report.thumbnails import thumbnails
from kagglekit.report.trainings import charts, trainings
from kagglekit.runs.loaded import LoadedRun
from kagglekit.system.display.console import duration
from kagglekit.tasks.single_label import SingleLabel
from kagglekit.types.metric import TITLES, title_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kagglekit.report.predicted import Predicted
    from kagglekit.report.thumbnails import Thumbnails
    from kagglekit.runs.folder import Run

PAIRS, WORST = 5, 8
LEAST_POINTS = 2  # of a curve that is drawn
HIDDEN = ("Learning rate of the head", "Momentum")  # charts of the report that say little at a glance
STYLE = """
.kagglekit { max-width: 900px; overflow-x: auto; line-height: 1.4; }
.kagglekit .big { font-size: 1.8em; font-weight: 600; }
.kagglekit .soft, .kagglekit figcaption { opacity: .7; }
.kagglekit table { border-collapse: collapse; margin: .4em 0; }
.kagglekit td, .kagglekit th { text-align: left; white-space: nowrap; padding: .15em 1em .15em 0; }
.kagglekit .cards { display: flex; flex-wrap: wrap; gap: .5em; }
.kagglekit figure { width: 104px; margin: 0; font-size: .75em; overflow-wrap: anywhere; }
.kagglekit figure img { width: 100px; height: 88px; object-fit: contain; display: block; margin: 0; }
.kagglekit svg { display: block; max-width: 100%; height: auto; color: inherit; }
.kagglekit .for-narrow { display: none; }
.kagglekit svg text { font: 13px system-ui, sans-serif; fill: currentColor; }
.kagglekit svg .mid { text-anchor: middle; } .kagglekit svg .end { text-anchor: end; }
.kagglekit svg polyline { fill: none; stroke-width: 2; }
.kagglekit svg .faint { stroke: #4c8dff; opacity: .25; }
.kagglekit svg .c1 { stroke: #4c8dff; fill: #4c8dff; } .kagglekit svg .c2 { stroke: #e8772e; fill: #e8772e; }
.kagglekit svg polyline.c1, .kagglekit svg polyline.c2 { fill: none; }
.kagglekit svg .grid, .kagglekit svg .stage, .kagglekit svg .frame { stroke: currentColor; opacity: .25; fill: none; }
.kagglekit svg .cycle { stroke: currentColor; opacity: .3; stroke-dasharray: 3 3; }
.kagglekit svg .band { fill: currentColor; opacity: .05; }
.kagglekit .c1 { color: #4c8dff; } .kagglekit .c2 { color: #e8772e; }
"""


def summary(run: Run) -> str:
    """Return the summary of a run's folder as HTML that loads nothing from elsewhere.

    Raises:
        UserError: The folder is not a run, or one of its files cannot be read.
    """
    loaded = LoadedRun.read(run)
    known = Known.of(loaded.info)
    parts = [*_head(loaded), *_scores(loaded), *_curves(loaded, known)]
    if seen := predicted(loaded, known):
        parts += [*_confused(seen), *_worst(seen, thumbnails(run, loaded.info, None))]
    return str(Markup('<div class="kagglekit"><style>{}</style>{}</div>').format(Markup(STYLE), Markup("").join(parts)))


def _head(loaded: LoadedRun) -> Iterator[Markup]:
    info, run = loaded.info, loaded.run
    facts = [loaded.recipe.arch, *([duration(info.seconds)] if info.seconds else [])]
    facts += [] if info.status == "finished" else [info.status or "not begun"]
    yield Markup("<div><b>{}</b> <span class='soft'>{}</span></div>").format(info.title or run.name, " · ".join(facts))
    if score := info.ensemble_scores.get(f"valid_{info.metric}"):
        shown = Markup("<div><span class='big'>{:.4f}</span> <span class='soft'>± {:.4f}</span> valid {}</div>")
        yield shown.format(score.value, score.error, TITLES.get(info.metric, info.metric))
    place = os.path.relpath(run.folder)
    yield Markup("<div class='soft'>{}</div>").format(place)
    if run.report.exists():
        link = quote(os.path.relpath(run.report).replace(os.sep, "/"))
        yield Markup("<div><a href='{}' target='_blank'>report.html</a></div>").format(link)


def _scores(loaded: LoadedRun) -> Iterator[Markup]:
    """Yield the table of scores; those of the members below a triangle."""
    rows = loaded.info.scores
    keys = list(dict.fromkeys(key for row in rows for key in row if key not in ("member", "views")))
    if not keys:
        return
    metrics = list(dict.fromkeys(key.partition("_")[2] for key in keys))
    cells = [[_shown(rows[-1].get(f"{split}_{metric}")) for split in ("valid", "test")] for metric in metrics]
    lines = [
        Markup("<tr><td>{}</td><td>{}</td><td>{}</td></tr>").format(TITLES.get(metric, metric), *pair)
        for metric, pair in zip(metrics, cells, strict=True)
    ]
    heads = Markup("<tr><th>{}</th><th>{}</th><th>{}</th></tr>").format(
        "", *(split if any(pair[place] for pair in cells) else "" for place, split in enumerate(("valid", "test")))
    )
    yield Markup("<table>{}{}</table>").format(heads, Markup("").join(lines))
    if len(rows) > 1:
        members = Markup("<details><summary>all {} rows</summary>{}</details>")
        yield members.format(len(rows), _table(keys, rows))


def _shown(score: object) -> str:
    return "{:.4f} ± {:.4f}".format(*score) if isinstance(score, tuple) else ""


def _table(keys: list[str], rows: object) -> Markup:
    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in ("", "", *map(title_of, keys)))
    lines = []
    for row in cast("list[dict[str, tuple[float, float]]]", rows):
        cells = [row["member"], row["views"], *(_shown(row.get(key)) for key in keys)]
        lines.append(Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(c) for c in cells)))
    return Markup("<table><tr>{}</tr>{}</table>").format(head, Markup("").join(lines))


def _curves(loaded: LoadedRun, known: Known) -> Iterator[Markup]:
    score = known.task.score if known.task else "loss"
    for name, curves, drawing in charts(trainings(loaded), score=score, least=LEAST_POINTS):
        if name not in HIDDEN:
            legend = [
                Markup(" <span class='{}'>{}</span>").format(each.style, each.name) for each in curves if each.name
            ]
            yield Markup("<div><b>{}</b>{}</div>{}").format(name, Markup("").join(legend), drawing)


def _confused(seen: Predicted) -> Iterator[Markup]:
    if not isinstance(seen.task, SingleLabel):
        return
    judged = panels.Judged(seen.ids, seen.task.columns, seen.truth, seen.values)
    pairs = panels.confused_pairs(panels.confusion(judged), PAIRS)
    if not pairs:
        yield Markup("<div>No valid image is predicted wrongly.</div>")
        return
    names = judged.classes
    rows = [
        Markup("<tr><td>{}</td><td>{}</td><td>{} of {}</td></tr>").format(
            names[pair.actual], names[pair.predicted], pair.count, pair.of
        )
        for pair in pairs
    ]
    head = Markup("<tr><th>class</th><th>predicted as</th><th>images</th></tr>")
    yield Markup("<div><b>Most confused</b></div><table>{}{}</table>").format(head, Markup("").join(rows))


def _worst(seen: Predicted, pictures: Thumbnails) -> Iterator[Markup]:
    rows = seen.worst(min(WORST, len(seen.ids)))
    drawn = pictures.pictures([seen.ids[row] for row in rows])
    cards = [_card(seen, row, picture) for row, picture in zip(rows, drawn, strict=True)]
    if cards:
        yield Markup("<div><b>Highest loss</b></div><div class='cards'>{}</div>").format(Markup("").join(cards))


def _card(seen: Predicted, row: int, picture: str) -> Markup:
    image = Markup("<img src='{}' alt=''>").format(picture) if picture else Markup("")
    loss = round(float(seen.loss[row]), 2) + 0.0  # of a certain image, -0
    text = Markup("<br>").join(map(escape, (seen.ids[row], *_said(seen, row), f"loss {loss:.2f}")))
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(image, text)


def _said(seen: Predicted, row: int) -> list[str]:
    """Return what is known of an image of one class: the class, and the one predicted."""
    if not isinstance(seen.task, SingleLabel):
        return []
    names, values = seen.task.columns, cast("NDArray[np.float64]", seen.values[row])
    best = int(values.argmax())
    return [f"{names[int(seen.truth[row])]}, predicted {names[best]} ({values[best]:.0%})"]
