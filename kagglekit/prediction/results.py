"""Combine members, score them with standard errors, and write the checked submission."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.data.sample import checked_against, no_sample
from kagglekit.data.submission import check_submission, clip_predictions, doubt, write_submission
from kagglekit.planning.plan import Plan
from kagglekit.runs.folder import Run
from kagglekit.runs.info import Record
from kagglekit.system.console import Display
from kagglekit.system.damage import reason
from kagglekit.system.errors import UserError
from kagglekit.types.ensemble import Ensemble, Member
from kagglekit.types.metric import TITLES, Metric, Score
from kagglekit.types.predictions import (
    check_predictions,
    make_predictions,
    save_predictions,
    truth_numbers,
    with_missing_rows,
)

NEEDS_MORE = ("average", "last")  # not compared: one needs weights of its own, the other is a member
FOR_ONE = ("temperature",)  # these may change a single member's predictions


@dataclass(frozen=True)
class Results:
    """The place of results, and the labels that predictions are scored with.

    Attributes:
        plan: The run's plan.
        run: Its folder.
        record: Its run.json.
        display: Shows the scores.
        labels: Class names, by id, of the images in the members' valid tables.
        scored: Whether the valid tables are this run's own, and are scored; those of another run, which an ensemble was
            fitted on, are not.
    """

    plan: Plan
    run: Run
    record: Record
    display: Display
    labels: pd.Series[str]
    scored: bool = True


@dataclass(frozen=True)
class Scored:
    """A line of the table of scores: a member's predictions under some views."""

    member: str
    views: str
    valid: pd.DataFrame
    test: pd.DataFrame


def finish_run(
    results: Results, members: Sequence[Member], others: Sequence[Scored], plain: Sequence[Member] = ()
) -> dict[str, Score]:
    """Combine, score and write the submission; return the ensemble's scores.

    Args:
        results: See `Results`.
        members: The members to combine.
        others: Predictions to score beside the ensemble.
        plain: The members without test-time augmentation, if the recipe has it: their ensemble is scored, too.
    """
    ensemble = combine(results, members)
    if results.scored:
        save_predictions(ensemble.valid, results.run.predictions("ensemble", "valid"))
    save_predictions(ensemble.test, results.run.predictions("ensemble", "test"))
    last = Scored("ensemble", results.plan.recipe.ensemble, ensemble.valid, ensemble.test)
    tables = [*others, *_plain_ensemble(results, plain), last]
    rows = [score_row(results, each) for each in tables]
    listed = [{"name": m.name, "stage": m.stage, "cycle": m.cycle} for m in members]
    results.record.update(scores=rows, members=listed, fitted=ensemble.fitted)
    describe_scores(rows, results.plan, results.display)
    write_csv(results, ensemble)
    results.record.update(answered=results.plan.hooks.answered)
    return {key: Score(*value) for key, value in rows[-1].items() if isinstance(value, list)}


def _plain_ensemble(results: Results, plain: Sequence[Member]) -> list[Scored]:
    """Combine the members' predictions without test-time augmentation; the ensemble is fitted on those."""
    if not plain or not results.scored:
        return []
    name = results.plan.recipe.ensemble
    try:
        made = combine(results, plain)
    except UserError as error:  # it only shows the gain from augmentation: no reason to fail
        results.display.warn(f"the ensemble {name!r} of plain predictions is not scored: {error.what}")
        return []
    return [Scored("ensemble", f"{name}, plain", made.valid, made.test)]


def combine(results: Results, members: Sequence[Member]) -> Ensemble:
    """Combine the members with the ensemble hook; test images that cannot be decoded get the mean prediction."""
    plan = results.plan
    ensemble = plan.hooks.ensemble(list(members), results.labels, plan.recipe, _groups(plan))
    check_predictions(ensemble.valid, plan.classes, list(members[0].valid.index))
    check_predictions(ensemble.test, plan.classes, list(members[0].test.index))
    ids = [str(image) for image in plan.table.loc[plan.table["split"] == "test", "id"]]
    test = ensemble.test if len(ensemble.test) == len(ids) else with_missing_rows(ensemble.test, ids)
    return Ensemble(ensemble.valid, test, ensemble.fitted)


def _groups(plan: Plan) -> pd.Series[str] | None:
    """Return the labelled images' groups by id; None if there are no groups."""
    if "group" not in plan.table:
        return None
    labelled = plan.table[plan.table["split"] != "test"]
    return labelled.set_index(labelled["id"].astype("str"))["group"]


def metrics_of(plan: Plan) -> list[Metric]:
    """Return the metrics to report: log loss, accuracy, the competition's; and balanced accuracy beside accuracy."""
    names = dict.fromkeys(["log_loss", "accuracy", plan.competition.metric])
    if plan.competition.metric == "accuracy":
        names["balanced_accuracy"] = None
    return [plan.hooks.metric(plan.competition.model_copy(update={"metric": name}), plan.classes) for name in names]


def score_row(results: Results, table: Scored) -> dict[str, Any]:
    """Score predictions on every split with labels: ``{"member", "views", "valid_log_loss": [value, error], ...}``."""
    metrics = metrics_of(results.plan)
    valid = results.labels if results.scored else None
    found = {
        **{f"valid_{k}": s for k, s in score_table(metrics, table.valid, valid, results.display).items()},
        **{f"test_{k}": s for k, s in score_table(metrics, table.test, results.plan.truth, results.display).items()},
    }
    flat = {key: [round(score.value, 6), round(score.error, 6)] for key, score in found.items()}
    return {"member": table.member, "views": table.views, **flat}


