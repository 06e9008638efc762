from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import kagglekit_ensembles as ensembles
from kagglekit import Ensemble, Member, NotForTask, Recipe, SingleLabel, Stage, UserError, assign_parts
from kagglekit.types.predictions import check_predictions, make_predictions, truth_numbers
from kagglekit_ensembles.fitted import cross_fitted
from kagglekit_ensembles.one_label import METHODS, best_temperature
from kagglekit_ensembles.weights import climbed_weights, mixture_weights, quick_mixture_weights

CLASSES = ["cat", "dog", "emu"]
FITTED = ("weighted", "log-weighted", "hill-climbing", "stacking", "temperature")
NAMES = ("mean", "geometric", "rank", "average", "last", *FITTED)
OF_EQUALS = ("mean", "geometric", "weighted", "average", "last", "hill-climbing")  # is their member again


def recipe(ensemble: str, seed: int = 0) -> Recipe:
    return Recipe(arch="resnet18", stages=(Stage(name="head", size=32),), ensemble=ensemble, seed=seed)


def combine(ensemble: str, members: list[Member], labels: pd.Series, seed: int = 0) -> Ensemble:
    task = SingleLabel(tuple(members[0].valid.columns) if members else tuple(CLASSES))
    answer = ensembles.kagglekit_ensemble(members, labels, None, None, recipe(ensemble, seed), task)
    assert answer is not None
    return answer


def drawn_labels(n: int) -> pd.Series:
    return pd.Series([CLASSES[k % 3] for k in range(n)], index=[f"v{k}" for k in range(n)])


def drawn_member(name: str, labels: pd.Series, skill: float, seed: int, n_test: int = 12) -> Member:
    """A member whose logits hold the truth times `skill` plus noise."""
    rng = np.random.default_rng(seed)
    truth = np.array([CLASSES.index(label) for label in labels], np.int64)
    logits = rng.normal(size=(len(labels), 3)) + skill * np.eye(3)[truth]
    valid = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    test_ids = [f"t{k}" for k in range(n_test)]
    test = rng.dirichlet(np.ones(3), n_test) if n_test else np.empty((0, 3))
    return Member(
        name,
        make_predictions(labels.index, CLASSES, valid),
        make_predictions(test_ids, CLASSES, test),
        run="run",
        stage="all",
        cycle=1,
    )


def of_rows(name: str, valid: list[list[float]], test: list[list[float]]) -> Member:
    tables = (
        make_predictions([f"{split}{k}" for k in range(len(rows))], CLASSES[: len(rows[0])], rows)
        for split, rows in (("v", valid), ("t", test))
    )
    return Member(name, *tables, run="run", stage="all", cycle=1)


def log_loss(table: pd.DataFrame, labels: pd.Series) -> float:
    truth = truth_numbers(labels, table)
    return float(-np.log(table.to_numpy(np.float64)[np.arange(len(truth)), truth]).mean())


def parts_of(labels: pd.Series) -> np.ndarray:
    return assign_parts(list(labels.index), np.array([CLASSES.index(label) for label in labels], np.int64), 0)


def shuffled(member: Member, seed: int) -> Member:
    return dataclasses.replace(
        member,
        valid=member.valid.sample(frac=1, random_state=seed),
        test=member.test.sample(frac=1, random_state=seed),
    )


def test_the_plugin_names_what_it_answers_and_nothing_else() -> None:
    assert set(ensembles.kagglekit_provides().ensemble) == {*NAMES, "auto", "log-odds", "tabular"}
    labels = drawn_labels(6)
    task = SingleLabel(tuple(CLASSES))
    assert (
        ensembles.kagglekit_ensemble([drawn_member("a", labels, 1, 0)], labels, None, None, recipe("median"), task)
        is None
    )


def test_log_odds_of_one_label_an_image_are_those_of_the_geometric_mean_and_refused() -> None:
    labels = drawn_labels(6)
    with pytest.raises(NotForTask, match=r"'log-odds' does not exist for single-label tasks(.|\n)*geometric"):
        combine("log-odds", [drawn_member("a", labels, 1, 0)], labels)


