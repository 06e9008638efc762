"""Metrics of numbers and of ordered grades."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as theirs

import kagglekit_metrics as metrics
from kagglekit import BUILT_IN_METRICS, Competition, Metric, Ordinal, Regression, SingleLabel, UserError

NUMBERS = tuple(name for name, facts in BUILT_IN_METRICS.items() if "regression" in facts.tasks)
GRADES = tuple(name for name, facts in BUILT_IN_METRICS.items() if "ordinal" in facts.tasks)
NAN = np.nan


def metric_of(name: str, columns: int = 2, **weights: float) -> Metric:
    task = Regression(tuple("abcd"[:columns]), (0.0,) * columns, (1.0,) * columns, (0.0, None))
    competition = Competition(title="Grass", metric=name, task="regression", metric_weights=weights)
    metric = metrics.kagglekit_metric(competition, task.columns, task)
    assert metric is not None
    return metric


def value(name: str, truth: object, table: object, **weights: float) -> float:
    true, predicted = np.asarray(truth, np.float32), np.asarray(table, np.float32)
    metric = metric_of(name, true.shape[1], **weights)
    found = metric.measure(true, predicted, None)
    assert metric.value(true, predicted) == found.value
    assert found.error >= 0
    return found.value


def drawn(n: int, columns: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Numbers above 0 of different scales, and predictions of them; some are equal."""
    rng = np.random.default_rng(seed)
    truth = rng.gamma(2, np.arange(1, columns + 1) * 5, (n, columns)).round()
    return truth.astype(np.float32), (0.7 * truth + rng.gamma(2, 4, (n, columns))).round().astype(np.float32)


def masked(truth: np.ndarray) -> np.ndarray:
    return np.where(np.random.default_rng(1).random(truth.shape) < 0.3, NAN, truth).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_values_equal_scikit_learns_and_scipys(seed: int) -> None:
    t, p = drawn(50, seed=seed)
    columns, weights = range(3), np.tile([1.0, 2.0, 0.5], (50, 1))
    expected = {
        "rmse": theirs.root_mean_squared_error(t.ravel(), p.ravel()),
        "mcrmse": theirs.root_mean_squared_error(t, p),
        "rmsle": theirs.root_mean_squared_log_error(t.ravel(), p.ravel()),
        "mae": theirs.mean_absolute_error(t, p),
        "r2": theirs.r2_score(t, p),
        "weighted_r2": theirs.r2_score(t.ravel(), p.ravel()),
        "pearson": np.mean([stats.pearsonr(t[:, c], p[:, c]).statistic for c in columns]),
        "spearman": np.mean([stats.spearmanr(t[:, c], p[:, c]).statistic for c in columns]),
    }
    assert set(expected) == set(NUMBERS)
    for name, of_theirs in expected.items():
        assert value(name, t, p) == pytest.approx(of_theirs, rel=1e-5), name
    r2 = theirs.r2_score(t.ravel(), p.ravel(), sample_weight=weights.ravel())
    assert value("weighted_r2", t, p, b=2, c=0.5) == pytest.approx(r2, rel=1e-5)
    for name, each in [("mcrmse", theirs.root_mean_squared_error), ("r2", theirs.r2_score)]:
        expected_mean = each(t, p, multioutput=[1 / 3.5, 2 / 3.5, 0.5 / 3.5])
        assert value(name, t, p, b=2, c=0.5) == pytest.approx(expected_mean, rel=1e-5), name


def test_unknown_numbers_count_for_nothing() -> None:
    truth, table = drawn(200, columns=1)
    some = masked(truth)
    known = ~np.isnan(some[:, 0])
    for name in NUMBERS:
        assert value(name, some, table) == pytest.approx(value(name, truth[known], table[known])), name


def test_values_computed_by_hand() -> None:
    truth, table = [[1, 10], [3, NAN]], [[2, 13], [3, 50]]
    # errors 1, 3 and 0
    assert value("rmse", truth, table) == pytest.approx(np.sqrt(10 / 3))
    assert value("mcrmse", truth, table) == pytest.approx((np.sqrt(1 / 2) + 3) / 2)
    assert value("mae", truth, table) == pytest.approx((0.5 + 3) / 2)
    assert value("mae", truth, table, a=3) == pytest.approx((3 * 0.5 + 3) / 4)
    # of column a, 1 - 1 / 2; column b has one known number
    assert value("r2", truth, table) == pytest.approx(0.5)
    # mean 14 / 3: 1 - 10 / (121 + 25 + 256) * 9
    assert value("weighted_r2", truth, table) == pytest.approx(1 - 90 / 402)
    assert value("weighted_r2", truth, table, b=0) == pytest.approx(0.5)
    assert value("rmsle", [[0], [3]], [[1], [3]]) == pytest.approx(np.log(2) / np.sqrt(2))


def test_constant_predictions_explain_nothing() -> None:
    truth = drawn(50)[0]
    means = np.tile(truth.mean(axis=0), (50, 1))
    assert value("r2", truth, means) == pytest.approx(0, abs=1e-6)
    assert value("pearson", truth, means) == 0
    assert value("spearman", truth, means) == 0


