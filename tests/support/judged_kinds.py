"""Made-up runs of each kind of target, whose predictions are near the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from kagglekit import Competition, Run
from kagglekit.runs.info import Record
from kagglekit.tasks.built_in import TASKS
from kagglekit.tasks.task import Task
from kagglekit.types.predictions import make_predictions, save_predictions
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

N = 60
RANDOM = np.random.default_rng(5)
LABELS = ("scab", "rust_on_leaves", "complex", "healthy")
SHAPES = {"shape": "single-label", "size": "regression", "weight": "regression", "red": "multi-label"}


def _zero_or_one(share: float) -> np.ndarray:
    return (RANDOM.uniform(size=N) < share).astype(float)


def _unknown_here_and_there(values: np.ndarray) -> np.ndarray:
    values[::7] = np.nan
    return values


KINDS: dict[str, tuple[Competition, dict[str, Any]]] = {
    "multi-label": (
        Competition(title="Leaves", task="multi-label", targets=LABELS, metric="log_loss"),
        {name: _unknown_here_and_there(_zero_or_one(0.1 * i + 0.2)) for i, name in enumerate(LABELS)},
    ),
    "regression": (
        Competition(title="Biomass", task="regression", targets=("clover_g", "total_g"), metric="log_loss"),
        {"clover_g": RANDOM.gamma(3, 9, N), "total_g": _unknown_here_and_there(RANDOM.gamma(3, 20, N))},
    ),
    "ordinal": (
        Competition(title="Grades", task="ordinal", metric="quadratic_kappa"),
        {"label": RANDOM.choice(5, N).astype(float)},
    ),
    "several": (
        Competition(title="Shapes", task="several", targets=tuple(SHAPES), kinds=SHAPES, metric="log_loss"),
        {
            "shape": RANDOM.choice(["circle", "star"], N),
            "size": RANDOM.uniform(3, 9, N),
            "weight": RANDOM.uniform(30, 90, N),
            "red": _zero_or_one(0.4),
        },
    ),
}
"""A competition of each kind, and the columns of its image table."""


def make_run(folder: Path, kind: str, **facts: Any) -> tuple[Run, Task]:
    """Write a run of some kind with valid predictions, and 12 grey images that its valid images share."""
    competition, columns = KINDS[kind]
    run, ids = Run(folder / f"20260101-000000-{kind}"), [f"img/{row:03}" for row in range(N)]
    texts = TASKS[kind].read(pd.DataFrame({"id": ids, **columns}), competition)
    labelled = [text or "{}" for text in texts]
    task = TASKS[kind].fit(labelled, competition)
    save_predictions(make_predictions(ids, task.columns, near(task, labelled)), run.predictions("ensemble", "valid"))
    for number in range(12):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((40, 50, 3), 20 * number, np.uint8))
    rows = zip(ids, labelled, strict=True)
    run.write_valid([{"id": i, "file": f"{row % 12}.png", "label": text} for row, (i, text) in enumerate(rows)])
    run.write_recipe(Recipe(arch="net", stages=(Stage(name="head", size=32),)))
    Record.of(run.info_file).update(
        competition="shapes",
        plugin="shapes",
        title=competition.title,
        metric=competition.metric,
        status="finished",
        task=kind,
        task_state=task.state(),
        classes=task.columns,
        data=str(folder),
        scores=[{"member": "ensemble", "views": "mean", f"valid_{competition.metric}": (0.7312, 0.021)}],
        images={"valid": N},
        **facts,
    )
    return run, task


def near(task: Task, labels: list[str]) -> np.ndarray:
    """Return predictions (N, C) as the task wants them: near the truth; of the first images, near that of others."""
    truth = np.nan_to_num(task.encode(labels).astype(np.float64), nan=0.5)
    truth[:10] = truth[10:20]
    noise = np.random.default_rng(6).uniform(0, 1, truth.shape)
    if not hasattr(task, "blocks"):
        return 0.75 * truth + 0.25 * noise * max(1.0, float(truth.max()) / 3)
    values = 0.75 * truth + 0.25 * noise
    values[:, :2] /= values[:, :2].sum(axis=1, keepdims=True)
    return values
