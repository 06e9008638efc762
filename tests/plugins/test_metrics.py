from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kagglekit_metrics as metrics
from kagglekit import BUILT_IN_METRICS, Competition, Metric, UserError

ALL = tuple(BUILT_IN_METRICS)
NAMES = tuple(name for name, facts in BUILT_IN_METRICS.items() if "single-label" in facts.tasks)
OF_TWO = ("partial_auc_80", "weighted_auc", "probabilistic_f1")


def metric_of(name: str, classes: int | list[str], **facts: object) -> Metric:
    named = [str(number) for number in range(classes)] if isinstance(classes, int) else classes
    metric = metrics.kagglekit_metric(Competition.model_validate({"title": "test", "metric": name, **facts}), named)
    assert metric is not None
    return metric


def score(name: str, truth: list[int] | np.ndarray, table: object) -> tuple[float, float]:
    numbers, probabilities = np.asarray(truth, dtype=np.int64), np.asarray(table, dtype=np.float32)
    metric = metric_of(name, probabilities.shape[1])
    found = metric.score(numbers, probabilities)
    assert metric.value(numbers, probabilities) == found.value
    return found.value, found.error


def computed_for(classes: int) -> list[str]:
    """The metrics that can be computed for so many classes."""
    tops = [name for name in NAMES if name.startswith("top_") and BUILT_IN_METRICS[name].ranks >= classes]
    return [name for name in NAMES if name not in tops and (classes == 2 or name not in OF_TWO)]