@pytest.mark.parametrize("name", ["r2", "weighted_r2", "pearson", "spearman"])
def test_numbers_that_are_all_equal_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name} needs .* differ"):
        value(name, [[1], [1]], [[1], [2]])


@pytest.mark.parametrize("name", NUMBERS)
def test_nothing_known_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"cannot compute {name} without labelled images"):
        value(name, [[NAN, NAN]], [[1, 1]])


def test_perfect_numbers_reach_the_better_bound() -> None:
    truth = drawn(40)[0]
    for name in NUMBERS:
        facts = BUILT_IN_METRICS[name]
        found = metric_of(name, 3).measure(truth, truth, None)
        assert found.value == pytest.approx(facts.highest if facts.greater_is_better else facts.lowest, abs=1e-9), name
        assert found.error == pytest.approx(0, abs=1e-9), name


@pytest.mark.parametrize("some", [False, True])
def test_errors_equal_those_of_resampled_images(some: bool) -> None:
    truth, table = drawn(400)
    truth = masked(truth) if some else truth
    rng = np.random.default_rng(1)
    samples = [rng.integers(0, 400, 400) for _ in range(300)]
    for name in NUMBERS:
        metric = metric_of(name, 3, a=2, c=0.5)
        spread = np.std([metric.value(truth[rows], table[rows]) for rows in samples])
        rough = 0.3 if name == "spearman" else 0.15  # a jackknife of 50 parts is itself uncertain by a tenth
        assert metric.measure(truth, table, None).error == pytest.approx(spread, rel=rough), name


def test_a_log_error_needs_a_lower_bound() -> None:
    task = Regression(("a",), (0.0,), (1.0,), (None, None))
    with pytest.raises(UserError, match=r"rmsle needs predictions that are not below 0\n.*Competition.bounds"):
        metrics.kagglekit_metric(Competition(title="t", metric="rmsle", task="regression"), ("a",), task)
    with pytest.raises(UserError, match="rmsle needs numbers above -1"):
        value("rmsle", [[-1]], [[1]])


def test_metrics_of_numbers_are_refused_for_classes() -> None:
    task = SingleLabel(("cat", "dog"))
    with pytest.raises(
        UserError, match=r"rmse is for regression, ordinal and .*\nset Competition\(task=\"regression\"\)"
    ):
        metrics.kagglekit_metric(Competition(title="Pets", metric="rmse"), task.columns, task)
    with pytest.raises(UserError, match=r"roc_auc is for .*, but Grass is a regression task\n.*one of rmse, mcrmse"):
        metric_of("roc_auc")


# --- grades


def graded(name: str, truth: object, table: object, low: float = 0, high: float = 4) -> float:
    task = Ordinal(("grade",), (2.0,), (1.0,), (low, high))
    metric = metrics.kagglekit_metric(Competition(title="Eyes", metric=name, task="ordinal"), task.columns, task)
    assert metric is not None
    true, predicted = np.asarray(truth, np.float32)[:, None], np.asarray(table, np.float32)[:, None]
    return metric.measure(true, predicted, None).value


def grades_drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, n)
    return truth, truth + rng.normal(size=n)


def test_grades_are_the_nearest_whole_numbers_within_the_bounds() -> None:
    assert graded("accuracy", [0, 1, 2, 4], [-0.7, 0.5, 1.49, 9]) == 0.75
    assert graded("accuracy", [1, 3], [-2, 8], low=1, high=3) == 1
    assert graded("rmse", [0, 1], [0.5, 1]) == pytest.approx(np.sqrt(1 / 8)), "numbers are scored as they are"


def test_values_of_grades_equal_scikit_learns() -> None:
    truth, table = grades_drawn(80)
    guess = np.floor(table.astype(np.float32) + 0.5).clip(0, 4).astype(int)
    expected = {
        "quadratic_kappa": theirs.cohen_kappa_score(truth, guess, weights="quadratic"),
        "accuracy": theirs.accuracy_score(truth, guess),
        "balanced_accuracy": theirs.balanced_accuracy_score(truth, guess),
        "macro_f1": theirs.f1_score(truth, guess, average="macro"),
        "weighted_f1": theirs.f1_score(truth, guess, average="weighted"),
        "rmse": theirs.root_mean_squared_error(truth, table),
        "mae": theirs.mean_absolute_error(truth, table),
        "r2": theirs.r2_score(truth, table),
    }
    for name, of_theirs in expected.items():
        assert graded(name, truth, table) == pytest.approx(of_theirs, rel=1e-5), name
        assert graded(name, np.append(truth, NAN), np.append(table, 1)) == pytest.approx(of_theirs, rel=1e-5), name


def test_every_metric_of_grades_can_be_computed() -> None:
    truth, table = grades_drawn(80)
    for name in GRADES:
        if name != "rmsle":
            assert np.isfinite(graded(name, truth, table)), name
    assert np.isfinite(graded("rmsle", truth, table.clip(0, 4)))


def test_a_grade_above_those_that_were_trained_is_scored() -> None:
    assert graded("quadratic_kappa", [0, 2, 4], [0, 2, 4], high=2) == pytest.approx(
        theirs.cohen_kappa_score([0, 2, 4], [0, 2, 2], labels=range(5), weights="quadratic")
    )
