"""Score predictions with standard errors, the competition's metric as the CSV will be scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagglekit.data.scoring import Scorer, scorer_of
from kagglekit.planning.plan import Plan
from kagglekit.prediction.decide import cross_fitted, find, score_of
from kagglekit.runs.folder import Run
from kagglekit.runs.info import FoundDecision, Record
from kagglekit.system.damage import reason
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UserError
from kagglekit.types.metric import Metric, Score, title_of

MOST_SHOWN = 8  # parameters of a decision


@dataclass(frozen=True)
class Results:
    """The place of results, and the labels that predictions are scored with.

    Attributes:
        plan: The run's plan.
        run: Its folder.
        record: Its run.json.
        display: Shows the scores.
        labels: Labels, by id, of the images in the members' valid tables.
        scored: Whether the valid tables are this run's own, and are scored; those of another run, which an ensemble was
            fitted on, are not.
    """

    plan: Plan
    run: Run
    record: Record
    display: Display
    labels: pd.Series[str]
    scored: bool = True

    @cached_property
    def scorer(self) -> Scorer:
        """The scorer of the competition's metric."""
        plan = self.plan
        return scorer_of(plan.hooks, plan.competition, plan.recipe, plan.task)


@dataclass(frozen=True)
class Scored:
    """A line of the table of scores: a member's predictions under some views."""

    member: str
    views: str
    valid: pd.DataFrame
    test: pd.DataFrame


def metrics_of(plan: Plan) -> list[Metric]:
    """Return the metrics to report beside the competition's: the task's own, and balanced accuracy beside accuracy."""
    names = dict.fromkeys(plan.task.scores)
    if plan.competition.metric == "accuracy":
        names["balanced_accuracy"] = None
    facts = [plan.competition.model_copy(update={"metric": name}) for name in names if name != plan.competition.metric]
    return [plan.hooks.metric(each, plan.task) for each in facts]


def score_row(results: Results, table: Scored) -> dict[str, Any]:
    """Score predictions on every split with labels: ``{"member", "views", "valid_log_loss": [value, error], ...}``."""
    plan = results.plan
    found: dict[str, Score] = {}
    if results.scored and len(table.valid):
        found |= {f"valid_{k}": s for k, s in _score(results, table.valid, results.labels, None).items()}
    if plan.truth is not None and len(table.test):
        found |= {f"test_{k}": s for k, s in _score(results, table.test, plan.truth, table.valid).items()}
    flat = {key: [round(score.value, 6), round(score.error, 6)] for key, score in found.items()}
    return {"member": table.member, "views": table.views, **flat}


def _score(
    results: Results, table: pd.DataFrame, labels: pd.Series[str], fitted_on: pd.DataFrame | None
) -> dict[str, Score]:
    """Return the scores of a table of predictions, in the order of reports.

    A metric that fails is a warning: after hours of training it must not cost the CSV.

    Args:
        results: See `Results`.
        table: Predictions of images; they are scored a row of the CSV at a time.
        labels: Labels by id.
        fitted_on: Of test predictions, the valid ones that a decision is found on; None for valid predictions, which
            are decided by cross-fitting.
    """
    plan = results.plan
    scorer, images = results.scorer, _rows_of(plan, table, test=fitted_on is not None)
    truth, values, rows = scorer.by_row(plan.task.truth(labels, table), table.to_numpy(), images)
    ways: dict[str, Callable[[], Score]] = {
        metric.name: partial(metric.measure, truth, values, rows) for metric in metrics_of(plan)
    }
    ways[scorer.metric.name] = partial(_of_competition, results, scorer, (truth, values, rows), fitted_on)
    found = {}
    for name in sorted(ways, key=_order(plan)):
        try:
            found[name] = ways[name]()
        except Exception as error:  # of a plugin's metric, anything
            results.display.warn(f"{len(table):,} predictions are not scored by {name}: {reason(error)}")
    return found


def _order(plan: Plan) -> Callable[[str], int]:
    """Return a key that sorts names of metrics: the task's, then the competition's."""
    names = list(dict.fromkeys([*plan.task.scores, plan.competition.metric, "balanced_accuracy"]))
    return names.index


