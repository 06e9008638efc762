"""Metrics of several targets side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import kagglekit_metrics as metrics
from kagglekit import Competition, Metric, Several, UserError
from kagglekit.types.records import write_record

NAN = np.nan
KINDS = {"root": "single-label", "vowel": "single-label", "size": "regression"}


def asked(name: str, **weights: float) -> Competition:
    return Competition(
        title="Letters", metric=name, task="several", targets=tuple(KINDS), kinds=KINDS, metric_weights=weights
    )


def task_and_truth(rows: list[tuple[str | None, str | None, float | None]]) -> tuple[Several, np.ndarray]:
    """Three targets; each class and two sizes are among the first rows."""
    labels = [write_record(dict(zip(KINDS, row, strict=True))) for row in rows]
    task = Several.fit(labels, asked("log_loss"))
    return task, task.encode(labels)


ROWS = [("a", "x", 1.0), ("a", "y", 2.0), ("b", "x", 3.0), ("c", None, None), (None, None, None)]


def metric_of(name: str, task: Several, **weights: float) -> Metric:
    metric = metrics.kagglekit_metric(asked(name, **weights), task.columns, task)
    assert metric is not None
    return metric


def table_of(roots: str, vowels: str, sizes: list[float]) -> np.ndarray:
    classes = [np.eye(3)[["abc".index(each) for each in roots]], np.eye(2)[["xy".index(each) for each in vowels]]]
    return np.concatenate([*classes, np.array(sizes)[:, None]], axis=1).astype(np.float32)


def test_recall_is_averaged_over_classes_then_over_targets_with_their_weights() -> None:
    task, truth = task_and_truth(ROWS)
    table = table_of("abcca", "xxxxx", [0] * 5)
    # root: a 1/2, b 0, c 1; vowel: x 1, y 0; the size is left out
    root, vowel = (1 / 2 + 0 + 1) / 3, 1 / 2
    assert metric_of("balanced_accuracy", task, size=0).value(truth, table) == pytest.approx((root + vowel) / 2)
    found = metric_of("balanced_accuracy", task, root=2, size=0).measure(truth, table, None)
    assert found.value == pytest.approx((2 * root + vowel) / 3)
    assert found.error > 0
    assert metric_of("accuracy", task, size=0).value(truth, table) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert metric_of("rmse", task, root=0, vowel=0).value(truth, table) == pytest.approx(np.sqrt(14 / 3))


def test_the_mean_loss_sums_the_losses_of_an_images_targets() -> None:
    task, truth = task_and_truth(ROWS)
    table = np.tile(np.float32([0.5, 0.25, 0.25, 0.5, 0.5, 2.0]), (5, 1))
    variance = 2 / 3
    losses = [2 * np.log(2) + 1 / variance, 2 * np.log(2), 3 * np.log(2) + 1 / variance, 2 * np.log(2)]
    found = metric_of("blocks_loss", task).measure(truth, table, None)
    assert found.value == pytest.approx(np.mean(losses), rel=1e-6)
    assert found.error == pytest.approx(np.std(losses) / 2, rel=1e-6)


def test_a_metric_that_does_not_fit_a_target_names_it() -> None:
    task, _ = task_and_truth(ROWS)
    with pytest.raises(UserError, match=r"target 'size': accuracy is for .*regression task\n.*the weight 0"):
        metric_of("accuracy", task)
    with pytest.raises(UserError, match=r"target 'root': rmse is for"):
        metric_of("rmse", task)
    with pytest.raises(UserError, match=r"names what is not predicted: area\n.*choose from root, vowel, size"):
        metric_of("rmse", task, area=1)
    with pytest.raises(UserError, match="map_at_5 is for single-label tasks, but Letters is a several task"):
        metric_of("map_at_5", task)


def test_errors_equal_those_of_resampled_images() -> None:
    rng = np.random.default_rng(0)
    rows = [(str(rng.choice(list("abc"))), str(rng.choice(list("xy"))), float(rng.normal())) for _ in range(400)]
    task, truth = task_and_truth([(a, None if i % 4 == 0 else b, c) for i, (a, b, c) in enumerate(rows)])
    scores = rng.dirichlet(np.ones(3), 400), rng.dirichlet(np.ones(2), 400), rng.normal(size=(400, 1))
    table = np.concatenate(scores, axis=1).astype(np.float32)
    samples = [rng.integers(0, 400, 400) for _ in range(200)]
    for name in ("balanced_accuracy", "log_loss", "macro_f1"):
        metric = metric_of(name, task, root=2, size=0)
        spread = np.std([metric.value(truth[drawn], table[drawn]) for drawn in samples])
        assert metric.measure(truth, table, None).error == pytest.approx(spread, rel=0.3), name


def test_nothing_known_is_refused() -> None:
    task, truth = task_and_truth(ROWS)
    table = task.placeholder(5)
    for name in ("blocks_loss", "accuracy"):
        with pytest.raises(UserError, match=f"cannot compute {name} without labelled images"):
            metric_of(name, task, size=0).value(np.full_like(truth, NAN), table)
    with pytest.raises(UserError, match="accuracy needs images with a target that counts"):
        metric_of("accuracy", task, root=0, size=0).value(truth[3:], table[3:])
    with pytest.raises(UserError, match="blocks_loss cannot be computed without a task"):
        metrics.kagglekit_metric(asked("blocks_loss")).score(truth, table)  # type: ignore[union-attr]


def test_the_truth_of_a_table_of_predictions_is_scored() -> None:
    task, _ = task_and_truth(ROWS)
    labels = pd.Series([write_record(dict(zip(KINDS, row, strict=True))) for row in ROWS[:2]], index=["1", "2"])
    table = pd.DataFrame(table_of("aa", "xx", [1, 1]), index=["2", "1"], columns=task.columns)
    assert metric_of("accuracy", task, size=0).value(task.truth(labels, table), table.to_numpy()) == 0.75
