"""Ensembles for several labels, numbers, grades and several targets."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

import kagglekit_ensembles as ensembles
from kagglekit import (
    Competition,
    Ensemble,
    Member,
    MultiLabel,
    NotForTask,
    Ordinal,
    Recipe,
    Regression,
    Several,
    Stage,
    Task,
    UserError,
)
from kagglekit.types.predictions import make_predictions
from kagglekit.types.records import write_record
from kagglekit_ensembles.numbers import fit_stack
from kagglekit_ensembles.several_labels import best_temperature
from kagglekit_ensembles.weights import climbed_least_squares, least_squares_weights

LABELS = MultiLabel(("rot", "rust", "scab"))
ANY = ("mean", "average", "last")
FITTED = ("weighted", "log-weighted", "hill-climbing", "stacking", "temperature")
OF_LABELS = (*ANY, *FITTED, "geometric", "log-odds", "rank")
OF_NUMBERS = (*ANY, "weighted", "hill-climbing", "stacking")


def combine(
    ensemble: str, members: list[Member], labels: pd.Series, task: Task, groups: pd.Series | None = None
) -> Ensemble:
    recipe = Recipe(arch="resnet18", stages=(Stage(name="head", size=32),), ensemble=ensemble)
    made = ensembles.kagglekit_ensemble(members, labels, groups, None, recipe, task)
    assert made is not None
    return made


def member(name: str, task: Task, valid: np.ndarray, test: np.ndarray) -> Member:
    tables = (
        make_predictions([f"{split}{row}" for row in range(len(values))], task.columns, values)
        for split, values in (("v", valid), ("t", test))
    )
    return Member(name, *tables, run="run", stage="all", cycle=1)


def text_of(task: Task, truth: np.ndarray) -> pd.Series:
    rows = [write_record(dict(zip(task.columns, map(float, row), strict=True))) for row in truth]
    return pd.Series(rows, index=[f"v{row}" for row in range(len(rows))])


def drawn_labels(n: int, seed: int = 0, unknown: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, 3)) < [0.5, 0.3, 0.2]).astype(np.float32)
    truth[rng.random(truth.shape) < unknown] = np.nan
    return truth


def drawn_members(truth: np.ndarray, skills: dict[str, float]) -> list[Member]:
    """Members whose log-odds hold the truth times a skill, plus noise."""
    made = []
    for number, (name, skill) in enumerate(skills.items()):
        rng = np.random.default_rng(number + 10)
        odds = skill * (np.nan_to_num(truth) - 0.5) + rng.normal(size=truth.shape)
        made.append(member(name, LABELS, expit(odds), rng.random((8, 3))))
    return made


def log_loss(table: pd.DataFrame, truth: np.ndarray) -> float:
    return float(LABELS.losses(truth, table.to_numpy()).mean())


def numbers_task(truth: np.ndarray, **facts: object) -> Regression:
    names = tuple(f"y{column}" for column in range(truth.shape[1]))
    competition = Competition(title="Numbers", metric="rmse", task="regression", targets=names, **facts)
    rows = [write_record(dict(zip(names, map(float, row), strict=True))) for row in truth]
    return Regression.fit(rows, competition)


def number_members(task: Regression, truth: np.ndarray, noises: dict[str, float]) -> list[Member]:
    made = []
    for number, (name, noise) in enumerate(noises.items()):
        rng = np.random.default_rng(number + 20)
        guess = np.nan_to_num(truth) + noise * np.array(task.std) * rng.normal(size=truth.shape)
        made.append(member(name, task, guess, rng.normal(size=(8, truth.shape[1]))))
    return made


def drawn_numbers(n: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    return (rng.normal(size=(n, 2)) * [1.0, 50.0] + [5.0, -300.0]).astype(np.float32)


def test_log_odds_and_ranks_of_labels_equal_the_values_computed_by_hand() -> None:
    task = MultiLabel(("a",))
    members = [
        member("one", task, np.array([[0.8], [0.5], [0.4]]), np.array([[1.0]])),
        member("two", task, np.array([[0.5], [0.5], [0.9]]), np.array([[0.5]])),
    ]
    labels = text_of(task, np.ones((3, 1)))
    for name in ("log-odds", "geometric"):
        odds = combine(name, members, labels, task)
        assert odds.valid["a"].tolist() == pytest.approx([2 / 3, 0.5, expit((logit(0.4) + logit(0.9)) / 2)])
        assert odds.fitted == {"weights": {"one": 0.5, "two": 0.5}}
    ranks = combine("rank", members, labels, task)
    # ranks of one: 3, 2, 1; of two: 1.5, 1.5, 3; (rank - 1/2) / 3
    assert ranks.valid["a"].tolist() == pytest.approx([(2.5 + 1) / 6, (1.5 + 1) / 6, (0.5 + 2.5) / 6])
    assert combine("mean", members, labels, task).valid["a"].tolist() == pytest.approx([0.65, 0.5, 0.65])


def test_members_that_are_certain_of_the_opposite_give_a_half() -> None:
    task = MultiLabel(("a",))
    members = [member("one", task, np.ones((1, 1)), np.ones((1, 1))), member("two", task, *[np.zeros((1, 1))] * 2)]
    answer = combine("log-odds", members, text_of(task, np.ones((1, 1))), task)
    assert answer.test["a"].tolist() == [0.5]


@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_weights_of_labels_are_the_best_mixture(unknown: float) -> None:
    truth = drawn_labels(300, unknown=unknown)
    members = drawn_members(truth, {"poor": 0.5, "fair": 1.5, "good": 3.0})
    labels = text_of(LABELS, truth)
    answer = combine("weighted", members, labels, LABELS)
    weights = np.array(list(answer.fitted["weights"].values()))
    tables = np.stack([each.valid.to_numpy(np.float64) for each in members], axis=2)
    known = ~np.isnan(truth)

    def loss(shares: np.ndarray) -> float:
        mixed = tables @ shares
        return float(-np.log(np.where(truth == 1, mixed, 1 - mixed))[known].mean())

    def of_free(free: np.ndarray) -> float:
        return loss(np.exp(free) / np.exp(free).sum())

    assert loss(weights) <= minimize(of_free, np.zeros(3), method="BFGS").fun + 1e-6
    assert weights.argmax() == 2
    assert log_loss(answer.valid, truth) < log_loss(combine("mean", members, labels, LABELS).valid, truth)
    climbed = combine("hill-climbing", members, labels, LABELS)
    assert loss(np.array(list(climbed.fitted["weights"].values()))) <= loss(weights) + 1e-3


def test_the_temperature_of_labels_is_the_one_computed_by_hand() -> None:
    # always sure to 0.9 of what is true in 3 of 4: log 9 / T = log 3
    truth = np.array([[1.0], [1.0], [0.0], [0.0], [np.nan]])
    sure = np.array([[0.9], [0.9], [0.1], [0.9], [0.9]])
    assert best_temperature(sure, truth) == pytest.approx(2, abs=1e-3)
    assert best_temperature(sure[4:], truth[4:]) == 1


def test_temperature_makes_labels_that_are_too_sure_honest() -> None:
    truth = drawn_labels(400)
    soft = drawn_members(truth, {"soft": 1.0})[0]
    sure = dataclasses.replace(soft, valid=like(soft.valid, expit(4 * logit(soft.valid.to_numpy(np.float64)))))
    answer = combine("temperature", [sure], text_of(LABELS, truth), LABELS)
    assert 2.5 < answer.fitted["temperature"] < 10
    assert log_loss(answer.valid, truth) < log_loss(sure.valid, truth) - 0.1


def like(table: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    return make_predictions(table.index, table.columns, values)


def test_stacking_of_labels_finds_weights_and_biases() -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(size=(4000, 3, 2))
    truth = (rng.random((4000, 3)) < expit(odds @ [1.5, 0.5] + [1.0, 0.0, -1.0])).astype(np.float32)
    members = [member(name, LABELS, expit(odds[:, :, k]), expit(odds[:5, :, k])) for k, name in enumerate("ab")]
    answer = combine("stacking", members, text_of(LABELS, truth), LABELS)
    assert answer.fitted["weights of log-odds"] == pytest.approx({"a": 1.5, "b": 0.5}, abs=0.15)
    expected = expit(odds[:5] @ [1.5, 0.5] + [1.0, 0.0, -1.0])
    np.testing.assert_allclose(answer.test, expected, atol=0.05)
    assert log_loss(answer.valid, truth) < log_loss(
        combine("log-odds", members, text_of(LABELS, truth), LABELS).valid, truth
    )


@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_the_logarithmic_pool_of_labels_finds_the_weights_of_log_odds(unknown: float) -> None:
    rng = np.random.default_rng(1)
    odds = rng.normal(size=(8000, 3, 3))
    truth = (rng.random((8000, 3)) < expit(odds @ [1.5, 0.5, 0.0])).astype(np.float32)
    truth[rng.random(truth.shape) < unknown] = np.nan
    members = [member(name, LABELS, expit(odds[:, :, k]), expit(odds[:5, :, k])) for k, name in enumerate("abc")]
    answer = combine("log-weighted", members, text_of(LABELS, truth), LABELS)
    found = answer.fitted["weights of log-odds"]
    assert found == pytest.approx({"a": 1.5, "b": 0.5, "c": 0.0}, abs=0.07)
    np.testing.assert_allclose(answer.test, expit(odds[:5] @ list(found.values())), atol=1e-5)


def test_stacking_of_labels_of_which_none_is_there_is_the_mean() -> None:
    truth = np.zeros((20, 3), np.float32)
    members = drawn_members(truth, {"a": 1.0, "b": 1.0})
    stacked, mean = (combine(name, members, text_of(LABELS, truth), LABELS) for name in ("stacking", "mean"))
    assert stacked.valid.equals(mean.valid)
    assert stacked.fitted == mean.fitted


def test_least_squares_weights_are_those_of_a_general_solver() -> None:
    # errors of equal size without correlation: weights by the inverse of the variances
    np.testing.assert_allclose(least_squares_weights(np.diag([1.0, 2.0, 4.0])), [4 / 7, 2 / 7, 1 / 7], atol=1e-9)
    for seed in range(10):
        errors = np.random.default_rng(seed).normal(size=(50, 4)) @ np.random.default_rng(seed).normal(size=(4, 4))
        products = errors.T @ errors / 50
        found = least_squares_weights(products)
        assert found.min() >= 0
        assert found.sum() == pytest.approx(1)
        general = minimize(
            lambda w, p=products: w @ p @ w,
            np.full(4, 0.25),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-12},
        )
        assert found @ products @ found <= general.fun + 1e-6
    np.testing.assert_allclose(least_squares_weights(np.zeros((3, 3))), [1 / 3] * 3)


def test_hill_climbing_on_squares_takes_the_steps_computed_by_hand() -> None:
    # errors of variance 1 and 2 without correlation: alone 1 or 2, both 3/4, with the first one twice 6/9
    products = np.diag([1.0, 2.0])
    np.testing.assert_allclose(climbed_least_squares(products, steps=1), [1, 0])
    np.testing.assert_allclose(climbed_least_squares(products, steps=2), [0.5, 0.5])
    np.testing.assert_allclose(climbed_least_squares(products, steps=3), [2 / 3, 1 / 3])
    np.testing.assert_allclose(climbed_least_squares(np.zeros((2, 2))), [0.5, 0.5])


def test_weights_of_numbers_count_each_target_in_its_own_deviations() -> None:
    truth = drawn_numbers(500)
    truth[::7, 0] = np.nan
    task = numbers_task(truth)
    members = number_members(task, truth, {"poor": 2.0, "good": 1.0})
    answer = combine("weighted", members, text_of(task, truth), task)
    assert answer.fitted["weights"] == pytest.approx({"poor": 0.2, "good": 0.8}, abs=0.05)
    mean = combine("mean", members, text_of(task, truth), task)
    assert task.losses(truth, answer.valid.to_numpy()).mean() < task.losses(truth, mean.valid.to_numpy()).mean()
    climbed = combine("hill-climbing", members, text_of(task, truth), task)
    assert climbed.fitted["weights"] == pytest.approx(answer.fitted["weights"], abs=0.02)
    mixed = sum(answer.fitted["weights"][each.name] * each.test for each in members)
    np.testing.assert_allclose(answer.test, mixed, rtol=1e-4, atol=1e-4)


def test_stacking_of_numbers_is_a_ridge_regression() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    truth = rng.normal(size=(80, 1))
    inputs = truth[:, :, None] + 0.5 * rng.normal(size=(80, 1, 3))
    found = fit_stack(inputs, truth)
    assert found is not None
    design = np.column_stack([inputs[:, 0] * 0.3, np.full(80, 0.1)])  # a penalty of its own for each by its scale
    ridge = Ridge(alpha=0.5, fit_intercept=False).fit(design, truth[:, 0] - inputs[:, 0].mean(axis=1))
    np.testing.assert_allclose(found.weights, ridge.coef_[:3] * 0.3 + 1 / 3)
    np.testing.assert_allclose(found.bias, ridge.coef_[3:] * 0.1)
    assert fit_stack(inputs, np.full((80, 1), np.nan)) is None


def test_stacking_of_numbers_mends_a_scale_and_stays_within_bounds() -> None:
    truth = np.random.default_rng(1).uniform(0, 100, (400, 1)).astype(np.float32)
    task = numbers_task(truth, bounds=(0.0, 100.0))
    shrunk = (0.5 * truth + 25).clip(0, 100)
    members = [member("shrunk", task, shrunk, np.array([[75.0], [100.0]]))]
    answer = combine("stacking", members, text_of(task, truth), task)
    assert answer.test.iloc[0, 0] == pytest.approx(100, abs=2)
    assert answer.test.iloc[1, 0] == 100
    assert task.losses(truth, answer.valid.to_numpy()).mean() < 0.01 * task.losses(truth, shrunk).mean()


@pytest.mark.parametrize("name", ["geometric", "log-odds", "rank", "temperature", "log-weighted"])
def test_what_needs_probabilities_is_refused_for_numbers(name: str) -> None:
    truth = drawn_numbers(20)
    task = numbers_task(truth)
    with pytest.raises(
        NotForTask, match=rf"'{name}' does not exist for regression tasks(.|\n)*mean, weighted, hill-climbing, stacking"
    ):
        combine(name, number_members(task, truth, {"a": 1.0}), text_of(task, truth), task)


def drawn_several(n: int) -> tuple[Several, np.ndarray, list[Member], pd.Series]:
    """A class and a number, each unknown for some; the first member knows the class, the second one the number."""
    rng = np.random.default_rng(4)
    shapes, sizes = rng.integers(3, size=n), rng.normal(50, 10, n)
    rows = [write_record({"shape": "abc"[k], "size": float(x)}) for k, x in zip(shapes, sizes, strict=True)]
    rows[:2] = [write_record({"shape": None, "size": 40.0}), write_record({"shape": "a", "size": None})]
    facts = {"targets": ("shape", "size"), "kinds": {"shape": "single-label", "size": "regression"}}
    task = Several.fit(rows, Competition(title="Both", metric="blocks_loss", task="several", **facts))
    made = []
    for name, skill, noise in (("classes", 4.0, 30.0), ("sizes", 0.5, 3.0), ("average", 1.0, 20.0)):
        logits = skill * np.eye(3)[shapes] + rng.normal(size=(n, 3))
        of_class = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        valid = np.column_stack([of_class, sizes + noise * rng.normal(size=n)])
        made.append(member(name, task, valid, valid[:5]))
    labels = pd.Series(rows, index=[f"v{row}" for row in range(n)])
    return task, task.encode(rows), made, labels


def test_each_of_several_targets_has_weights_of_its_own() -> None:
    task, truth, members, labels = drawn_several(200)
    answer = combine("weighted", members, labels, task)
    assert answer.fitted["weights of shape"]["classes"] > 0.9
    assert answer.fitted["weights of size"]["sizes"] > 0.9
    mean = combine("mean", members, labels, task)
    assert task.losses(truth, answer.valid.to_numpy()).mean() < 0.5 * task.losses(truth, mean.valid.to_numpy()).mean()
    for name in ("hill-climbing", "stacking"):
        fitted = combine(name, members, labels, task)
        task.check(fitted.valid, list(members[0].valid.index))
        assert task.losses(truth, fitted.valid.to_numpy()).mean() < task.losses(truth, mean.valid.to_numpy()).mean()


def test_a_target_whose_kind_lacks_a_method_gets_the_mean() -> None:
    task, _, members, labels = drawn_several(60)
    mean, other = (combine(name, members, labels, task) for name in ("mean", "geometric"))
    assert other.valid["size"].equals(mean.valid["size"])
    assert not other.valid["shape=a"].equals(mean.valid["shape=a"])
    tempered = combine("temperature", members, labels, task)
    assert set(tempered.fitted) == {"temperature of shape", "of of shape", "weights of size"}


def test_what_no_kind_of_several_has_is_refused() -> None:
    task, _, members, labels = drawn_several(60)
    with pytest.raises(NotForTask, match="'log-odds' does not exist for several tasks"):
        combine("log-odds", members, labels, task)


def kinds() -> dict[str, tuple[Task, list[Member], pd.Series, tuple[str, ...]]]:
    truth, numbers = drawn_labels(40, unknown=0.1), drawn_numbers(40)
    grades = np.arange(40, dtype=np.float32)[:, None] % 5
    task = numbers_task(numbers)
    ordinal = Ordinal.fit(
        [write_record({"label": float(grade)}) for grade in grades[:, 0]],
        Competition(title="Grades", metric="quadratic_kappa", task="ordinal"),
    )
    names = {"one": 1.0, "two": 2.0, "average": 0.5}
    of_grades = [
        dataclasses.replace(each, valid=each.valid.clip(0, 4), test=each.test.clip(0, 4))
        for each in number_members(ordinal, grades, names)
    ]
    several = drawn_several(40)
    return {
        "labels": (LABELS, drawn_members(truth, names), text_of(LABELS, truth), OF_LABELS),
        "numbers": (task, number_members(task, numbers, names), text_of(task, numbers), OF_NUMBERS),
        "grades": (ordinal, of_grades, text_of(ordinal, grades), OF_NUMBERS),
        "several": (several[0], several[2], several[3], (*ANY, *FITTED, "geometric", "rank")),
    }


@pytest.mark.parametrize("kind", ["labels", "numbers", "grades", "several"])
def test_all_ensembles_of_a_kind_give_good_tables_whatever_the_order_of_rows(kind: str) -> None:
    task, members, labels, names = kinds()[kind]
    assert set(ensembles.methods_of(task)) == set(names) - {"average", "last"}
    mixed = [
        dataclasses.replace(each, valid=each.valid.sample(frac=1, random_state=k), test=each.test[::-1])
        for k, each in enumerate(members)
    ]
    for name in names:
        straight = combine(name, members, labels, task)
        task.check(straight.valid, list(members[0].valid.index))
        task.check(straight.test, list(members[0].test.index))
        other = combine(name, mixed, labels.sample(frac=1, random_state=7), task)
        pd.testing.assert_frame_equal(other.valid.loc[straight.valid.index], straight.valid, check_exact=True)
        pd.testing.assert_frame_equal(other.test.loc[straight.test.index], straight.test, check_exact=True)
        assert other.fitted == straight.fitted


@pytest.mark.parametrize("kind", ["labels", "numbers", "several"])
def test_the_valid_row_of_an_image_does_not_depend_on_the_labels_of_its_group(kind: str) -> None:
    task, members, labels, names = kinds()[kind]
    groups = pd.Series([f"g{row % 10}" for row in range(40)], index=labels.index)
    own = groups == "g3"
    changed = labels.copy()
    later = sorted(labels.index[own])[1:]  # a group's labels and its first image's decide on the parts, which stay
    changed[later] = np.roll(labels[later].to_numpy(), 1)
    assert (changed != labels).any()
    for name in [name for name in names if name in FITTED]:
        before, after = (combine(name, members, each, task, groups) for each in (labels, changed))
        pd.testing.assert_frame_equal(before.valid[own], after.valid[own], check_exact=True)


@pytest.mark.parametrize("kind", ["labels", "numbers", "several"])
def test_the_ensemble_of_equal_members_is_the_member(kind: str) -> None:
    task, members, labels, names = kinds()[kind]
    equal = [dataclasses.replace(members[0], name=name) for name in ("one", "two", "average")]
    for name in set(names) & {"mean", "average", "last", "weighted", "hill-climbing", "log-odds"}:
        answer = combine(name, equal, labels, task)
        pd.testing.assert_frame_equal(answer.valid, members[0].valid, check_exact=False, rtol=1e-5, atol=1e-5)


def test_numbers_out_of_bounds_and_labels_without_valid_images_are_refused() -> None:
    truth = drawn_numbers(20)
    task = numbers_task(truth, bounds=(-600.0, 600.0))
    one, two = number_members(task, truth, {"one": 1.0, "two": 1.0})
    wild = dataclasses.replace(two, test=two.test + np.float32(1e6))
    with pytest.raises(UserError, match=r"member 'two' does not fit 'one' \(test\): .*not within \[-600, 600\]"):
        combine("mean", [one, wild], text_of(task, truth), task)
    empty = dataclasses.replace(one, valid=one.valid[:0])
    with pytest.raises(UserError, match="needs valid predictions, but there are none"):
        combine("weighted", [empty], text_of(task, truth), task)
    assert not len(combine("mean", [empty], text_of(task, truth), task).valid)
