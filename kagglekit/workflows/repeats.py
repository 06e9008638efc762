"""Repeat a recipe with several seeds: how much scores scatter, and which differences the valid images can show.

Two things blur the difference between two recipes that are each run once on the same valid images. The seed: if scores
of one recipe have the deviation s over seeds, their differences have sqrt(2) s. The images: a difference is a mean
over images, and has the standard error p = deviation of the images' own differences / sqrt(images) (paired). Both
are measured here from runs that differ only in the seed. A difference below twice the larger of the two is not
significant. If p is larger, more valid images are needed; otherwise more repeats: the mean of N runs has the deviation
s / sqrt(N).

For a metric that is not a mean over images (an area under a curve, an F1, a plugin's own), p comes from the jackknife:
the difference is computed without each of some parts of the images in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.data.scoring import scorer_of
from kagglekit.planning.plan import Plan, labels_of
from kagglekit.prediction.decide import cross_fitted
from kagglekit.report.page import leave_report
from kagglekit.runs.folder import Run
from kagglekit.runs.info import Record, Repeats
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UserError
from kagglekit.types.metric import Metric, Spread, title_of
from kagglekit.types.predictions import load_predictions

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit.tasks.task import Task

TRIED = 50  # images, to see whether a metric is a mean over images
PARTS = 50  # of the images, for the jackknife: an error is known to about 10 %


def repeated(plan: Plan) -> Iterator[Plan]:
    """Yield the plan with one seed after the other; all hold out the same images."""
    recipe, label = plan.recipe, plan.request.name or plan.recipe.arch
    for seed in range(recipe.seed, recipe.seed + plan.request.repeats):
        own = recipe.model_copy(update={"seed": seed, "split_seed": recipe.split_by})
        yield replace(plan, recipe=own, request=replace(plan.request, name=f"{label}-seed{seed}"))


def spread(name: str, values: NDArray[np.float64]) -> Spread:
    """Measure how a score scatters.

    Args:
        name: The score's name.
        values: (R, N): what each of N images adds to the mean that is the score, for each of R runs, two or more.
    """
    return _spread(name, values.mean(axis=1), [one.std() / np.sqrt(len(one)) for one in _differences(values)])


def spread_of_metric(
    metric: Metric, truth: NDArray[Any], tables: NDArray[np.float32], images: pd.DataFrame | None = None
) -> Spread:
    """Measure how a metric scatters, even if it is not a mean over images.

    Its paired error is that of the delete-a-group jackknife (Efron and Tibshirani 1993, "An introduction to the
    bootstrap", chapter 11, with groups in place of observations), which computes the metric some fifty times a
    run. The bootstrap would take hundreds of times.

    Args:
        metric: The metric.
        truth: (N,) or (N, C), see `kagglekit.tasks.task.Task`.
        tables: (R, N, C): predictions of R runs, two or more.
        images: Their N rows of the image table; None if the metric does not ask for them.
    """
    parts = np.random.default_rng(0).permutation(len(truth)) % PARTS
    without = [[_value(metric, truth, table, images, parts != part) for part in np.unique(parts)] for table in tables]
    pairs = _differences(np.array(without))
    values = np.array([metric.value(truth, table, images) for table in tables])
    return _spread(metric.name, values, [_jackknife(one[~np.isnan(one)]) for one in pairs])


def _jackknife(without: NDArray[np.float64]) -> float:
    """Return the standard error of a score from its values without each part; 0 if there are none."""
    return float(np.sqrt(len(without) - 1) * without.std()) if len(without) else 0.0


def _value(
    metric: Metric,
    truth: NDArray[Any],
    table: NDArray[np.float32],
    images: pd.DataFrame | None,
    rows: NDArray[np.bool_] | slice,
) -> float:
    """Score some of the images; nan if that is impossible (a class is missing)."""
    try:
        return metric.value(truth[rows], table[rows], None if images is None else images[rows])
    except UserError:
        return float("nan")


def _differences(values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return [values[a] - values[b] for a, b in combinations(range(len(values)), 2)]


def _spread(name: str, scores: NDArray[np.float64], errors: Sequence[float]) -> Spread:
    deviation, paired = float(scores.std(ddof=1)), float(np.mean(errors))
    return Spread(name, float(scores.mean()), deviation, paired, 2 * max(float(np.sqrt(2)) * deviation, paired))


def spreads(plan: Plan, runs: Sequence[Run]) -> list[Spread]:
    """Measure the task's scores and the competition's metric of finished runs with equal valid images."""
    tables = [load_predictions(run.predictions("ensemble", "valid")) for run in runs]
    ids = tables[0].index
    truth = plan.task.truth(labels_of(plan, tables[0]), tables[0])
    values = np.stack([table.loc[ids].to_numpy() for table in tables])
    images = plan.table[plan.table["split"] != "test"]
    images = images.set_index(images["id"].astype("str").rename("id"), drop=False).loc[ids]
    found = []
    for name in dict.fromkeys([*plan.task.scores, plan.competition.metric]):
        facts = plan.competition.model_copy(update={"metric": name})
        metric = plan.hooks.metric(facts, plan.task)
        if name == plan.competition.metric:
            found.append(_of_competition(plan, truth, values, images))
        elif (shares := _shares(plan.task, metric, truth, values, images)) is not None:
            found.append(spread(name, shares))
        else:
            found.append(spread_of_metric(metric, truth, values, images))
    return found


def _of_competition(plan: Plan, truth: NDArray[Any], values: NDArray[np.float32], images: pd.DataFrame) -> Spread:
    """Measure the competition's metric, decided as in each run's scores."""
    scorer = scorer_of(plan.hooks, plan.competition, plan.recipe, plan.task)
    by_row = [scorer.by_row(truth, one, images) for one in values]
    truth, _, rows = by_row[0]
    tables = np.stack([one for _, one, _ in by_row])
    if scorer.decision is not None:
        tables = np.stack([cross_fitted(scorer, truth, one, rows, plan.recipe.seed) for one in tables])
    shares = _shares(plan.task, scorer.metric, truth, tables, rows)
    known = plan.competition.metric in plan.task.scores
    return (
        spread(scorer.metric.name, shares)
        if known and shares is not None
        else (spread_of_metric(scorer.metric, truth, tables, rows))
    )


def _shares(
    task: Task, metric: Metric, truth: NDArray[Any], tables: NDArray[np.float32], images: pd.DataFrame
) -> NDArray[np.float64] | None:
    """Return (R, N) what each image adds to the mean that a metric is; None for a metric that is no such mean.

    The loss of the task is tried, then the metric of each image alone, on a few images first.
    """
    values = [metric.value(truth, table, images) for table in tables]
    if metric.name == task.score:
        losses = np.stack([task.losses(truth, table.astype(np.float64)) for table in tables])
        if np.allclose(losses.mean(axis=1), values, rtol=1e-5):
            return losses
    few = slice(0, TRIED)
    tried = _alone(metric, truth[few], tables[0][few], images[few])
    if not np.isclose(tried.mean(), _value(metric, truth, tables[0], images, few)):
        return None
    shares = np.stack([_alone(metric, truth, table, images) for table in tables])
    return shares if np.allclose(shares.mean(axis=1), values) else None


def _alone(
    metric: Metric, truth: NDArray[Any], table: NDArray[np.float32], images: pd.DataFrame
) -> NDArray[np.float64]:
    """Return (N,) the metric of each image alone; nan where that is impossible."""
    rows = (slice(row, row + 1) for row in range(len(truth)))
    return np.array([_value(metric, truth, table, images, row) for row in rows])


def record_spread(plan: Plan, runs: Sequence[Run], display: Display) -> None:
    """Print mean and deviation over the seeds, with verdicts; record them in each run's run.json and report."""
    found = spreads(plan, runs)
    columns = ("over seeds", "mean", "deviation", "error over images, paired", "smallest significant difference")
    rows = [(title_of(s.name), *(f"{v:.4f}" for v in (s.mean, s.deviation, s.paired_error, s.smallest))) for s in found]
    display.table(columns, rows)
    n = len(load_predictions(runs[0].predictions("ensemble", "valid")))
    for line in verdicts(found, n, len(runs)):
        display.report(line)
    repeats = Repeats(tuple(run.name for run in runs), tuple(found))
    for run in runs:
        Record.of(run.info_file).update(repeats=repeats)
        leave_report(run, display)


def verdicts(found: Sequence[Spread], images: int, runs: int) -> Iterator[str]:
    """Yield a line for each score: which differences the valid images can show."""
    unsure = round(100 / np.sqrt(2 * (runs - 1)))
    yield (
        "two recipes, each run once on these images, differ significantly if their scores differ by more than "
        f"2 max(sqrt(2) deviation, paired error); from {runs} runs the deviation is known to about {unsure} %"
    )
    for each in found:
        title = title_of(each.name)
        if not each.smallest:
            yield f"{title}: the runs agree on all {images:,} valid images, which cannot distinguish recipes"
            continue
        if each.paired_error > np.sqrt(2) * each.deviation:
            why = "the images are the limit, not the seeds: hold out more (--set valid=...), or use --folds"
        else:
            why = "the seeds are the limit, not the images: compare means over --repeats"
        yield f"{title}: {images:,} valid images distinguish recipes that differ by {each.smallest:.4f}; {why}"