def _of_competition(
    results: Results,
    scorer: Scorer,
    scored: tuple[Any, NDArray[np.float32], pd.DataFrame],
    fitted_on: pd.DataFrame | None,
) -> Score:
    """Return the competition's metric, decided as in the CSV."""
    truth, values, table = scored
    if scorer.decision is None or scorer.decision.fit is None:
        return scorer.metric.measure(truth, scorer.decided(values), table)
    if fitted_on is None:
        return scorer.metric.measure(truth, cross_fitted(scorer, truth, values, table, results.plan.recipe.seed), table)
    found = find(scorer, *_on_valid(results, scorer, fitted_on))
    return scorer.metric.measure(truth, scorer.decided(values, found), table)


def _on_valid(results: Results, scorer: Scorer, valid: pd.DataFrame) -> tuple[Any, NDArray[np.float32], pd.DataFrame]:
    """Return truth, predictions and image table of valid predictions, a row for each row of the CSV."""
    plan = results.plan
    return scorer.by_row(plan.task.truth(results.labels, valid), valid.to_numpy(), _rows_of(plan, valid, test=False))


def _rows_of(plan: Plan, table: pd.DataFrame, *, test: bool) -> pd.DataFrame:
    """Return the image table's rows of a table of predictions, in its order."""
    rows = plan.table[(plan.table["split"] == "test") == test]
    return rows.set_index(rows["id"].astype("str").rename("id"), drop=False).loc[table.index]


def decide(results: Results, valid: pd.DataFrame) -> FoundDecision | None:
    """Find the decision on valid predictions; report it. None if the CSV holds the predictions themselves."""
    scorer, decision = results.scorer, results.scorer.decision
    if decision is None:
        return None
    if decision.fit is None or not len(valid):
        return FoundDecision(decision.name, decision.plain)
    truth, values, table = _on_valid(results, scorer, valid)
    found = find(scorer, truth, values, table)
    results.display.report(f"decision {decision.name}, found on {len(values):,} valid predictions: {_shown(found)}")
    curves = decision.curves(found, truth, values, score_of(scorer, table)) if decision.curves else {}
    return FoundDecision(decision.name, found, curves)


def check_scorable(plan: Plan, rows: pd.DataFrame, whose: str) -> None:
    """Check that the metrics can score images, before anything is trained.

    Args:
        plan: The plan.
        rows: Their rows of the image table.
        whose: The images, for the message.

    Raises:
        UserError: A metric needs others, for example roc_auc images of two classes.
    """
    scorer = scorer_of(plan.hooks, plan.competition, plan.recipe, plan.task)  # refuses classes that it is not for
    if not len(rows):
        return
    truth, even = plan.task.encode(rows["label"].tolist()), plan.task.placeholder(len(rows))
    try:
        scorer.measure(truth, even, rows)
    except UserError as error:
        raise UserError(f"{whose}: {error.what}", error.hint) from error


def describe_scores(rows: Sequence[dict[str, Any]], plan: Plan, display: Display) -> None:
    """Print every member's and the ensemble's scores with their standard errors; nothing if there are none.

    A metric's valid and test score stay side by side.
    """
    metrics = list(dict.fromkeys(key.partition("_")[2] for key in rows[-1] if key not in ("member", "views")))
    keys = [key for metric in metrics for key in (f"valid_{metric}", f"test_{metric}") if key in rows[-1]]
    if not keys:
        return
    columns = ["member", "views", *map(title_of, keys)]
    cells = [[row["member"], row["views"], *(_cell(row.get(key)) for key in keys)] for row in rows]
    display.table(columns, cells, keys=2, together=[metrics.index(key.partition("_")[2]) for key in keys])
    if plan.truth is not None and any(key.startswith("test_") for key in keys):
        display.report("test scores use known labels, which training never sees")


def _cell(score: list[float] | None) -> str:
    return f"{score[0]:.4f} ± {score[1]:.4f}" if score else ""


def _shown(found: Any) -> str:
    """Return what was found, in short: numbers with three digits, at most eight."""
    if isinstance(found, dict):
        parts = [f"{key} {_shown(value)}" for key, value in list(found.items())[:MOST_SHOWN]]
        return ", ".join(parts) + (", ..." if len(found) > MOST_SHOWN else "")
    if isinstance(found, (list, tuple)):
        return " ".join(_shown(each) for each in found[:MOST_SHOWN]) + (" ..." if len(found) > MOST_SHOWN else "")
    return f"{found:.3g}" if isinstance(found, float) else str(found)
