"""The end of a training: final weights, predictions of every member, their ensemble, scores and the submission."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from kagglekit.planning.plan import Plan
from kagglekit.prediction.explain.pictures import leave_pictures
from kagglekit.prediction.finish import finish
from kagglekit.prediction.members import Predicted, predict_members
from kagglekit.prediction.results import finish_run
from kagglekit.prediction.scores import Results, Scored
from kagglekit.runs.folder import Run
from kagglekit.training.context import RunContext, Snapshot
from kagglekit.training.log import record_decoding, record_valid
from kagglekit.types.ensemble import Member
from kagglekit.types.metric import Score
from kagglekit.types.predictions import load_predictions, save_predictions


def finalize(plan: Plan, context: RunContext) -> dict[str, Score]:
    """Save the final weights, predict, combine, score, and write the submission; return the ensemble's scores.

    Of several processes, all predict, and the first one does the rest; the others return nothing.
    """
    last = context.stage(context.stages[-1])
    context.save_weights(context.model, context.run.final_weights)
    started = time.perf_counter()
    if plan.fitted_on and plan.fitted_on.info.size_weights:  # there are no valid images to find them on
        context.record.update(size_weights=plan.fitted_on.info.size_weights)
    snapshots = list(context.position.snapshots)
    if not last.stacks and all(each.stage.stacks for each in snapshots):
        snapshots.append(Snapshot("final", last, last.cycles))
    finish(context, snapshots, plan.fitted_on)
    predicted = predict_members(context, snapshots)
    if not context.ranks.is_first:
        return {}
    if plan.fitted_on is None:
        record_valid(context)
    streamed = sum(each.seconds for each in context.images.decoded)
    record_decoding(context.record, context.images)
    context.record.update(predict_seconds=round(time.perf_counter() - started - streamed, 2))
    members = [each.member for each in predicted]
    results = Results(plan, context.run, context.record, context.display, context.images.valid_labels())
    if plan.fitted_on:
        members = [_with_valid(member, plan.fitted_on.run) for member in members]
        results = replace(results, labels=_fitted_labels(context.run, plan.fitted_on.run, members), scored=False)
    scores = finish_run(results, members, _tables(context, predicted), _plain(context, predicted))
    leave_pictures(context, snapshots, predicted)
    return scores


def _with_valid(member: Member, other: Run) -> Member:
    """Return a member with the valid predictions of another run, which the ensemble is fitted on."""
    return replace(member, valid=load_predictions(other.predictions(member.name, "valid")))


def _fitted_labels(run: Run, other: Run, members: Sequence[Member]) -> pd.Series[str]:
    """Keep the predictions and labels of another run that the ensemble is fitted on; return the labels.

    The run's folder then predicts without the other run.
    """
    labels = pd.Series({row["id"]: row["label"] for row in other.valid()}, dtype="str").loc[members[0].valid.index]
    run.write_fitted_rows([{"id": str(image), "label": label} for image, label in labels.items()])
    for member in members:
        save_predictions(member.valid, run.fitted_on(member.name))
    return labels


def _tables(context: RunContext, predicted: Sequence[Predicted]) -> list[Scored]:
    """List the scored predictions: each member's, plain and with test-time augmentation."""
    tables = []
    for each in predicted:
        tables.append(Scored(each.member.name, "plain", each.plain_valid, each.plain_test))
        if context.recipe.augments:
            tables.append(Scored(each.member.name, "TTA", each.member.valid, each.member.test))
    return tables


def _plain(context: RunContext, predicted: Sequence[Predicted]) -> list[Member]:
    """Return the members without test-time augmentation; empty if the recipe has none."""
    if not context.recipe.augments:
        return []
    return [replace(each.member, valid=each.plain_valid, test=each.plain_test) for each in predicted]