def score_table(
    metrics: Sequence[Metric], table: pd.DataFrame, truth: pd.Series[str] | None, display: Display
) -> dict[str, Score]:
    """Return the scores of a table of predictions; empty if its labels are unknown.

    A metric that fails is a warning: after hours of training it must not cost the CSV.
    """
    if truth is None or not len(table):
        return {}
    numbers = truth_numbers(truth, table)
    found = {}
    for metric in metrics:
        try:
            found[metric.name] = metric.score(numbers, table.to_numpy())
        except Exception as error:  # of a plugin's metric, anything
            display.warn(f"{len(table):,} predictions are not scored by {metric.name}: {reason(error)}")
    return found


def check_scorable(plan: Plan, labels: Sequence[str], whose: str) -> None:
    """Check that the metrics can score images with these labels, before anything is trained.

    Raises:
        UserError: A metric needs others, for example roc_auc images of two classes.
    """
    metrics = metrics_of(plan)  # refuses classes that a metric cannot be computed for, even if there are no labels
    numbers = np.searchsorted(plan.classes, labels)
    even = np.full((len(labels), len(plan.classes)), 1 / len(plan.classes), dtype=np.float32)
    for metric in metrics if len(labels) else ():
        try:
            metric.score(numbers, even)
        except UserError as error:
            raise UserError(f"{whose}: {error.what}", error.hint) from error


def write_csv(results: Results, ensemble: Ensemble) -> None:
    """Check and write submission.csv, if there are test images."""
    plan, display = results.plan, results.display
    if not len(ensemble.test):
        display.report("no test images: no submission is written")
        return
    test = ensemble.test
    if plan.recipe.clip:
        test = clip_predictions(test, plan.recipe.clip)
        _report_clip_gain(results, ensemble)
    rows = submission_rows(plan, test)
    write_submission(rows, results.run.submission)
    limited = " (of a limited run: not for upload)" if plan.recipe.limit else ""
    checked = f"{checked_against(plan.sample)}{limited}"
    display.report(f"submission: {results.run.submission} with {len(rows):,} rows{checked}")
    if plan.sample is None and plan.competition.slug:
        display.warn(no_sample(plan.data))


def submission_rows(plan: Plan, test: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the CSV, checked.

    Raises:
        UserError: They differ from the sample submission.
    """
    sample, name = (plan.sample.rows, plan.sample.file.name) if plan.sample else (None, "")
    if sample is not None and plan.recipe.limit:
        sample = sample[sample.iloc[:, 0].isin(test.index)]
    rows = plan.hooks.submission(plan.competition, test, sample)
    check_submission(rows, sample, test, plan.competition, name)
    return rows


def try_form(plan: Plan) -> str:
    """Write even probabilities in the form of the CSV and discard them, so that misfits are known before training.

    Returns:
        A warning if metric and form are at odds; else an empty string.

    Raises:
        UserError: See `submission_rows`.
    """
    ids = plan.table.loc[plan.table["split"] == "test", "id"].tolist()
    if not ids:
        return ""
    even = np.full((len(ids), len(plan.classes)), 1 / len(plan.classes), dtype=np.float32)
    return doubt(submission_rows(plan, make_predictions(ids, plan.classes, even)), plan.competition.metric)


def _report_clip_gain(results: Results, ensemble: Ensemble) -> None:
    if not results.scored or not len(ensemble.valid):
        return
    log_loss = [results.plan.hooks.metric(results.plan.competition.model_copy(update={"metric": "log_loss"}))]
    before = score_table(log_loss, ensemble.valid, results.labels, results.display)["log_loss"].value
    clipped = clip_predictions(ensemble.valid, results.plan.recipe.clip)
    after = score_table(log_loss, clipped, results.labels, results.display)["log_loss"].value
    results.display.report(f"clipping to {results.plan.recipe.clip:g}: valid log loss {before:.4f} -> {after:.4f}")


def describe_scores(rows: Sequence[dict[str, Any]], plan: Plan, display: Display) -> None:
    """Print every member's and the ensemble's scores with their standard errors."""
    keys = [key for key in rows[-1] if key not in ("member", "views")]
    columns = ["member", "views", *(_title(key) for key in keys)]
    display.table(
        columns, [[row["member"], row["views"], *(_cell(row.get(key)) for key in keys)] for row in rows], keys=2
    )
    if plan.truth is not None and any(key.startswith("test_") for key in keys):
        display.report("test scores use known labels, which training never sees")


def _title(key: str) -> str:
    split, _, metric = key.partition("_")
    return f"{split} {TITLES.get(metric, metric)}"


def _cell(score: list[float] | None) -> str:
    return f"{score[0]:.4f} ± {score[1]:.4f}" if score else ""


def candidates(results: Results, members: Sequence[Member]) -> list[Scored]:
    """Combine the members with every ensemble that plugins provide, except the chosen one.

    Each valid table is unbiased, even if the ensemble is fitted (see `Ensemble`), but the best of many scores is
    slightly optimistic.
    """
    plan = results.plan
    names = [name for name in plan.hooks.provides().ensemble if name not in (*NEEDS_MORE, plan.recipe.ensemble)]
    if len(members) == 1:
        names = [name for name in names if name in FOR_ONE]
    lines = []
    for name in names if len(results.labels) else []:
        recipe = plan.recipe.model_copy(update={"ensemble": name})
        try:
            made = combine(replace(results, plan=replace(plan, recipe=recipe)), members)
        except UserError as error:  # it was not requested: no reason to fail
            results.display.warn(f"the ensemble {name!r} is left out of the comparison: {error.what}")
        else:
            lines.append(Scored("candidate", name, made.valid, made.test))
    return lines
