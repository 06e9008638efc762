"""The end of a run: predictions of every member, their combination, scores, and the checked submission."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from kagglekit.describe import describe_scores
from kagglekit.ensemble import Ensemble
from kagglekit.journal import record_valid
from kagglekit.members import Predicted, combine, predict_members, score_table
from kagglekit.metric import Metric, Score
from kagglekit.model import save_weights
from kagglekit.predictions import save_predictions
from kagglekit.submission import check_submission, clip_predictions, read_sample, write_submission
from kagglekit.work import Snapshot, Work


def finish(work: Work, snapshots: Sequence[Snapshot]) -> dict[str, Score]:
    """Keep the final weights, predict, combine, score, and write the submission; return the ensemble's scores."""
    last = work.plan.recipe.stages[work.plan.stages[-1] - 1]
    save_weights(work.model, work.run.final_weights)
    started = time.perf_counter()
    predicted = predict_members(work, snapshots or [Snapshot("final", last, last.cycles)])
    ensemble = combine(work, [each.member for each in predicted])
    for split, table in (("valid", ensemble.valid), ("test", ensemble.test)):
        save_predictions(table, work.run.predictions("ensemble", split))
    record_valid(work)
    work.run.update_info(predict_seconds=round(time.perf_counter() - started, 2))
    rows, scores = _score_all(work, predicted, ensemble)
    work.run.update_info(scores=rows, fitted=ensemble.fitted)
    describe_scores(rows, work.plan, work.display)
    _submit_file(work, ensemble)
    work.run.update_info(answered=work.plan.hooks.answered)
    return scores


def _score_all(
    work: Work, predicted: Sequence[Predicted], ensemble: Ensemble
) -> tuple[list[dict[str, Any]], dict[str, Score]]:
    """Score each member plain and with test-time augmentation, and the ensemble, on every split with labels."""
    metrics = metrics_of(work)
    valid = work.pictures.valid_labels()
    tables = []
    for each in predicted:
        tables.append((each.member.name, "plain", each.plain_valid, each.plain_test))
        if work.plan.recipe.tta:
            tables.append((each.member.name, "TTA", each.member.valid, each.member.test))
    tables.append(("ensemble", work.plan.recipe.ensemble, ensemble.valid, ensemble.test))
    rows = []
    scores: dict[str, Score] = {}
    for name, how, valid_table, test_table in tables:
        found = {
            **{f"valid_{k}": s for k, s in score_table(metrics, valid_table, valid).items()},
            **{f"test_{k}": s for k, s in score_table(metrics, test_table, work.plan.truth).items()},
        }
        flat = {key: [round(score.value, 6), round(score.error, 6)] for key, score in found.items()}
        rows.append({"member": name, "views": how, **flat})
        scores = found
    return rows, scores


def metrics_of(work: Work) -> list[Metric]:
    """Return what is reported: log loss, accuracy, and the competition's own metric; mean per class with accuracy."""
    names = dict.fromkeys(["log_loss", "accuracy", work.metric.name])
    if work.metric.name == "accuracy":
        names["balanced_accuracy"] = None
    ask = work.plan.hooks.metric
    return [ask(work.plan.competition.model_copy(update={"metric": name})) for name in names]


def _submit_file(work: Work, ensemble: Ensemble) -> None:
    """Write submission.csv, checked, where there are test images."""
    plan, display = work.plan, work.display
    if not len(ensemble.test):
        display.say("no test images: no submission is written")
        return
    test = ensemble.test
    if plan.recipe.clip:
        test = clip_predictions(test, plan.recipe.clip)
        _say_clip_gain(work, ensemble)
    sample = read_sample(plan.data)
    if sample is not None and plan.recipe.limit:
        sample = sample[sample.iloc[:, 0].isin(test.index)]
    rows = plan.hooks.submission(plan.competition, test, sample)
    check_submission(rows, sample, test, plan.competition)
    write_submission(rows, work.run.submission)
    limited = " (of a limited run: not for upload)" if plan.recipe.limit else ""
    display.say(f"submission: {work.run.submission} with {len(rows):,} rows, checked{limited}")


def _say_clip_gain(work: Work, ensemble: Ensemble) -> None:
    truth = work.pictures.valid_labels()
    before = score_table([work.log_loss], ensemble.valid, truth)["log_loss"].value
    clipped = clip_predictions(ensemble.valid, work.plan.recipe.clip)
    after = score_table([work.log_loss], clipped, truth)["log_loss"].value
    work.display.say(f"clipping to {work.plan.recipe.clip:g}: valid log loss {before:.4f} -> {after:.4f}")
