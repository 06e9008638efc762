"""Combine members, score them, and write the checked submission."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from kagglekit.data.metadata import metadata_rows
from kagglekit.planning.plan import Plan
from kagglekit.prediction.explain.sure import test_image_rows
from kagglekit.prediction.scores import Results, Scored, decide, describe_scores, score_row
from kagglekit.prediction.submission_file import write_csv
from kagglekit.system.errors import NotForTask, UserError
from kagglekit.types.ensemble import Ensemble, Member
from kagglekit.types.metric import TITLES, Score
from kagglekit.types.predictions import save_predictions, with_missing_rows

NOT_COMPARED = ("average", "last", "auto")  # one needs weights of its own, one is a member, one is another by its name
FOR_ONE = ("temperature", "tabular")  # these may change a single member's predictions


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
    with results.display.status(f"combining the predictions: {results.plan.recipe.ensemble}"):
        ensemble = combine(results, members)
        decision = decide(results, ensemble.valid)
    if results.scored:
        save_predictions(ensemble.valid, results.run.predictions("ensemble", "valid"))
    save_predictions(ensemble.test, results.run.predictions("ensemble", "test"))
    if rows_of_test := test_image_rows(results.plan, ensemble.test):
        results.run.write_test_images(rows_of_test)
    if names := results.plan.competition.metadata:  # the run's folder then predicts without the training data
        labelled = results.plan.table[results.plan.table["split"] != "test"]
        results.run.write_metadata(metadata_rows(labelled, members[0].valid.index, names))
    last = Scored("ensemble", results.plan.recipe.ensemble, ensemble.valid, ensemble.test)
    tables = [*others, *_plain_ensemble(results, plain), last]
    rows = [score_row(results, each) for each in tables]
    listed = [{"name": m.name, "stage": m.stage, "cycle": m.cycle} for m in members]
    results.record.update(scores=rows, members=listed, fitted=ensemble.fitted, decision=decision)
    describe_scores(rows, results.plan, results.display)
    if said := _chosen(ensemble):
        results.display.report(said)
    _warn_of_views(results, rows)
    for doubt in ensemble.doubts:
        results.display.warn(doubt)
    write_csv(results, ensemble, decision)
    results.record.update(answered=results.plan.hooks.answered)
    return {key: Score(*value) for key, value in rows[-1].items() if isinstance(value, list)}


def _chosen(ensemble: Ensemble) -> str:
    """Return the line that says which ensemble was chosen by valid loss, and those it was chosen from."""
    losses = ensemble.fitted.get("valid losses")
    if not losses:
        return ""
    listed = ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items())
    gain, error = (ensemble.fitted[key] for key in ("gain over the best member", "standard error of the gain"))
    over = f"; {gain:.4f} ± {error:.4f} below the best member" if gain else ""
    return f"ensemble auto: {ensemble.fitted['chosen']}, by valid loss: {listed}{over}"


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


def _warn_of_views(results: Results, rows: Sequence[dict[str, Any]]) -> None:
    """Warn if the augmented views make the competition's metric clearly worse: images may not be seen that way."""
    plan = results.plan
    key, views = f"valid_{plan.competition.metric}", f"{plan.recipe.ensemble}, plain"
    plain = next((row[key] for row in rows if row["views"] == views and key in row), None)
    augmented = rows[-1].get(key)
    if plain is None or augmented is None:
        return
    sign = 1 if plan.hooks.metric(plan.competition, plan.task).greater_is_better else -1
    if sign * (plain[0] - augmented[0]) > max(plain[1], augmented[1]):
        results.display.warn(
            f"test-time augmentation makes {TITLES.get(plan.competition.metric, plan.competition.metric)} worse on the "
            f"valid images: {plain[0]:.4f} -> {augmented[0]:.4f}; the CSV has it: try --set tta=0"
        )


def combine(results: Results, members: Sequence[Member]) -> Ensemble:
    """Combine the members with the ensemble hook; test images that cannot be decoded get the mean prediction."""
    plan = results.plan
    ensemble = plan.hooks.ensemble(list(members), results.labels, plan.recipe, plan.task, _groups(plan), plan.metadata)
    plan.task.check(ensemble.valid, list(members[0].valid.index))
    plan.task.check(ensemble.test, list(members[0].test.index))
    ids = [str(image) for image in plan.table.loc[plan.table["split"] == "test", "id"]]
    test = ensemble.test if len(ensemble.test) == len(ids) else with_missing_rows(ensemble.test, ids)
    return replace(ensemble, test=test)


def _groups(plan: Plan) -> pd.Series[str] | None:
    """Return the labelled images' groups by id; None if there are no groups."""
    if "group" not in plan.table:
        return None
    labelled = plan.table[plan.table["split"] != "test"]
    return labelled.set_index(labelled["id"].astype("str"))["group"]


def candidates(results: Results, members: Sequence[Member]) -> list[Scored]:
    """Combine the members with every ensemble that plugins provide, except the chosen one.

    Each valid table is unbiased, even if the ensemble is fitted (see `Ensemble`), but the best of many scores is
    slightly optimistic.
    """
    plan = results.plan
    names = [name for name in plan.hooks.provides().ensemble if name not in (*NOT_COMPARED, plan.recipe.ensemble)]
    if len(members) == 1:
        names = [name for name in names if name in FOR_ONE]
    lines = []
    for name in names if len(results.labels) else []:
        recipe = plan.recipe.model_copy(update={"ensemble": name})
        try:
            made = combine(replace(results, plan=replace(plan, recipe=recipe)), members)
        except NotForTask:
            continue
        except UserError as error:  # it was not requested: no reason to fail
            results.display.warn(f"the ensemble {name!r} is left out of the comparison: {error.what}")
        else:
            lines.append(Scored("candidate", name, made.valid, made.test))
    return lines