def test_mean_and_geometric_equal_the_values_computed_by_hand() -> None:
    members = [of_rows("a", [[0.8, 0.2]], [[1.0, 0.0]]), of_rows("b", [[0.2, 0.8]], [[0.5, 0.5]])]
    labels = pd.Series({"v0": "cat"})
    mean = combine("mean", members, labels)
    assert mean.valid.loc["v0"].tolist() == pytest.approx([0.5, 0.5])
    assert mean.test.loc["t0"].tolist() == [0.75, 0.25]
    assert mean.fitted == {"weights": {"a": 0.5, "b": 0.5}}
    geometric = combine("geometric", [*members, of_rows("c", [[0.9, 0.1]], [[0.5, 0.5]])], labels)
    product = np.cbrt([0.8 * 0.2 * 0.9, 0.2 * 0.8 * 0.1])
    assert geometric.valid.loc["v0"].tolist() == pytest.approx((product / product.sum()).tolist())


def test_members_that_contradict_each_other_with_certainty_still_give_probabilities() -> None:
    members = [of_rows("a", [[1.0, 0.0]], [[1.0, 0.0]]), of_rows("b", [[0.0, 1.0]], [[0.0, 1.0]])]
    for name in ("mean", "geometric", "weighted"):
        both = combine(name, members, pd.Series({"v0": "cat"}))
        check_predictions(both.valid, CLASSES[:2], ["v0"])
        check_predictions(both.test, CLASSES[:2], ["t0"])


def test_last_and_average_answer_one_member() -> None:
    labels = drawn_labels(9)
    members = [drawn_member(name, labels, 1, seed) for seed, name in enumerate(["one", "average", "two"])]
    for name, member in (("average", members[1]), ("last", members[2])):
        answer = combine(name, members, labels)
        assert answer.valid.equals(member.valid)
        assert answer.test.equals(member.test)
        assert answer.fitted == {"weights": {member.name: 1.0}}


def test_average_without_averaged_weights_says_what_is_missing() -> None:
    labels = drawn_labels(9)
    with pytest.raises(
        UserError, match=r"needs a member named 'average', but the members are one(.|\n)*ensemble .mean."
    ):
        combine("average", [drawn_member("one", labels, 1, 0)], labels)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 1000))
def test_the_ensemble_of_equal_members_is_the_member(copies: int, seed: int) -> None:
    labels = drawn_labels(10)
    member = drawn_member("average", labels, 1, seed)
    members = [dataclasses.replace(member, name=f"m{k}") for k in range(copies - 1)] + [member]
    for name in OF_EQUALS:
        answer = combine(name, members, labels)
        for got, own in ((answer.valid, member.valid), (answer.test, member.test)):
            pd.testing.assert_frame_equal(got, own, check_exact=False, atol=1e-6, rtol=0)
            if name in ("mean", "average", "last"):
                assert got.equals(own)


@pytest.mark.parametrize("ensemble", NAMES)
def test_the_order_of_rows_changes_no_bit(ensemble: str) -> None:
    labels = drawn_labels(31)
    members = [drawn_member(name, labels, skill, skill) for skill, name in enumerate(["one", "two", "average"])]
    straight = combine(ensemble, members, labels)
    mixed = combine(ensemble, [shuffled(m, k) for k, m in enumerate(members)], labels.sample(frac=1, random_state=7))
    pd.testing.assert_frame_equal(mixed.valid.loc[straight.valid.index], straight.valid, check_exact=True)
    pd.testing.assert_frame_equal(mixed.test.loc[straight.test.index], straight.test, check_exact=True)
    assert mixed.fitted == straight.fitted


@pytest.mark.parametrize("ensemble", NAMES)
def test_every_ensemble_gives_good_tables_with_and_without_test_images(ensemble: str) -> None:
    labels = drawn_labels(17)
    for n_test in (0, 12):
        members = [drawn_member(name, labels, 1, k, n_test) for k, name in enumerate(["one", "two", "average"])]
        answer = combine(ensemble, members, labels)
        check_predictions(answer.valid, CLASSES, list(labels.index))
        check_predictions(answer.test, CLASSES, [f"t{k}" for k in range(n_test)])


