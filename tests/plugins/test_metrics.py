from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kagglekit_metrics as metrics
from kagglekit import Competition, UserError

NAMES = ("log_loss", "accuracy", "balanced_accuracy", "roc_auc", "macro_f1")


def score(name: str, truth: list[int] | np.ndarray, table: object) -> tuple[float, float]:
    metric = metrics.kagglekit_metric(Competition(title="test", metric=name))
    assert metric is not None
    found = metric.score(np.asarray(truth, dtype=np.int64), np.asarray(table, dtype=np.float32))
    return found.value, found.error


def drawn(n: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of every class and predictions that are better than chance."""
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[truth]
    return truth, (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)


def test_the_plugin_names_what_it_answers_and_nothing_else() -> None:
    assert set(metrics.kagglekit_provides().metric) == set(NAMES)
    for name in NAMES:
        metric = metrics.kagglekit_metric(Competition(title="test", metric=name))
        assert metric is not None
        assert metric.name == name
        assert metric.greater_is_better == (name != "log_loss")
    assert metrics.kagglekit_metric(Competition(title="test", metric="quadratic_kappa")) is None


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
        with pytest.raises(UserError, match=f"cannot compute {name}"):
            score(name, [], np.empty((0, 2)))


@pytest.mark.parametrize("classes", [2, 5])
def test_values_equal_scikit_learns(classes: int) -> None:
    from sklearn import metrics as theirs

    for seed in range(5):
        truth, table = drawn(60, classes, seed)
        table = table.astype(np.float64)
        table /= table.sum(1, keepdims=True)
        guess = table.argmax(1)
        ranked = table[:, 1] if classes == 2 else table
        expected = {
            "log_loss": theirs.log_loss(truth, table),
            "accuracy": theirs.accuracy_score(truth, guess),
            "balanced_accuracy": theirs.balanced_accuracy_score(truth, guess),
            "macro_f1": theirs.f1_score(truth, guess, average="macro"),
            "roc_auc": theirs.roc_auc_score(truth, ranked, multi_class="ovr"),
        }
        for name, value in expected.items():
            assert score(name, truth, table)[0] == pytest.approx(value, abs=1e-6), name


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.sampled_from(NAMES))
def test_the_order_of_images_does_not_matter(seed: int, classes: int, name: str) -> None:
    truth, table = drawn(40, classes, seed)
    order = np.random.default_rng(seed).permutation(40)
    assert score(name, truth[order], table[order])[0] == pytest.approx(score(name, truth, table)[0])


def test_the_bootstrap_is_seeded_and_near_the_error_it_estimates() -> None:
    truth, table = drawn(400, 2, 0)
    assert score("roc_auc", truth, table) == score("roc_auc", truth, table)
    # the truth: how values spread over independent samples of the same kind
    for name in ("balanced_accuracy", "macro_f1", "roc_auc"):
        spread = np.std([score(name, *drawn(400, 2, seed))[0] for seed in range(1, 61)])
        assert score(name, truth, table)[1] == pytest.approx(spread, rel=0.35)


def test_scoring_loads_neither_scikit_learn_nor_scipy() -> None:
    code = (
        "import sys, numpy as np, kagglekit_metrics as m; from kagglekit import Competition\n"
        "for name in m.kagglekit_provides().metric:\n"
        "    metric = m.kagglekit_metric(Competition(title='t', metric=name))\n"
        "    metric.score(np.array([0, 1]), np.float32([[0.9, 0.1], [0.2, 0.8]]))\n"
        "print([name for name in ('sklearn', 'scipy', 'pandas', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
