"""One page on which two or more runs are compared: scores, settings, curves, and the images that changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.report.pages.rendering import rendered
from kagglekit.report.reading import Known, predicted
from kagglekit.report.scores import Table
from kagglekit.report.sections import Card
from kagglekit.report.svg import Curve, charts_of_both_widths
from kagglekit.report.thumbnails import thumbnails
from kagglekit.report.trainings import curves_of, title, trainings
from kagglekit.runs.history import differing_facts, differing_recipe
from kagglekit.system.errors import UserError
from kagglekit.system.files import write_text
from kagglekit.tasks.single_label import SingleLabel

if TYPE_CHECKING:
    from markupsafe import Markup
    from numpy.typing import NDArray

    from kagglekit.report.predicted import Predicted
    from kagglekit.report.thumbnails import Thumbnails
    from kagglekit.runs.folder import Run
    from kagglekit.runs.loaded import LoadedRun

    Differing = Callable[[Run, Run], Mapping[str, tuple[str, str]]]
    Drawn = tuple[str, list[Curve], Markup]

MOST = 5  # runs: as many colours tell apart
SHOWN = 12  # images of each kind
STYLES = ("c1", "c2", "c3", "c4", "c5")
LETTERS = "ABCDE"
CLASSES = 15  # whose recall changed most


@dataclass(frozen=True)
class Change:
    """How the images that two runs have in common changed from the first to the other.

    Attributes:
        name: Of the other run.
        letter: Of the other run.
        text: The paired difference of the losses.
        better: Cards of the images whose loss fell most.
        worse: Cards of those whose loss rose most.
        classes: The classes whose recall changed most; None for other kinds of targets.
    """

    name: str
    letter: str
    text: str
    better: list[Card]
    worse: list[Card]
    classes: Table | None


def write_comparison(runs: Sequence[LoadedRun], file: Path, data: Path | None = None) -> None:
    """Write the page.

    Args:
        runs: Two to `MOST` runs of a competition; all are compared with the first.
        file: Where to.
        data: The folder of the images; None for the one that the first run used.

    Raises:
        UserError: They are too many or of different competitions, or a file cannot be read.
    """
    if not 2 <= len(runs) <= MOST:
        raise UserError(f"cannot compare {len(runs)} runs", f"name 2 to {MOST} runs")
    if len(names := {each.info.competition for each in runs}) > 1:
        raise UserError(f"the runs are of different competitions: {', '.join(sorted(names))}", "name runs of one")
    first = runs[0]
    pictures = thumbnails(first.run, first.info, data, page=file.parent)
    seen = [predicted(each, Known.of(each.info)) for each in runs]
    own = seen[0]
    page = rendered(
        "comparison.html",
        "report.js",
        title=first.info.title or first.info.competition,
        named=[(LETTERS[i], each.run.name, STYLES[i]) for i, each in enumerate(runs)],
        scores=_scores(runs),
        recipe=_differences(runs, differing_recipe),
        facts=_differences(runs, differing_facts),
        charts=_charts(runs),
        changes=[
            _change(own, other, LETTERS[i], runs[i].run.name, pictures)
            for i, other in enumerate(seen)
            if i and own is not None and other is not None
        ],
        missing=pictures.missing,
        class_width=900,
    )
    write_text(file, page)


def _scores(runs: Sequence[LoadedRun]) -> Table:
    """Return the ensembles' scores, a column for each run."""
    scores = [each.info.ensemble_scores for each in runs]
    keys = list(dict.fromkeys(key for each in scores for key in each))
    rows = [
        [title(key), *(f"{of[key].value:.4f} ± {of[key].error:.4f}" if key in of else "" for of in scores)]
        for key in keys
    ]
    return Table(["", *LETTERS[: len(runs)]], rows)


def _differences(runs: Sequence[LoadedRun], differing: Differing) -> Table:
    """Return what differs from the first run in any other, a column for each run."""
    found = [differing(runs[0].run, each.run) for each in runs[1:]]
    names = list(dict.fromkeys(name for pairs in found for name in pairs))
    rows = []
    for name in names:
        own = next(pairs[name][0] for pairs in found if name in pairs)
        rows.append([name, own, *(pairs[name][1] if name in pairs else own for pairs in found)])
    return Table(["", *LETTERS[: len(runs)]], rows)