def test_weights_of_a_mixture_equal_the_optimum_computed_by_hand() -> None:
    # one image that only a sees, two that only b sees: -(ln w + 2 ln (1 - w)) is least at w = 1/3
    right = np.array([[1.0, 1e-15], [1e-15, 1.0], [1e-15, 1.0]])
    np.testing.assert_allclose(mixture_weights(right), [1 / 3, 2 / 3], atol=1e-4)
    np.testing.assert_allclose(quick_mixture_weights(right), [1 / 3, 2 / 3], atol=1e-3)
    np.testing.assert_allclose(quick_mixture_weights(right[:0]), [1 / 2, 1 / 2])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6))
def test_weights_of_a_mixture_reach_what_a_general_solver_finds(seed: int, members: int) -> None:
    right = np.random.default_rng(seed).beta(2, 1, size=(80, members)).clip(1e-15)
    weights = mixture_weights(right)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)

    def loss(free: np.ndarray) -> float:
        shares = np.exp(free - free.max())
        return float(-np.log(right @ (shares / shares.sum())).mean())

    best = minimize(loss, np.zeros(members), method="BFGS").fun
    assert -np.log(right @ weights).mean() <= best + 1e-6
    quick = quick_mixture_weights(right)
    assert quick.min() >= 0
    assert quick.sum() == pytest.approx(1)
    assert -np.log(right @ quick).mean() <= best + 1e-6


def test_weights_prefer_the_better_member_and_beat_the_mean() -> None:
    labels = drawn_labels(300)
    members = [drawn_member(name, labels, skill, skill) for skill, name in enumerate(["poor", "fair", "good"])]
    answer = combine("weighted", members, labels)
    weights = answer.fitted["weights"]
    assert weights["good"] > weights["fair"] > weights["poor"]
    assert sum(weights.values()) == pytest.approx(1)
    assert log_loss(answer.valid, labels) < log_loss(combine("mean", members, labels).valid, labels)
    mixed = sum(weights[member.name] * member.test for member in members)
    np.testing.assert_allclose(answer.test, mixed, atol=1e-6)


@pytest.mark.parametrize("ensemble", FITTED)
def test_the_valid_row_of_an_image_does_not_depend_on_its_label(ensemble: str) -> None:
    labels = drawn_labels(30).sort_index()
    members = [drawn_member(name, labels, 1, k) for k, name in enumerate(["one", "two", "three"])]
    tables = [member.valid for member in members]
    folds = parts_of(labels)
    own = labels.index[folds == folds[0]]
    changed = labels.copy()
    changed[own] = [CLASSES[(CLASSES.index(label) + 1) % 3] for label in labels[own]]
    before, after = (
        cross_fitted(METHODS[ensemble], tables, truth_numbers(named, tables[0]), folds) for named in (labels, changed)
    )
    pd.testing.assert_frame_equal(before.loc[own], after.loc[own], check_exact=True)
    assert not before.drop(own).equals(after.drop(own))
    answer = combine(ensemble, members, labels)
    pd.testing.assert_frame_equal(answer.valid, before.loc[labels.index], check_exact=False, atol=1e-6, rtol=0)


def test_weighted_works_with_fewer_images_than_folds() -> None:
    labels = drawn_labels(1)
    members = [drawn_member(name, labels, 1, k) for k, name in enumerate(["one", "two"])]
    answer = combine("weighted", members, labels)
    # nothing is left to find weights on: all are equal
    expected = (members[0].valid + members[1].valid) / 2
    np.testing.assert_allclose(answer.valid, expected, atol=1e-7)


