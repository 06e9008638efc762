"""How scores of every kind of target scatter over seeds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from judged_kinds import KINDS, make_run

from kagglekit import Recipe, Stage
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.types.metric import Spread
from kagglekit.types.predictions import load_predictions, make_predictions, save_predictions
from kagglekit.workflows.repeats import spreads, verdicts

RECIPE = Recipe(arch="net", stages=(Stage(name="head", size=32),), decision="none")


def two_runs(folder: Path, kind: str, metric: str) -> tuple[SimpleNamespace, list]:
    """Return a plan, and two runs of it whose predictions differ a little."""
    runs = []
    for number in range(2):
        (folder / str(number)).mkdir()
        run, task = make_run(folder / str(number), kind)
        runs.append(run)
    table = load_predictions(runs[1].predictions("ensemble", "valid"))
    changed = table.to_numpy() * 0.96 + 0.01
    save_predictions(make_predictions(table.index, table.columns, changed), runs[1].predictions("ensemble", "valid"))
    plan = SimpleNamespace(
        competition=KINDS[kind][0].model_copy(update={"metric": metric}),
        hooks=Hooks(load("pets")),
        task=task,
        recipe=RECIPE,
        table=pd.DataFrame(runs[0].valid()).assign(split="valid"),
        data="there",
    )
    return plan, runs


@pytest.mark.parametrize(
    ("kind", "metric", "names"),
    [
        ("multi-label", "macro_f1", ["log_loss", "roc_auc", "macro_f1"]),
        ("regression", "mae", ["rmse", "mae", "r2"]),
        ("ordinal", "quadratic_kappa", ["rmse", "accuracy", "quadratic_kappa"]),
    ],
)
def test_each_kind_has_its_own_scores_and_the_competitions(kind, metric, names, tmp_path):
    plan, runs = two_runs(tmp_path, kind, metric)
    found = spreads(plan, runs)
    assert [each.name for each in found] == names
    for each in found:
        values = []
        for run in runs:
            table = load_predictions(run.predictions("ensemble", "valid"))
            labels = pd.Series({row["id"]: row["label"] for row in run.valid()}, dtype="str")
            own = plan.hooks.metric(plan.competition.model_copy(update={"metric": each.name}), plan.task)
            values.append(own.value(plan.task.truth(labels, table), table.to_numpy()))
        assert each.mean == pytest.approx(np.mean(values), rel=1e-5)
        assert each.deviation == pytest.approx(np.std(values, ddof=1), rel=1e-3, abs=1e-7)
        assert np.isfinite(each.paired_error)


def test_a_mean_over_images_has_the_error_of_the_images_own_differences(tmp_path):
    plan, runs = two_runs(tmp_path, "regression", "mae")
    tables = [load_predictions(run.predictions("ensemble", "valid")).to_numpy(np.float64)[:, :1] for run in runs]
    truth = plan.task.encode([row["label"] for row in runs[0].valid()])[:, :1]
    plan.task = type(plan.task)(plan.task.columns[:1], plan.task.mean[:1], plan.task.std[:1])
    for run in runs:
        table = load_predictions(run.predictions("ensemble", "valid")).iloc[:, :1]
        save_predictions(table, run.predictions("ensemble", "valid"))
    only = [f'{{"clover_g": {value[0]}}}' for value in truth]
    plan.table = plan.table.assign(label=only)
    (mae,) = (each for each in spreads(plan, runs) if each.name == "mae")
    differences = np.abs(tables[0] - truth) - np.abs(tables[1] - truth)
    assert mae.paired_error == pytest.approx(differences.std() / np.sqrt(len(truth)), rel=1e-4)


def test_verdicts_name_scores_as_the_table_does() -> None:
    found = [Spread("log_loss", 0.5, 0.1, 0.1, 0.3), Spread("balanced_accuracy", 1.0, 0.0, 0.0, 0.0)]
    _, *lines = verdicts(found, 40, 2)
    assert [line.partition(": ")[0] for line in lines] == ["log loss", "mean per class accuracy"]
