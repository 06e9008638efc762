"""Write the checked submission of a run."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kagglekit.data.long_form import rows_about
from kagglekit.data.sample import checked_against, no_sample
from kagglekit.data.scoring import for_csv, scorer_of
from kagglekit.data.submission import check_submission, doubt, write_submission
from kagglekit.planning.plan import Plan
from kagglekit.prediction.scores import Results
from kagglekit.runs.info import FoundDecision
from kagglekit.types.ensemble import Ensemble
from kagglekit.types.metric import TITLES
from kagglekit.types.predictions import make_predictions


def write_csv(results: Results, ensemble: Ensemble, decision: FoundDecision | None) -> None:
    """Check and write submission.csv, if there are test images."""
    plan, display = results.plan, results.display
    if not len(ensemble.test):
        display.report("no test images: no submission is written")
        return
    if plan.recipe.clip:
        _report_clip_gain(results, ensemble)
    rows = submission_rows(plan, _for_csv(plan, ensemble.test, decision.found if decision else None))
    write_submission(rows, results.run.submission)
    limited = " (of a limited run: not for upload)" if plan.recipe.limit else ""
    checked = f"{checked_against(plan.sample)}{limited}"
    display.report(f"submission: {results.run.submission} with {len(rows):,} rows{checked}")
    if plan.sample is None and plan.competition.slug:
        display.warn(no_sample(plan.data))


def _for_csv(plan: Plan, test: pd.DataFrame, found: Any = None) -> pd.DataFrame:
    scorer = scorer_of(plan.hooks, plan.competition, plan.recipe, plan.task)
    return for_csv(scorer, test, plan.table[plan.table["split"] == "test"], found, plan.recipe.clip)


def submission_rows(plan: Plan, test: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the CSV, checked.

    Args:
        plan: The plan.
        test: What the CSV holds, see `for_csv`.

    Raises:
        UserError: They differ from the sample submission.
    """
    sample, name = (plan.sample.rows, plan.sample.file.name) if plan.sample else (None, "")
    if sample is not None and plan.recipe.limit:
        sample = rows_about(sample, test.index, plan.task.targets)
    rows = plan.hooks.submission(plan.competition, test, sample, plan.task)
    check_submission(rows, sample, test, plan.competition, plan.task, name)
    return rows


def try_form(plan: Plan) -> str:
    """Write placeholders in the form of the CSV and discard them, so that misfits are known before training.

    Returns:
        A warning if metric and form are at odds; else an empty string.

    Raises:
        UserError: See `submission_rows`.
    """
    images = plan.table[plan.table["split"] == "test"]
    if images.empty:
        return ""
    blank = make_predictions(images["id"].tolist(), plan.classes, plan.task.placeholder(len(images)))
    return doubt(submission_rows(plan, _for_csv(plan, blank)), plan.competition.metric)


def _report_clip_gain(results: Results, ensemble: Ensemble) -> None:
    if not results.scored or not len(ensemble.valid):
        return
    plan, valid = results.plan, ensemble.valid
    loss = plan.hooks.metric(plan.competition.model_copy(update={"metric": plan.task.score}), plan.task)
    truth, clipped = plan.task.truth(results.labels, valid), plan.task.clip(valid, plan.recipe.clip)
    before, after = (loss.value(truth, table.to_numpy()) for table in (valid, clipped))
    title = TITLES.get(loss.name, loss.name)
    results.display.report(f"clipping to {plan.recipe.clip:g}: valid {title} {before:.4f} -> {after:.4f}")