def test_members_that_do_not_fit_are_named() -> None:
    labels = drawn_labels(6)
    one, two = (drawn_member(name, labels, 1, k) for k, name in enumerate(["one", "two"]))
    less = dataclasses.replace(two, valid=two.valid.iloc[1:])
    other = dataclasses.replace(two, test=two.test.rename(columns={"emu": "fox"}))
    broken = dataclasses.replace(two, test=two.test * np.float32(np.nan))
    for ensemble in NAMES:
        with pytest.raises(UserError, match=r"member 'two' does not fit 'one' \(valid\): .*missing v0"):
            combine(ensemble, [one, less], labels)
        with pytest.raises(
            UserError, match=r"member 'two' does not fit 'one' \(test\): .*missing emu; not expected: fox"
        ):
            combine(ensemble, [one, other], labels)
        with pytest.raises(UserError, match=r"member 'two' .*not finite in 12 of 12 rows"):
            combine(ensemble, [one, broken], labels)
        with pytest.raises(UserError, match="two members are named one"):
            combine(ensemble, [one, dataclasses.replace(two, name="one")], labels)
        with pytest.raises(UserError, match=r"no member to combine(.|\n)*snapshots"):
            combine(ensemble, [], labels)


def test_hill_climbing_takes_the_steps_computed_by_hand() -> None:
    # alone: a costs -ln(.8*.2)/2 = 0.916, b 0.916, c -ln(.4*.4)/2 = 0.916 (a is first); a and b together 0.693
    right = np.array([[0.8, 0.2, 0.4], [0.2, 0.8, 0.4]])
    np.testing.assert_allclose(climbed_weights(right, steps=1), [1, 0, 0])
    np.testing.assert_allclose(climbed_weights(right, steps=2), [0.5, 0.5, 0])
    np.testing.assert_allclose(climbed_weights(right, steps=3), [0.5, 0.5, 0])  # a third one only harms
    np.testing.assert_allclose(climbed_weights(right[:0]), [1 / 3] * 3)


def test_hill_climbing_approaches_the_best_mixture() -> None:
    right = np.array([[1.0, 1e-15], [1e-15, 1.0], [1e-15, 1.0]])  # best at 1/3, 2/3
    np.testing.assert_allclose(climbed_weights(right), [1 / 3, 2 / 3], atol=0.01)


def test_a_member_that_knows_nothing_is_left_out_by_hill_climbing() -> None:
    labels = drawn_labels(60)
    members = [drawn_member("good", labels, 4, 1), drawn_member("noise", labels, 0, 2)]
    answer = combine("hill-climbing", members, labels)
    assert answer.fitted["weights"]["good"] > 0.9
    assert log_loss(answer.valid, labels) < log_loss(combine("mean", members, labels).valid, labels)


def test_the_temperature_is_the_one_computed_by_hand() -> None:
    # always sure to 0.9 and right in 3 of 4: softmax(log p / T) must say 0.75, so 9 ** (1 / T) = 3 and T = 2
    table = np.array([[0.9, 0.1]] * 4)
    assert best_temperature(table, np.array([0, 0, 0, 1])) == pytest.approx(2, abs=1e-3)
    assert best_temperature(table[:0], np.array([], np.int64)) == 1


def test_temperature_makes_members_that_are_too_sure_honest() -> None:
    labels = drawn_labels(200)
    soft = drawn_member("soft", labels, 1.5, 1)
    raised = soft.valid.to_numpy(np.float64) ** 4
    sure = make_predictions(soft.valid.index, CLASSES, raised / raised.sum(1, keepdims=True))
    answer = combine("temperature", [dataclasses.replace(soft, valid=sure)], labels)
    assert 2.5 < answer.fitted["temperature"] < 6
    assert log_loss(answer.valid, labels) < log_loss(sure, labels)
    assert (answer.valid.to_numpy().argmax(1) == sure.to_numpy().argmax(1)).all()


def test_the_rank_mean_equals_the_value_computed_by_hand() -> None:
    sure = of_rows("a", [[0.99, 0.01], [0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5]])
    shy = of_rows("b", [[0.52, 0.48], [0.53, 0.47], [0.53, 0.47]], [[0.5, 0.5]])
    answer = combine("rank", [sure, shy], pd.Series({f"v{k}": "cat" for k in range(3)}))
    # ranks of cat: a 3 2 1, b 1 2.5 2.5; (rank - 1/2) / 3, then the mean
    expected = [(2.5 + 0.5) / 6, (1.5 + 2) / 6, (0.5 + 2) / 6]
    np.testing.assert_allclose(answer.valid["cat"], expected, atol=1e-6)
    np.testing.assert_allclose(answer.valid.sum(axis=1), 1, atol=1e-6)
    assert answer.test["cat"].tolist() == [0.5]