def drawn(n: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of every class and predictions that are better than chance."""
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[truth]
    return truth, (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)


def test_the_plugin_names_what_it_answers_and_nothing_else() -> None:
    losses = ("log_loss", "brier", "rmse", "mcrmse", "rmsle", "mae", "blocks_loss")
    assert set(metrics.kagglekit_provides().metric) == set(ALL)
    for name in ALL:
        metric = metrics.kagglekit_metric(Competition(title="test", metric=name), ())
        assert metric is not None
        assert metric.name == name
        assert metric.greater_is_better == (name not in losses and "error" not in name)
    assert metrics.kagglekit_metric(Competition(title="test", metric="another"), ()) is None


def test_log_loss_equals_the_value_computed_by_hand() -> None:
    value, error = score("log_loss", [0, 1], [[0.5, 0.5], [0.75, 0.25]])
    # -(ln 0.5 + ln 0.25) / 2 = 1.5 ln 2; the two values lie 0.5 ln 2 from their mean
    assert value == pytest.approx(1.5 * np.log(2))
    assert error == pytest.approx(0.5 * np.log(2) / np.sqrt(2))


def test_log_loss_divides_rows_by_their_sum_and_clips_at_1e_15() -> None:
    assert score("log_loss", [0], [[0.2, 0.2]])[0] == pytest.approx(np.log(2))
    assert score("log_loss", [0], [[0.0, 1.0]])[0] == pytest.approx(15 * np.log(10))
    assert score("log_loss", [0], [[1.0, 0.0]])[0] == pytest.approx(0.0, abs=1e-14)


def test_accuracy_and_its_binomial_error() -> None:
    value, error = score("accuracy", [0, 1, 1, 0], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    assert value == 0.75
    assert error == pytest.approx(np.sqrt(0.75 * 0.25 / 4))


def test_balanced_accuracy_is_the_mean_over_classes() -> None:
    table = np.eye(3)[[0, 0, 0, 1, 1, 0]]
    # class 0: 3 of 4, class 1: 1 of 2; class 2 is absent and does not count
    assert score("balanced_accuracy", [0, 0, 0, 0, 1, 1], table)[0] == pytest.approx((0.75 + 0.5) / 2)


def test_macro_f1_equals_the_value_computed_by_hand() -> None:
    table = np.eye(3)[[0, 0, 1, 1]]
    # class 0: 2 * 2 / (3 + 2), class 1: 2 * 1 / (1 + 2); class 2 is neither present nor guessed
    assert score("macro_f1", [0, 0, 0, 1], table)[0] == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_roc_auc_equals_the_value_computed_by_hand() -> None:
    up = np.array([0.1, 0.4, 0.35, 0.8])
    assert score("roc_auc", [0, 0, 1, 1], np.stack([1 - up, up], 1))[0] == pytest.approx(0.75)
    tied = np.full((4, 2), 0.5)
    assert score("roc_auc", [0, 0, 1, 1], tied) == (0.5, 0.0)


def test_roc_auc_does_not_depend_on_which_class_is_positive() -> None:
    truth, table = drawn(200, 2, 0)
    table[:50] = [1.0, 0.0]
    table[:50, 1] = np.linspace(1e-12, 1e-9, 50)  # float32 rounds the other column to 1: all ties
    assert score("roc_auc", truth, table) == score("roc_auc", 1 - truth, table[:, ::-1])


def test_roc_auc_of_one_class_says_what_to_do() -> None:
    with pytest.raises(UserError, match=r"needs images of two classes(.|\n)*valid="):
        score("roc_auc", [1, 1], [[0.5, 0.5], [0.2, 0.8]])


def test_a_metric_of_no_images_is_refused() -> None:
    for name in NAMES:
        with pytest.raises(UserError, match=f"cannot compute {name} without labelled images"):
            score(name, [], np.empty((0, 2)))


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("missing", [False, True])
def test_values_equal_scikit_learns(classes: int, missing: bool) -> None:
    from sklearn import metrics as theirs

    for seed in range(5):
        truth, table = drawn(60, classes, seed)
        if missing and classes > 2:  # from valid, as a rare class may be; it is predicted all the same
            truth, table = truth[truth != 3], table[truth != 3]
        table = table.astype(np.float64)
        table /= table.sum(1, keepdims=True)
        guess, every = table.argmax(1), list(range(classes))
        present = [c for c in every if (truth == c).any()]
        areas = [theirs.roc_auc_score(truth == c, table[:, c]) for c in present]
        expected = {
            "log_loss": theirs.log_loss(truth, table, labels=every),
            "brier": theirs.brier_score_loss(truth, table[:, 1] if classes == 2 else table, labels=every),
            "accuracy": theirs.accuracy_score(truth, guess),
            "balanced_accuracy": theirs.recall_score(truth, guess, labels=present, average="macro"),
            "macro_f1": theirs.f1_score(truth, guess, average="macro"),
            "macro_f2": theirs.fbeta_score(truth, guess, beta=2, average="macro"),
            "micro_f1": theirs.f1_score(truth, guess, average="micro"),
            "micro_f2": theirs.fbeta_score(truth, guess, beta=2, average="micro"),
            "sets_f1": theirs.f1_score(np.eye(classes)[truth], np.eye(classes)[guess], average="samples"),
            "weighted_f1": theirs.f1_score(truth, guess, average="weighted"),
            "quadratic_kappa": theirs.cohen_kappa_score(truth, guess, labels=every, weights="quadratic"),
            "roc_auc": np.mean(areas),
            "map_at_3": average_precision(truth, table, 3),
            "top_1_error": 1 - theirs.top_k_accuracy_score(truth, top_input(table), k=1, labels=every),
        }
        if classes > 3:
            expected["top_3_error"] = 1 - theirs.top_k_accuracy_score(truth, table, k=3, labels=every)
        for name, value in expected.items():
            assert score(name, truth, table)[0] == pytest.approx(value, abs=1e-6), name


def top_input(table: np.ndarray) -> np.ndarray:
    """What scikit-learn's top_k_accuracy_score expects: one column for two classes."""
    return table[:, 1] if table.shape[1] == 2 else table


def average_precision(truth: np.ndarray, table: np.ndarray, k: int) -> float:
    """scikit-learn has no limit k: images whose class is not among the k likeliest count 0."""
    from sklearn.metrics import label_ranking_average_precision_score

    among = (np.argsort(-table, axis=1)[:, :k] == truth[:, None]).any(axis=1)
    right = np.eye(table.shape[1], dtype=int)[truth[among]]
    return float(label_ranking_average_precision_score(right, table[among]) * among.mean())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.sampled_from(NAMES))
def test_the_order_of_images_does_not_matter(seed: int, classes: int, name: str) -> None:
    truth, table = drawn(40, classes, seed)
    order = np.random.default_rng(seed).permutation(40)
    if name in computed_for(classes):
        assert score(name, truth[order], table[order])[0] == pytest.approx(score(name, truth, table)[0])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12))
