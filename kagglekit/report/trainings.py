"""A run's trainings: one, or one for each fold; a blend has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kagglekit.compute.smoothing import smoothed
from kagglekit.report import curves as logs
from kagglekit.report import rows
from kagglekit.report.curves import Curves, Line, Row, Timing
from kagglekit.report.svg import Curve, charts_of_both_widths
from kagglekit.report.worsened import Worsened, worsened
from kagglekit.runs.loaded import LoadedRun
from kagglekit.types.metric import TITLES
from kagglekit.types.stage import Stage

if TYPE_CHECKING:
    from markupsafe import Markup

POINTS = 1200  # of a curve: one for each pixel


@dataclass(frozen=True)
class Training:
    """A training's folder.

    Attributes:
        label: ``fold 2``; empty for the only one.
        loaded: Its folder and files.
    """

    label: str
    loaded: LoadedRun


@dataclass(frozen=True)
class StageEnd:
    """The end of a stage of a training.

    Attributes:
        label: The training's label.
        number: The stage's number in the recipe, from 1.
        stage: Its settings.
        last: The last row of its log.
        verdict: See `kagglekit.report.curves.verdict`.
        timing: Its time, broken down.
    """

    label: str
    number: int
    stage: Stage
    last: Row
    verdict: str
    timing: Timing


def trainings(loaded: LoadedRun) -> list[Training]:
    """List a run's trainings that have started."""
    folds = [(number, loaded.run.fold(number)) for number in range(1, loaded.recipe.folds + 1)]
    begun = [Training(f"fold {number}", LoadedRun.read(fold)) for number, fold in folds if fold.recipe_file.exists()]
    return begun or ([] if loaded.info.blend_of else [Training("", loaded)])


def stage_ends(training: Training, *, one_unit: bool = True) -> list[StageEnd]:
    """Judge a training's stages that have finished an epoch; see `kagglekit.report.curves.verdict`."""
    info, recipe, log = training.loaded.info, training.loaded.recipe, rows.log(training.loaded)
    stages = {stage.name: (number, stage) for number, stage in enumerate(recipe.stages, 1)}
    timings = logs.timings(log, info.stage_seconds, info.decoded)
    return [
        StageEnd(training.label, *stages[name], own[-1], logs.verdict(own, stages[name][1], one_unit=one_unit), timing)
        for (name, own), timing in zip(logs.by_stage(log).items(), timings, strict=True)
    ]


def how_worse(training: Training) -> Worsened | None:
    """Return how a training's last stage ended worse than an earlier epoch; see `worsened`."""
    info, recipe = training.loaded.info, training.loaded.recipe
    found = worsened(rows.log(training.loaded), recipe.stages, info.images.get("valid", 0), info.found_lrs)
    return replace(found, what=f"in {training.label} {found.what}") if found and training.label else found


def curves_of(training: Training) -> Curves:
    """Return the curves of a training's logs."""
    return logs.curves(rows.log(training.loaded), rows.steps(training.loaded.run))


def charts(
    ran: Sequence[Training], *, one_unit: bool = True, score: str = "loss", least: int = 1
) -> list[tuple[str, list[Curve], Markup]]:
    """Draw loss, other metrics, learning rate and momentum, with one line for each training.

    Args:
        ran: The trainings.
        one_unit: Draw both losses in one chart, in nats: they are the same quantity.
        score: Name of the score that is logged as the valid loss.
        least: Points of the curves of a chart that is drawn.

    Returns:
        Title, curves (for the legend) and drawing of each chart.
    """
    read = [(each.label, curves_of(each)) for each in ran]
    labels = [label for label, each in read if each.spans]
    found = [each for _, each in read if each.spans]
    if not found:
        return []
    longest = max(found, key=lambda each: each.spans[-1].end)
    losses = [_losses(each, of, alone=len(found) == 1) for each, of in zip(found, labels, strict=True)]
    train, valid = ([curve for each in losses for curve in each[part]] for part in (slice(-1), slice(-1, None)))
    drawn = [("Training loss", train), (f"Valid {TITLES.get(score, score)}", valid)]
    if one_unit:
        drawn = [("Loss, nats", [curve for each in losses for curve in each])]
    for key in longest.epochs:
        if key != "valid_loss":
            some = [Curve("", each.known(key), "c2", True, of) for each, of in zip(found, labels, strict=True)]
            drawn.append((title(key).capitalize(), some))
    for name, line in (("Learning rate of the head", longest.lr), ("Momentum", longest.momentum)):
        drawn.append((name, [Curve("", logs.thinned(line, POINTS), "c1")]))
    drawn = [(name, _named_once([curve for curve in some if curve.line.xs])) for name, some in drawn]
    return [
        (name, some, charts_of_both_widths(name, some, longest.spans))
        for name, some in drawn
        if any(len(curve.line.xs) >= least for curve in some)
    ]


def title(key: str) -> str:
    """Return the title of a score: ``valid log loss`` for ``valid_log_loss``."""
    split, _, metric = key.partition("_")
    return f"{split} {TITLES.get(metric, metric)}"


def _losses(found: Curves, of: str, alone: bool) -> list[Curve]:
    """Return the curves of a training's loss; with each step's loss only if there is no other training."""
    smooth = logs.thinned(Line(found.loss.xs, smoothed(found.loss.ys)), POINTS)
    each_step = [Curve("", logs.thinned(found.loss, POINTS), "faint", of="each step")] if alone else []
    valid = Curve("valid", found.known("valid_loss"), "c2", True, of)
    return [*each_step, Curve("training, smoothed", smooth, "c1", of=of), valid]


def _named_once(some: Sequence[Curve]) -> list[Curve]:
    """Remove the name from all but the first curve of each name, for the legend."""
    names: set[str] = set()
    kept = []
    for curve in some:
        again = curve.name in names
        named = " ".join(filter(None, (curve.name, curve.of))) if again else curve.of  # each value needs its name
        kept.append(replace(curve, name="" if again else curve.name, of=named))
        names.add(curve.name)
    return kept
