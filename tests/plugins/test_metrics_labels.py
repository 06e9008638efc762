"""Metrics of several labels an image."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as theirs

import kagglekit_metrics as metrics
from kagglekit import BUILT_IN_METRICS, Competition, Metric, MultiLabel, UserError
from kagglekit.types.metric import needs

NAMES = tuple(name for name, facts in BUILT_IN_METRICS.items() if "multi-label" in facts.tasks)
NAN = np.nan


def metric_of(name: str, labels: int, **weights: float) -> Metric:
    task = MultiLabel(tuple("abcdefgh"[:labels]))
    competition = Competition(title="Leaves", metric=name, task="multi-label", metric_weights=weights)
    metric = metrics.kagglekit_metric(competition, task.columns, task)
    assert metric is not None
    return metric


def value(name: str, truth: object, table: object, **weights: float) -> float:
    true, predicted = np.asarray(truth, np.float32), np.asarray(table, np.float32)
    metric = metric_of(name, true.shape[1], **weights)
    found = metric.measure(true, predicted, None)
    assert metric.value(true, predicted) == pytest.approx(found.value, abs=1e-12)
    assert found.error >= 0
    return found.value


def drawn(n: int, labels: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of different rarity and probabilities that are better than chance, in float32."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, labels)) < np.linspace(0.2, 0.6, labels)).astype(np.float32)
    logits = rng.normal(size=(n, labels)) + 1.5 * truth - 0.7
    return truth, (1 / (1 + np.exp(-logits))).astype(np.float32)


def masked(truth: np.ndarray, seed: int = 1) -> np.ndarray:
    """The truth with three tenths of it unknown."""
    return np.where(np.random.default_rng(seed).random(truth.shape) < 0.3, NAN, truth).astype(np.float32)


def by_scikit_learn(truth: np.ndarray, p: np.ndarray) -> dict[str, float]:
    y, guess, columns = truth.astype(int), (p >= 0.5).astype(int), range(truth.shape[1])
    return {
        "log_loss": np.mean([theirs.log_loss(y[:, c], p[:, c].astype(float), labels=[0, 1]) for c in columns]),
        "brier": np.mean([theirs.brier_score_loss(y[:, c], p[:, c]) for c in columns]),
        "accuracy": 1 - theirs.hamming_loss(y, guess),
        "roc_auc": theirs.roc_auc_score(y, p, average="macro"),
        "macro_f1": theirs.f1_score(y, guess, average="macro"),
        "macro_f2": theirs.fbeta_score(y, guess, beta=2, average="macro"),
        "micro_f1": theirs.f1_score(y, guess, average="micro"),
        "micro_f2": theirs.fbeta_score(y, guess, beta=2, average="micro"),
        "weighted_f1": theirs.f1_score(y, guess, average="weighted"),
        "sets_f1": theirs.f1_score(y, guess, average="samples", zero_division=1),
        "sets_f2": theirs.fbeta_score(y, guess, beta=2, average="samples", zero_division=1),
    }


@pytest.mark.parametrize("seed", range(5))
def test_values_equal_scikit_learns(seed: int) -> None:
    truth, table = drawn(60, seed=seed)
    expected = by_scikit_learn(truth, table)
    assert set(NAMES) - set(expected) == {"partial_auc_80", "weighted_auc", "probabilistic_f1"}
    for name, of_theirs in expected.items():
        assert value(name, truth, table) == pytest.approx(of_theirs, abs=1e-6), name


def test_decided_labels_score_like_probabilities_above_a_half() -> None:
    truth, table = drawn(50)
    for name in (name for name in NAMES if needs(name, ("multi-label",)) == "labels"):
        assert value(name, truth, table) == value(name, truth, table >= 0.5), name


def test_the_rarer_metrics_are_those_of_two_classes_averaged_over_labels() -> None:
    truth, table = drawn(80)
    for name in ("partial_auc_80", "weighted_auc", "probabilistic_f1", "roc_auc", "log_loss", "brier"):
        two = metrics.kagglekit_metric(Competition(title="t", metric=name), ("0", "1"))
        assert two is not None
        sides = [(truth[:, c].astype(np.int64), np.stack([1 - table[:, c], table[:, c]], 1)) for c in range(4)]
        expected = np.mean([two.value(*side) for side in sides])
        assert value(name, truth, table) == pytest.approx(expected, abs=1e-6), name


def test_unknown_labels_count_for_nothing() -> None:
    truth, table = drawn(200, labels=1)
    some = masked(truth)
    known = ~np.isnan(some[:, 0])
    for name in NAMES:
        assert value(name, some, table) == pytest.approx(value(name, truth[known], table[known])), name
    several, wide = drawn(200)
    several = masked(several)
    columns = [(several[k, c].astype(int), wide[k, c]) for c in range(4) for k in [~np.isnan(several[:, c])]]
    assert value("roc_auc", several, wide) == pytest.approx(np.mean([theirs.roc_auc_score(*c) for c in columns]))
    assert value("macro_f1", several, wide) == pytest.approx(
        np.mean([theirs.f1_score(y, p >= 0.5) for y, p in columns])
    )
    assert value("log_loss", several, wide) == pytest.approx(
        np.mean([theirs.log_loss(y, p.astype(float)) for y, p in columns])
    )


def test_log_loss_equals_the_value_computed_by_hand_with_weights_and_unknown_labels() -> None:
    truth, table = [[1, 0], [0, NAN]], [[0.5, 0.75], [0.75, 0.5]]
    # means: (1 + 2) / 2 ln 2 and 2 ln 2
    assert value("log_loss", truth, table) == pytest.approx((1.5 + 2) / 2 * np.log(2))
    assert value("log_loss", truth, table, a=3) == pytest.approx((3 * 1.5 + 2) / 4 * np.log(2))
    assert value("log_loss", truth, table, a=0) == pytest.approx(2 * np.log(2))
    assert value("log_loss", [[1.0]], [[0.0]]) == pytest.approx(15 * np.log(10))


def test_weights_count_in_every_mean_over_labels() -> None:
    truth, table = drawn(60, labels=3)
    for name in ("log_loss", "brier", "accuracy", "roc_auc", "macro_f1", "probabilistic_f1", "weighted_auc"):
        alone = [value(name, truth[:, [c]], table[:, [c]]) for c in range(3)]
        assert value(name, truth, table, b=2, c=0.5) == pytest.approx(np.average(alone, weights=[1, 2, 0.5])), name


def test_sets_equal_the_values_computed_by_hand() -> None:
    truth = [[1, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, NAN]]
    guess = [[1, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 1]]
    # one of two is found; both empty; nothing there; what is unknown is no mistake
    assert value("sets_f1", truth, guess) == pytest.approx((2 / 3 + 1 + 0 + 1) / 4)
    assert value("sets_f2", truth, guess) == pytest.approx((5 / 9 + 1 + 0 + 1) / 4)
    # 2 hits, 3 predictions, 3 there
    assert value("micro_f1", truth, guess) == pytest.approx(4 / 6)
    assert value("micro_f2", truth, guess) == pytest.approx(10 / (3 + 12))
    # a: 2 of 2; b: none of 1; c: predicted once, never there
    assert value("macro_f1", truth, guess) == pytest.approx((1 + 0 + 0) / 3)
    assert value("accuracy", truth, guess) == pytest.approx((1 + 3 / 4 + 2 / 3) / 3)
    assert value("sets_f1", [[NAN, NAN], [1, 0]], [[1, 1], [1, 0]]) == 1, "an unknown image is no image"


def test_labels_that_nobody_has_do_not_count_where_they_cannot() -> None:
    truth, table = [[1, 0], [0, 0]], [[0.9, 0.1], [0.2, 0.3]]
    assert value("roc_auc", truth, table) == 1
    assert value("macro_f1", truth, table) == 1
    with pytest.raises(UserError, match=r"roc_auc needs a column whose known values differ"):
        value("roc_auc", [[1, 0], [1, 0]], table)
    with pytest.raises(UserError, match="macro_f1 needs images with labels"):
        value("macro_f1", [[0, 0], [0, 0]], [[0, 0], [0, 0]])
    with pytest.raises(UserError, match="no column that counts in the metric is known"):
        value("log_loss", [[1, NAN], [0, NAN]], table, a=0)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_known_is_refused(name: str) -> None:
    for truth in (np.empty((0, 2)), np.full((3, 2), NAN)):
        with pytest.raises(UserError, match=f"cannot compute {name} without labelled images"):
            value(name, truth, np.full(truth.shape, 0.5))


def test_perfect_labels_reach_the_better_bound() -> None:
    truth = drawn(40)[0]
    for name in NAMES:
        facts = BUILT_IN_METRICS[name]
        best = facts.highest if facts.greater_is_better else facts.lowest
        assert value(name, truth, truth) == pytest.approx(best, abs=1e-9), name
        worst = value(name, truth, 1 - truth)
        assert facts.lowest - 1e-9 <= worst <= facts.highest + 1e-9, name


@pytest.mark.parametrize("some", [False, True])
def test_errors_equal_those_of_resampled_images(some: bool) -> None:
    truth, table = drawn(400)
    truth = masked(truth) if some else truth
    rng = np.random.default_rng(1)
    samples = [rng.integers(0, 400, 400) for _ in range(300)]
    for name in NAMES:
        metric = metric_of(name, 4, a=2, c=0.5)
        spread = np.std([metric.value(truth[rows], table[rows]) for rows in samples])
        assert metric.measure(truth, table, None).error == pytest.approx(spread, rel=0.15), name


def test_wrong_weights_are_refused_before_anything_is_trained() -> None:
    with pytest.raises(UserError, match=r"metric_weights names what is not predicted: any\n.*choose from a, b"):
        metric_of("log_loss", 2, any=2)
    with pytest.raises(UserError, match="metric_weights has numbers below 0, or only zeros"):
        metric_of("roc_auc", 2, a=-1)
    with pytest.raises(UserError, match="or only zeros"):
        metric_of("roc_auc", 1, a=0)


def test_metrics_of_other_tasks_are_refused() -> None:
    for name in ("rmse", "quadratic_kappa", "map_at_5", "balanced_accuracy", "blocks_loss"):
        with pytest.raises(UserError, match=rf"{name} is for .*, but Leaves is a multi-label task\n.*sets_f1"):
            metric_of(name, 3)


def test_an_extended_task_is_scored_like_the_one_it_extends() -> None:
    class Ranked(MultiLabel):
        kind = "ranked"

    task = Ranked(("a", "b"))
    metric = metrics.kagglekit_metric(Competition(title="t", metric="sets_f1", task="ranked"), task.columns, task)
    assert metric is not None
    assert metric.value(np.float32([[1, 0]]), np.float32([[0.9, 0.8]])) == pytest.approx(2 / 3)


def test_what_the_csv_holds_depends_on_the_kind() -> None:
    assert needs("macro_f1") == "a class"
    assert needs("macro_f1", ("multi-label",)) == "labels"
    assert needs("roc_auc", ("multi-label",)) == "probabilities"
    assert needs("accuracy", ("ordinal",)) == "a class"
    assert needs("rmse", ("ordinal",)) == "numbers"
    assert needs("of a plugin", "ordinal") is None
