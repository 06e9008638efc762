"""The end of a training: the final weights, predictions of every member, and what they come to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from kagglekit.ensemble import Member
from kagglekit.journal import record_decoding, record_valid
from kagglekit.members import Predicted, predict_members
from kagglekit.metric import Score
from kagglekit.model import save_weights
from kagglekit.outcome import Outcome, Scored, conclude
from kagglekit.predictions import load_predictions, save_predictions
from kagglekit.work import Snapshot, Work


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
    return conclude(_outcome(work), _members(work, predicted), _tables(work, predicted))


def _outcome(work: Work) -> Outcome:
    plan = work.plan
    if plan.fitted_on is None:
        return Outcome(plan, work.run, work.display, work.pictures.valid_labels())
    labels = pd.Series({row["id"]: row["label"] for row in plan.fitted_on.valid()}, dtype="str")
    return Outcome(plan, work.run, work.display, labels, scored=False)


def _members(work: Work, predicted: Sequence[Predicted]) -> list[Member]:
    """Return the members; where the ensemble is fitted on another run, with that one's valid predictions."""
    members, other = [each.member for each in predicted], work.plan.fitted_on
    if other is None:
        return members
    fitted = [replace(m, valid=load_predictions(other.predictions(m.name, "valid"))) for m in members]
    labels = _outcome(work).labels
    work.run.write_fitted_rows([{"id": image, "label": labels[image]} for image in fitted[0].valid.index])
    for member in fitted:  # so that the folder predicts by itself
        save_predictions(member.valid, work.run.fitted_on(member.name))
    return fitted


def _tables(work: Work, predicted: Sequence[Predicted]) -> list[Scored]:
    """List what is scored: each member plain and with test-time augmentation."""
    tables = []
    for each in predicted:
        tables.append(Scored(each.member.name, "plain", each.plain_valid, each.plain_test))
        if work.plan.recipe.tta:
            tables.append(Scored(each.member.name, "TTA", each.member.valid, each.member.test))
    return tables