def test_stacking_learns_which_class_to_trust_which_member_with() -> None:
    labels = drawn_labels(300)
    truth = np.array([CLASSES.index(label) for label in labels])
    rng = np.random.default_rng(0)

    def member(name: str, knows: int) -> Member:
        """Sees only whether an image is of one class; between the others it is swapped at random."""
        logits = rng.normal(scale=0.3, size=(len(truth), 3))
        logits[:, knows] += np.where(truth == knows, 3, -3)
        table = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        return dataclasses.replace(
            drawn_member(name, labels, 0, 0), valid=make_predictions(labels.index, CLASSES, table)
        )

    members = [member("cats", 0), member("dogs", 1)]
    stacked, mixed = combine("stacking", members, labels), combine("weighted", members, labels)
    assert log_loss(stacked.valid, labels) < 0.5 * log_loss(mixed.valid, labels)


def test_stacking_of_images_of_one_class_is_the_mean() -> None:
    labels = pd.Series(["cat"] * 4, index=[f"v{k}" for k in range(4)])
    members = [drawn_member(name, labels, 1, k) for k, name in enumerate(["one", "two"])]
    assert combine("stacking", members, labels).test.equals(combine("mean", members, labels).test)


@pytest.mark.parametrize("ensemble", FITTED)
def test_an_ensemble_that_is_fitted_needs_valid_predictions(ensemble: str) -> None:
    labels = drawn_labels(0)
    with pytest.raises(UserError, match=r"this ensemble needs valid predictions(.|\n)*ensemble .mean."):
        combine(ensemble, [drawn_member("one", labels, 1, 0)], labels)


def of_evidence(n: int, exponents: tuple[float, ...]) -> tuple[list[Member], pd.Series]:
    """Members and labels drawn from their product with these exponents."""
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 1.5, (len(exponents), n, 3))
    truth = (np.tensordot(exponents, logits, 1) + rng.gumbel(size=(n, 3))).argmax(axis=1)
    labels = pd.Series(np.array(CLASSES)[truth], index=[f"v{k}" for k in range(n)])
    tables = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    members = [of_rows(name, table, table[:6]) for name, table in zip("abcd", tables, strict=False)]
    return members, labels


def test_the_logarithmic_pool_finds_the_exponents_that_labels_were_drawn_with() -> None:
    members, labels = of_evidence(20_000, (1.2, 0.6, 0.0))
    answer = combine("log-weighted", members, labels)
    assert answer.fitted["exponents"] == pytest.approx({"a": 1.2, "b": 0.6, "c": 0.0}, abs=0.05)
    powers = [answer.fitted["exponents"][each.name] * np.log(each.test) for each in members]
    product = np.exp(sum(powers))
    np.testing.assert_allclose(answer.test, product.div(product.sum(axis=1), axis=0), atol=1e-6)
    for other in ("weighted", "geometric"):
        assert log_loss(answer.valid, labels) < log_loss(combine(other, members, labels).valid, labels) - 0.05


def test_a_member_that_excludes_the_truth_has_no_veto() -> None:
    labels = drawn_labels(300)
    good = drawn_member("good", labels, 1.5, 1)
    wrong = good.valid.to_numpy().copy()
    wrong[::20] = np.roll(np.eye(3, dtype=np.float32)[wrong[::20].argmax(axis=1)], 1, axis=1)
    answer = combine("log-weighted", [good, dataclasses.replace(good, name="b", valid=like(good, wrong))], labels)
    assert answer.fitted["exponents"]["b"] < 0.2
    assert log_loss(answer.valid, labels) < log_loss(good.valid, labels) + 0.02


def like(member: Member, values: np.ndarray) -> pd.DataFrame:
    return make_predictions(member.valid.index, member.valid.columns, values)


