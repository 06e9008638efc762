"""What trained: one training, or one for each fold; a blend has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagglekit.compute.smoothing import smoothed
from kagglekit.report import curves as logs
from kagglekit.report import rows
from kagglekit.report.curves import Curves, Line, Row, Timing
from kagglekit.report.svg import Curve, chart
from kagglekit.runs.folder import Run
from kagglekit.types.metric import TITLES
from kagglekit.types.recipe import Stage

if TYPE_CHECKING:
    from markupsafe import Markup

POINTS = 1200  # of a curve: one a pixel


@dataclass(frozen=True)
class Training:
    """A training's folder.

    Attributes:
        label: ``fold 2``; empty for the only one.
        run: The folder.
    """

    label: str
    run: Run


@dataclass(frozen=True)
class StageEnd:
    """How a stage of a training ended.

    Attributes:
        label: The training's.
        number: The stage's in its recipe, from 1.
        stage: Its settings.
        last: The last row of its log.
        verdict: See `kagglekit.report.curves.verdict`.
        timing: Where its time went.
    """

    label: str
    number: int
    stage: Stage
    last: Row
    verdict: str
    timing: Timing


def trainings(run: Run) -> list[Training]:
    """List a run's trainings, as far as they have begun."""
    folds = [(number, run.fold(number)) for number in range(1, run.recipe().folds + 1)]
    begun = [Training(f"fold {number}", fold) for number, fold in folds if fold.recipe_file.exists()]
    return begun or ([] if run.info().blend_of else [Training("", run)])


def stage_ends(training: Training) -> list[StageEnd]:
    """Judge a training's stages, those that have finished an epoch."""
    info, log = training.run.info(), rows.log(training.run)
    stages = {stage.name: (number, stage) for number, stage in enumerate(training.run.recipe().stages, 1)}
    timings = logs.timings(log, info.stage_seconds, info.decoded)
    return [
        StageEnd(training.label, *stages[name], own[-1], logs.verdict(own, stages[name][1]), timing)
        for (name, own), timing in zip(logs.by_stage(log).items(), timings, strict=True)
    ]


def charts(ran: Sequence[Training]) -> list[tuple[str, list[Curve], Markup]]:
    """Draw loss, each further metric, learning rate and momentum; a line a training; the curves are for the legends."""
    found = [logs.curves(rows.log(each.run), rows.steps(each.run)) for each in ran]
    found = [each for each in found if each.spans]
    if not found:
        return []
    longest = max(found, key=lambda each: each.spans[-1].end)
    drawn = [("Loss, nats", [curve for each in found for curve in _losses(each, alone=len(found) == 1)])]
    for key in longest.epochs:
        if key != "valid_loss":
            drawn.append((title(key).capitalize(), [Curve("", _of(each, key), "c2", dots=True) for each in found]))
    for words, line in (("Learning rate of the head", longest.lr), ("Momentum", longest.momentum)):
        drawn.append((words, [Curve("", logs.thinned(line, POINTS), "c1")]))
    drawn = [(words, _named_once([curve for curve in some if curve.line.xs])) for words, some in drawn]
    return [(words, some, chart(words, some, longest.spans)) for words, some in drawn if some]


def title(key: str) -> str:
    """Word the name of a score: ``valid_log_loss`` is ``valid log loss``."""
    split, _, metric = key.partition("_")
    return f"{split} {TITLES.get(metric, metric)}"


def _losses(found: Curves, alone: bool) -> list[Curve]:
    """Return the curves of a training's loss; each step's is shown only where no other training's lie over it."""
    smooth = logs.thinned(Line(found.loss.xs, smoothed(found.loss.ys)), POINTS)
    each_step = [Curve("", logs.thinned(found.loss, POINTS), "faint")] if alone else []
    valid = Curve("valid", _of(found, "valid_loss"), "c2", dots=True)
    return [*each_step, Curve("training, smoothed", smooth, "c1"), valid]


def _of(found: Curves, key: str) -> Line:
    """Return the scores of the epochs that have one."""
    line = found.epochs.get(key, Line())
    known = [(x, y) for x, y in zip(line.xs, line.ys, strict=True) if y == y]
    return Line([x for x, _ in known], [y for _, y in known])


def _named_once(some: Sequence[Curve]) -> list[Curve]:
    """Leave each name to the first curve that has it, for the legend."""
    names: set[str] = set()
    kept = []
    for curve in some:
        kept.append(Curve("" if curve.name in names else curve.name, curve.line, curve.style, curve.dots))
        names.add(curve.name)
    return kept
