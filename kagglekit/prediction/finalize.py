"""The end of a training: the final weights, predictions of every member, and what they come to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from kagglekit.compute.network import save_weights
from kagglekit.prediction.members import Predicted, predict_members
from kagglekit.prediction.results import Outcome, Scored, conclude
from kagglekit.runs.folder import Run
from kagglekit.training.context import Snapshot, Work
from kagglekit.training.log import record_decoding, record_valid
from kagglekit.types.ensemble import Member
from kagglekit.types.metric import Score
from kagglekit.types.predictions import load_predictions, save_predictions


def finish(work: Work, snapshots: Sequence[Snapshot]) -> dict[str, Score]:
    """Keep the final weights, predict, combine, score, and write the submission; return the ensemble's scores."""
    last = work.plan.recipe.stages[work.plan.stages[-1] - 1]
    save_weights(work.model, work.run.final_weights)
    started = time.perf_counter()
    predicted = predict_members(work, snapshots or [Snapshot("final", last, last.cycles)])
    if work.plan.fitted_on is None:
        record_valid(work)
    streamed = sum(each.seconds for each in work.pictures.decoded)
    record_decoding(work.run, work.pictures)
    work.run.update_info(predict_seconds=round(time.perf_counter() - started - streamed, 2))
    members, other = [each.member for each in predicted], work.plan.fitted_on
    if other is None:
        outcome = Outcome(work.plan, work.run, work.display, work.pictures.valid_labels())
    else:
        members = [replace(m, valid=load_predictions(other.predictions(m.name, "valid"))) for m in members]
        outcome = _fitted_outcome(work, other, members)
    return conclude(outcome, members, _tables(work, predicted), _plain(work, predicted))


def _fitted_outcome(work: Work, other: Run, members: Sequence[Member]) -> Outcome:
    """Return the outcome of a training on all images, whose ensemble is fitted on another run's valid predictions.

    They are kept with their labels, so that the folder predicts by itself.
    """
    labels = pd.Series({row["id"]: row["label"] for row in other.valid()}, dtype="str").loc[members[0].valid.index]
    work.run.write_fitted_rows([{"id": str(image), "label": label} for image, label in labels.items()])
    for member in members:
        save_predictions(member.valid, work.run.fitted_on(member.name))
    return Outcome(work.plan, work.run, work.display, labels, scored=False)


def _tables(work: Work, predicted: Sequence[Predicted]) -> list[Scored]:
    """List what is scored: each member plain and with test-time augmentation."""
    tables = []
    for each in predicted:
        tables.append(Scored(each.member.name, "plain", each.plain_valid, each.plain_test))
        if work.plan.recipe.tta:
            tables.append(Scored(each.member.name, "TTA", each.member.valid, each.member.test))
    return tables


def _plain(work: Work, predicted: Sequence[Predicted]) -> list[Member]:
    """Return the members without test-time augmentation, where there is any."""
    if not work.plan.recipe.tta:
        return []
    return [replace(each.member, valid=each.plain_valid, test=each.plain_test) for each in predicted]