def test_every_value_is_within_its_bounds_and_every_error_finite(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.append([0, 1], rng.integers(0, classes, 10))
    table = rng.dirichlet(np.full(classes, 0.3), 12).round(2).astype(np.float32)  # ties, zeros, confident mistakes
    table[:, 0] += 0.01
    for name in computed_for(classes):
        value, error = score(name, truth, table / table.sum(axis=1, keepdims=True))
        assert BUILT_IN_METRICS[name].lowest - 1e-6 <= value <= BUILT_IN_METRICS[name].highest + 1e-6, name
        assert np.isfinite(error), name


@pytest.mark.parametrize("classes", [2, 12])
def test_perfect_predictions_reach_the_better_bound(classes: int) -> None:
    truth = np.arange(36) % classes
    for name in computed_for(classes):
        facts = BUILT_IN_METRICS[name]
        value, error = score(name, truth, np.eye(classes)[truth])
        assert value == pytest.approx(facts.highest if facts.greater_is_better else facts.lowest, abs=1e-9), name
        assert error == pytest.approx(0, abs=1e-9), name


@pytest.mark.parametrize("classes", [2, 12])
def test_errors_equal_those_of_resampled_images(classes: int) -> None:
    truth, table = drawn(400, classes, 0)
    rng = np.random.default_rng(1)
    samples = [rng.integers(0, 400, 400) for _ in range(300)]
    for name in computed_for(classes):
        metric = metric_of(name, classes)
        values = [metric.value(truth[rows], table[rows]) for rows in samples]
        assert score(name, truth, table)[1] == pytest.approx(np.std(values), rel=0.15), name


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1", "roc_auc", "quadratic_kappa", "partial_auc_80"])
def test_errors_are_near_the_spread_over_independent_samples(name: str) -> None:
    spread = np.std([score(name, *drawn(400, 2, seed))[0] for seed in range(1, 61)])
    assert score(name, *drawn(400, 2, 0))[1] == pytest.approx(spread, rel=0.35)


# --- grades


def test_kappa_equals_the_value_computed_by_hand() -> None:
    # true 0 1 2, predicted 0 2 2: squares 0 + 1 + 0; over all pairs 0 4 4, 1 1 1, 4 0 0
    assert score("quadratic_kappa", [0, 1, 2], np.eye(3)[[0, 2, 2]])[0] == pytest.approx(1 - (1 / 3) / (15 / 9))
    assert score("quadratic_kappa", [0, 2], np.eye(3)[[1, 1]])[0] == pytest.approx(0, abs=1e-12)
    assert score("quadratic_kappa", [0, 1], np.eye(2)[[1, 0]])[0] == pytest.approx(-1)


def test_kappa_takes_classes_as_numbers_in_any_order_of_their_names() -> None:
    from sklearn.metrics import cohen_kappa_score

    names = sorted(map(str, range(12)))  # "10" and "11" follow "1"
    truth, table = drawn(100, 12, 0)
    numbers = np.array(list(map(int, names)))
    expected = cohen_kappa_score(numbers[truth], numbers[table.argmax(1)], weights="quadratic")
    assert metric_of("quadratic_kappa", names).value(truth, table) == pytest.approx(expected)


def test_kappa_of_uneven_grades_counts_their_distance() -> None:
    near, far = ([0, 1, 2], np.eye(3)[[0, 1, 1]]), ([0, 1, 2], np.eye(3)[[0, 0, 2]])
    metric = metric_of("quadratic_kappa", ["0", "1", "10"])
    assert metric.value(*map(np.asarray, near)) < metric.value(*map(np.asarray, far))


@pytest.mark.parametrize("odd", ["mild", "nan", "inf", ""])
def test_kappa_of_classes_that_are_no_numbers_is_refused(odd: str) -> None:
    with pytest.raises(UserError, match="quadratic_kappa needs classes that are numbers, but these are not"):
        metric_of("quadratic_kappa", ["0", odd])


def test_kappa_of_one_class_is_refused() -> None:
    with pytest.raises(UserError, match=r"quadratic_kappa needs images of two classes"):
        score("quadratic_kappa", [1, 1], [[0.5, 0.5], [0.2, 0.8]])


# --- ranks


def test_map_and_top_k_errors_equal_the_values_computed_by_hand() -> None:
    table = np.array([[0.4, 0.3, 0.2, 0.1]] * 4)
    # the places of the true classes are 1, 2, 3 and 4
    assert score("map_at_3", [0, 1, 2, 3], table)[0] == pytest.approx((1 + 1 / 2 + 1 / 3) / 4)
    assert score("map_at_5", [0, 1, 2, 3], table)[0] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    value, error = score("top_3_error", [0, 1, 2, 3], table)
    assert (value, error) == (0.25, pytest.approx(np.sqrt(0.25 * 0.75 / 4)))


def test_of_equal_probabilities_the_first_class_leads_as_in_the_csv() -> None:
    even = np.full((4, 4), 0.25)
    assert score("map_at_5", [0, 1, 2, 3], even)[0] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert score("top_3_error", [2, 2, 3, 3], even)[0] == 0.5


def test_a_top_k_error_that_is_always_0_is_refused() -> None:
    with pytest.raises(UserError, match=r"top_5_error of 5 classes is always 0"):
        score("top_5_error", [0, 1], np.full((2, 5), 0.2))


# --- probabilities of one class


def test_the_partial_area_equals_scikit_learns_with_the_sides_exchanged() -> None:
    from sklearn.metrics import roc_auc_score

    for seed, digits in [(0, 8), (1, 8), (2, 1), (3, 1)]:  # one digit: many ties
        truth, table = drawn(90, 2, seed)
        up = table[:, 1].astype(np.float64).round(digits)
        found = score("partial_auc_80", truth, np.stack([1 - up, up], 1))[0]
        scaled = roc_auc_score(1 - truth, -up, max_fpr=0.2)  # McClish: 0.5 is the diagonal's area, 1 the greatest one
        assert found == pytest.approx(0.02 + (0.2 - 0.02) * (scaled - 0.5) / 0.5, abs=1e-6)


def test_the_partial_area_is_that_above_a_true_positive_rate_of_0_8() -> None:
    truth, table = drawn(200, 2, 4)
    order = np.argsort(-table[:, 1])
    ups = np.append(0, np.cumsum(truth[order] == 1) / (truth == 1).sum())
    downs = np.append(0, np.cumsum(truth[order] == 0) / (truth == 0).sum())
    by_steps = np.sum(np.diff(downs) * np.maximum(ups[1:] - 0.8, 0))
    assert score("partial_auc_80", truth, table)[0] == pytest.approx(by_steps, abs=1e-6)
    even = np.full((10, 2), 0.5)
    assert score("partial_auc_80", np.arange(10) % 2, even)[0] == pytest.approx(0.02)


def test_the_weighted_area_counts_the_part_below_a_true_positive_rate_of_0_4_twice() -> None:
    up = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    table = np.stack([1 - up, up], 1)
    # the curve goes up to 1/4 and 1/2, right to 1/2, up to 3/4, right to 1, up to 1: below 0.4 all of its width
    value = score("weighted_auc", [1, 1, 0, 1, 0, 1], table)[0]
    assert value == pytest.approx((2 * 0.4 + (0.1 + 0.25 * 0.5)) / 1.4)
    truth, drawn_table = drawn(200, 2, 4)
    areas = [score(name, truth, drawn_table)[0] for name in ("weighted_auc", "roc_auc")]
    order = np.argsort(-drawn_table[:, 1])
    ups = np.append(0, np.cumsum(truth[order] == 1) / (truth == 1).sum())
    downs = np.append(0, np.cumsum(truth[order] == 0) / (truth == 0).sum())
    below = np.sum(np.diff(downs) * np.minimum(ups[1:], 0.4))
    assert areas[0] == pytest.approx((areas[1] + below) / 1.4, abs=1e-6)
    even = np.full((10, 2), 0.5)
    assert score("weighted_auc", np.arange(10) % 2, even)[0] == pytest.approx((2 * 0.32 + 0.18) / 1.4)


def test_probabilistic_f1_equals_the_value_computed_by_hand() -> None:
    up = np.array([0.75, 0.5, 0.25])
    # hits 0.75, false 0.5 + 0.25: precision 1/2, recall 3/4
    found = score("probabilistic_f1", [1, 0, 0], np.stack([1 - up, up], 1))[0]
    assert found == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert score("probabilistic_f1", [1, 0, 1], np.eye(2)[[1, 0, 1]])[0] == 1
    with pytest.raises(UserError, match="needs images of the positive class"):
        score("probabilistic_f1", [0, 0], [[0.5, 0.5], [0.2, 0.8]])


@pytest.mark.parametrize("name", OF_TWO)
def test_the_positive_class_is_the_competitions_or_the_one_called_1(name: str) -> None:
    truth, table = drawn(50, 2, 0)
    found = score(name, truth, table)[0]
    assert metric_of(name, ["benign", "cancer"], positive="cancer").value(truth, table) == found
    assert metric_of(name, ["cancer", "healthy"], positive="cancer").value(1 - truth, table[:, ::-1]) == found
    with pytest.raises(UserError, match=r"needs the positive class, .* benign, cancer\n.*Competition.positive"):
        metric_of(name, ["benign", "cancer"])
    with pytest.raises(UserError, match=f"{name} is computed for two classes, but there are 3"):
        metric_of(name, 3)


@pytest.mark.parametrize("name", ["quadratic_kappa", *OF_TWO])
def test_without_the_classes_names_a_metric_that_needs_them_says_so(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} cannot be computed without the names of the classes"):
        metric_of(name, []).score(np.array([0, 1]), np.eye(2, dtype=np.float32))


def test_the_brier_score_equals_the_value_computed_by_hand() -> None:
    assert score("brier", [0, 1], [[0.75, 0.25], [1.0, 0.0]])[0] == pytest.approx((1 / 16 + 1) / 2)
    assert score("brier", [0], [[0.5, 0.25, 0.25]])[0] == pytest.approx(1 / 4 + 1 / 16 + 1 / 16)


def test_scoring_loads_neither_scikit_learn_nor_scipy() -> None:
    code = (
        "import sys, numpy as np, kagglekit_metrics as m; from kagglekit import Competition\n"
        f"for name in {computed_for(2)}:\n"
        "    metric = m.kagglekit_metric(Competition(title='t', metric=name), ('0', '1'))\n"
        "    metric.score(np.array([0, 1]), np.float32([[0.9, 0.1], [0.2, 0.8]]))\n"
        "print([name for name in ('sklearn', 'scipy', 'pandas', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
