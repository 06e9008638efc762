"""The end of a training: the final weights, predictions of every member, and what they come to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from kagglekit.compute.network import save_weights
from kagglekit.prediction.members import Predicted, predict_members
from kagglekit.prediction.results import Results, Scored, finish_run
from kagglekit.runs.folder import Run
from kagglekit.training.context import RunContext, Snapshot
from kagglekit.training.log import record_decoding, record_valid
from kagglekit.types.ensemble import Member
from kagglekit.types.metric import Score
from kagglekit.types.predictions import load_predictions, save_predictions


def finish(context: RunContext, snapshots: Sequence[Snapshot]) -> dict[str, Score]:
    """Keep the final weights, predict, combine, score, and write the submission; return the ensemble's scores."""
    last = context.plan.recipe.stages[context.plan.stages[-1] - 1]
    save_weights(context.model, context.run.final_weights)
    started = time.perf_counter()
    predicted = predict_members(context, snapshots or [Snapshot("final", last, last.cycles)])
    if context.plan.fitted_on is None:
        record_valid(context)
    streamed = sum(each.seconds for each in context.images.decoded)
    record_decoding(context.run, context.images)
    context.run.update_info(predict_seconds=round(time.perf_counter() - started - streamed, 2))
    members, other = [each.member for each in predicted], context.plan.fitted_on
    if other is None:
        outcome = Results(context.plan, context.run, context.display, context.images.valid_labels())
    else:
        members = [replace(m, valid=load_predictions(other.predictions(m.name, "valid"))) for m in members]
        outcome = _fitted_outcome(context, other, members)
    return finish_run(outcome, members, _tables(context, predicted), _plain(context, predicted))


def _fitted_outcome(context: RunContext, other: Run, members: Sequence[Member]) -> Results:
    """Return the outcome of a training on all images, whose ensemble is fitted on another run's valid predictions.

    They are kept with their labels, so that the folder predicts by itself.
    """
    labels = pd.Series({row["id"]: row["label"] for row in other.valid()}, dtype="str").loc[members[0].valid.index]
    context.run.write_fitted_rows([{"id": str(image), "label": label} for image, label in labels.items()])
    for member in members:
        save_predictions(member.valid, context.run.fitted_on(member.name))
    return Results(context.plan, context.run, context.display, labels, scored=False)


def _tables(context: RunContext, predicted: Sequence[Predicted]) -> list[Scored]:
    """List what is scored: each member plain and with test-time augmentation."""
    tables = []
    for each in predicted:
        tables.append(Scored(each.member.name, "plain", each.plain_valid, each.plain_test))
        if context.plan.recipe.tta:
            tables.append(Scored(each.member.name, "TTA", each.member.valid, each.member.test))
    return tables


def _plain(context: RunContext, predicted: Sequence[Predicted]) -> list[Member]:
    """Return the members without test-time augmentation, where there is any."""
    if not context.plan.recipe.tta:
        return []
    return [replace(each.member, valid=each.plain_valid, test=each.plain_test) for each in predicted]