def test_exponents_of_very_many_numbers_are_fitted_to_images_taken_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    members, labels = of_evidence(8000, (1.2, 0.6))
    monkeypatch.setattr("kagglekit_ensembles.log_pools.MOST", 6000)
    some = combine("log-weighted", members, labels).fitted["exponents"]
    ids = labels.index.sort_values()[::4]
    few = [dataclasses.replace(each, valid=each.valid.loc[ids]) for each in members]
    assert some == combine("log-weighted", few, labels).fitted["exponents"]
    assert some == pytest.approx({"a": 1.2, "b": 0.6}, abs=0.15)


@pytest.mark.parametrize(
    ("skills", "chosen"),
    [
        ((3.0, 3.0, 3.0), "log-weighted"),  # independent members: their product is surer than each, and right
        ((4.0, 0.0, 0.0), ("a", "log-weighted")),  # two of noise add nothing
    ],
)
def test_auto_is_the_way_of_the_least_valid_loss(skills, chosen):
    labels = drawn_labels(300)
    members = [
        drawn_member(name, labels, skill, seed) for seed, (name, skill) in enumerate(zip("abc", skills, strict=True))
    ]
    made = combine("auto", members, labels)
    losses = {each.name: log_loss(each.valid, labels) for each in members}
    losses |= {name: log_loss(combine(name, members, labels).valid, labels) for name in ("mean", "log-weighted")}
    assert made.fitted["valid losses"] == pytest.approx(losses, abs=1e-6)
    assert made.fitted["chosen"] == min(losses, key=losses.__getitem__)
    assert made.fitted["chosen"] in chosen
    assert log_loss(made.valid, labels) == pytest.approx(min(losses.values()), abs=1e-6)
    gain, error = (made.fitted[key] for key in ("gain over the best member", "standard error of the gain"))
    assert gain == pytest.approx(min(losses[name] for name in "abc") - min(losses.values()), abs=1e-6)
    assert (error > 0) == (gain != 0)


def test_auto_is_not_below_its_best_member():
    labels = drawn_labels(90)
    good = drawn_member("good", labels, 5.0, 0)
    even = good.valid * 0 + 1 / 3
    other = Member("even", even.astype("float32"), good.test, "run", "all", 1)
    sure = dataclasses.replace(good, name="sure", valid=(0.999 * good.valid + 0.001 / 3).astype("float32"))
    made = combine("auto", [other, good, sure], labels)
    assert log_loss(made.valid, labels) <= log_loss(good.valid, labels) + 1e-6


def test_auto_of_one_member_calibrates_it_where_its_loss_is_then_clearly_lower():
    labels = drawn_labels(200)
    member = drawn_member("a", labels, 1.5, 1)
    raised = member.valid.to_numpy(np.float64) ** 8
    sure = dataclasses.replace(member, valid=like(member, raised / raised.sum(1, keepdims=True)))
    made = combine("auto", [sure], labels)
    assert made.fitted["chosen"] == "temperature"
    assert made.fitted["temperature"] > 2
    assert log_loss(made.valid, labels) < 0.7 * log_loss(sure.valid, labels)
    assert (made.valid.to_numpy().argmax(1) == sure.valid.to_numpy().argmax(1)).all()
    again = combine("auto", [dataclasses.replace(member, valid=made.valid, test=made.test)], labels)
    assert again.fitted == {"weights": {"a": 1.0}}  # what is calibrated stays as it is


def test_auto_of_one_member_is_itself_and_without_valid_images_it_is_the_mean():
    labels = drawn_labels(30)
    first, second = (drawn_member(name, labels, 2.0, seed) for seed, name in enumerate("ab"))
    alone = combine("auto", [first], labels)
    assert alone.valid is first.valid
    assert alone.fitted == {"weights": {"a": 1.0}}
    bare = [dataclasses.replace(each, valid=each.valid[:0]) for each in (first, second)]
    made = combine("auto", bare, labels[:0])
    np.testing.assert_allclose(made.test, (first.test + second.test) / 2, atol=1e-6)