def _charts(runs: Sequence[LoadedRun]) -> list[Drawn]:
    """Draw the valid scores of all runs over steps; of folds, those of the first."""
    read = [curves_of(each[0]) if (each := trainings(loaded)) else None for loaded in runs]
    there = [(i, found) for i, found in enumerate(read) if found is not None and found.spans]
    if not there:
        return []
    spans = max((found for _, found in there), key=lambda found: found.spans[-1].end).spans
    drawn: list[Drawn] = []
    for key in dict.fromkeys(key for _, found in there for key in found.epochs):
        some = [Curve(LETTERS[i], found.known(key), STYLES[i], dots=True) for i, found in there]
        some = [curve for curve in some if curve.line.xs]
        if some:
            name = title(key).capitalize()
            drawn.append((name, some, charts_of_both_widths(name, some, spans)))
    return drawn


def _change(first: Predicted, other: Predicted, letter: str, name: str, pictures: Thumbnails) -> Change:
    places = {image: row for row, image in enumerate(other.ids)}
    mine = np.array([row for row, image in enumerate(first.ids) if image in places], dtype=np.int64)
    theirs = np.array([places[first.ids[row]] for row in mine], dtype=np.int64)
    if not len(mine) or first.task.columns != other.task.columns:
        return Change(name, letter, "The runs have no valid images, or not the same classes, in common.", [], [], None)
    change = other.loss[theirs] - first.loss[mine]
    order = np.argsort(change, kind="stable")
    better = [i for i in order[:SHOWN] if change[i] < 0]
    worse = [i for i in order[::-1][:SHOWN] if change[i] > 0]
    error = f" ± {change.std(ddof=1) / len(change) ** 0.5:.4f}" if len(change) > 1 else ""
    side = "above" if change.mean() > 0 else "below"
    text = (
        f"On the {len(mine):,} valid images that both have, the loss of {letter} is {abs(change.mean()):.4f}{error} "
        f"{side} that of A (mean of the images' differences, and its standard error). It is lower for "
        f"{np.mean(change < 0):.0%} of them."
    )
    shown_better, shown_worse = (
        [_card(first, other, int(mine[i]), int(theirs[i]), letter, pictures) for i in rows] for rows in (better, worse)
    )
    return Change(name, letter, text, shown_better, shown_worse, _recalls(first, other, mine, theirs, letter))


def _card(a: Predicted, b: Predicted, mine: int, theirs: int, letter: str, pictures: Thumbnails) -> Card:
    image = a.ids[mine]
    lines = [("", f"loss {a.loss[mine]:.2f} → {b.loss[theirs]:.2f}")]
    if isinstance(a.task, SingleLabel):
        truth, names = int(a.truth[mine]), a.task.columns
        said = [int(each.argmax()) for each in (a.values[mine], b.values[theirs])]
        right = ["good" if guess == truth else "bad" for guess in said]
        lines = [
            ("", f"actual: {names[truth]}"),
            (right[0], f"A: {names[said[0]]} {a.values[mine, said[0]]:.3f}"),
            (right[1], f"{letter}: {names[said[1]]} {b.values[theirs, said[1]]:.3f}"),
        ]
    return Card(image, pictures.pictures([image])[0], lines, pictures.link(image))


def _recalls(
    a: Predicted, b: Predicted, mine: NDArray[np.int64], theirs: NDArray[np.int64], letter: str
) -> Table | None:
    """Return the classes whose recall changed most."""
    if not isinstance(a.task, SingleLabel):
        return None
    truth = a.truth[mine]
    right = [a.values[mine].argmax(1) == truth, b.values[theirs].argmax(1) == truth]
    rows = []
    for number, name in enumerate(a.task.columns):
        own = truth == number
        if own.any():
            before, after = (float(each[own].mean()) for each in right)
            rows.append((abs(after - before), [name, str(int(own.sum())), f"{before:.3f}", f"{after:.3f}"]))
    changed = sorted((row for row in rows if row[0] > 0), key=lambda row: -row[0])[:CLASSES]
    heads = ["class", "images", "recall in A", f"recall in {letter}"]
    return Table(heads, [row for _, row in changed]) if changed else None
