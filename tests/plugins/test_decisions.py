from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, fbeta_score

import kagglekit_decisions as decisions
from kagglekit import (
    Competition,
    Decision,
    MultiLabel,
    Ordinal,
    Recipe,
    Regression,
    SingleLabel,
    Stage,
    Task,
    UserError,
)
from kagglekit.types.records import write_record
from kagglekit_decisions.classes import estimated_prior

NAMES = ("thresholds", "threshold", "count", "cuts", "new-class", "prior-shift")
Score = Callable[[np.ndarray, np.ndarray], float]


def decision(name: str, task: Task, metric: str = "log_loss", **options: object) -> Decision:
    recipe = Recipe(
        arch="resnet18", stages=(Stage(name="head", size=32),), decision=name, options={**OPTIONS, **options}
    )
    made = decisions.kagglekit_decision(recipe, Competition(title="Drawn", metric=metric, task=task.kind), task)
    assert made is not None
    assert made.name == name
    return made


OPTIONS = dict(decisions.kagglekit_provides().options)


def labels_task(n: int) -> MultiLabel:
    return MultiLabel(tuple(f"label{number}" for number in range(n)))


def grades_task(highest: int = 4) -> Ordinal:
    names = [write_record({"label": grade}) for grade in range(highest + 1)]
    return Ordinal.fit(names, Competition(title="Grades", metric="quadratic_kappa", task="ordinal"))


def f_score(average: str, beta: float = 1) -> Score:
    """Like scikit-learn's, but a hundred times as fast."""
    over = {"macro": 0, "micro": None, "sets": 1}[average]

    def score(truth: np.ndarray, decided: np.ndarray) -> float:
        there, predicted = truth == 1, decided == 1
        hits, counted = (there & predicted).sum(over), predicted.sum(over) + beta**2 * there.sum(over)
        return float(np.where(counted > 0, (1 + beta**2) * hits / np.maximum(counted, 1), 1).mean())

    return score


def kappa(truth: np.ndarray, decided: np.ndarray) -> float:
    return float(cohen_kappa_score(truth[:, 0], decided[:, 0], weights="quadratic"))


def drawn_labels(n: int, n_labels: int, seed: int, skill: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities that are too low for all but the most frequent labels."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, n_labels)) < np.linspace(0.5, 0.1, n_labels)).astype(np.float32)
    truth[0] = 1
    logits = skill * (truth - 0.5) + rng.normal(size=truth.shape) - 1
    return truth, (1 / (1 + np.exp(-logits))).astype(np.float32)


def of_all_thresholds(truth: np.ndarray, values: np.ndarray, score: Score) -> float:
    """The best score of all combinations of thresholds, by trying them."""
    places = [np.append(np.unique(column), 2).astype(np.float32) for column in values.T]
    return max(score(truth, values >= np.array(at)) for at in itertools.product(*places))


def test_the_plugin_names_what_it_decides_and_nothing_else() -> None:
    assert set(decisions.kagglekit_provides().decision) == {"none", *NAMES}
    unknown = Recipe(arch="resnet18", stages=(Stage(name="head", size=32),), decision="coin")
    assert decisions.kagglekit_decision(unknown, Competition(title="Drawn"), labels_task(2)) is None


def test_none_changes_nothing() -> None:
    values = drawn_labels(5, 3, 0)[1]
    made = decision("none", labels_task(3))
    assert made.fit is None
    assert made.apply(made.plain, values) is values


def test_a_decision_for_another_task_is_refused() -> None:
    number = Regression(("weight",), (0.0,), (1.0,))
    with pytest.raises(UserError, match=r"'thresholds' is for multi-label tasks, not for regression(.|\n)*=none"):
        decision("thresholds", number)
    with pytest.raises(UserError, match=r"'cuts' is for ordinal tasks(.|\n)*=thresholds or threshold or count or none"):
        decision("cuts", labels_task(2))
    with pytest.raises(UserError, match=r"'new-class' is for single-label tasks(.|\n)*=cuts or none"):
        decision("new-class", grades_task())


def test_before_anything_is_found_a_label_counts_from_one_half_and_numbers_are_rounded() -> None:
    values = np.array([[0.2, 0.5, 0.9]], np.float32)
    for name in ("thresholds", "threshold"):
        made = decision(name, labels_task(3))
        assert made.apply(made.plain, values).tolist() == [[0, 1, 1]]
    made = decision("count", labels_task(3))
    assert made.apply(made.plain, values).tolist() == [[0, 0, 1]]
    made = decision("cuts", grades_task())
    numbers = np.array([[-3.0], [0.4], [0.6], [2.4], [9.0]], np.float32)
    assert made.apply(made.plain, numbers).ravel().tolist() == [0, 0, 1, 2, 4]


def test_the_threshold_of_a_label_is_the_one_computed_by_hand() -> None:
    # F1 of the first k: 1/2 * 2/(1+2) = .67, 2/4 = .5, 4/5 = .8, 4/6 = .67: the best takes three, from 0.25 on
    truth = np.array([[1], [0], [1], [0]], np.float32)
    values = np.array([[0.4], [0.35], [0.3], [0.2]], np.float32)
    for metric in ("macro_f1", "weighted_f1", "micro_f1", "own"):
        made = decision("thresholds", labels_task(1), metric)
        found = made.fit(truth, values, f_score("micro"))
        assert made.apply(found, values).ravel().tolist() == [1, 1, 1, 0]
        if metric in ("macro_f1", "weighted_f1"):
            assert found["thresholds"]["label0"] == pytest.approx(0.25)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("average", "beta"), [("macro", 1), ("macro", 2), ("micro", 1), ("micro", 2), ("sets", 1)])
def test_thresholds_reach_the_best_of_all(average: str, beta: int, seed: int) -> None:
    truth, values = drawn_labels(9, 3, seed)
    score = f_score(average, beta)
    best = of_all_thresholds(truth, values, score)
    made = decision("thresholds", labels_task(3), f"{average}_f{beta}")
    decided = made.apply(made.fit(truth, values, score), values)
    assert score(truth, decided) == pytest.approx(best, abs=0.02)
    if average == "macro":
        assert score(truth, decided) == pytest.approx(best)


@pytest.mark.parametrize("average", ["macro", "micro", "sets"])
def test_thresholds_of_the_closed_forms_are_no_worse_than_those_found_by_trying(average: str) -> None:
    truth, values = drawn_labels(60, 4, 1)
    score = f_score(average)
    closed, tried = (decision("thresholds", labels_task(4), name) for name in (f"{average}_f1", "own"))
    by_closed, by_tried = (score(truth, made.apply(made.fit(truth, values, score), values)) for made in (closed, tried))
    assert by_closed >= by_tried - 1e-9
    assert by_closed > score(truth, closed.apply(closed.plain, values)) + 0.05


@pytest.mark.parametrize("seed", range(4))
def test_thresholds_take_into_account_that_each_image_has_a_label(seed: int) -> None:
    truth, values = drawn_labels(9, 3, seed)
    truth[np.arange(9), np.random.default_rng(seed).integers(3, size=9)] = 1
    task = MultiLabel(("label0", "label1", "label2"), some=True)

    def filled(truth: np.ndarray, decided: np.ndarray) -> float:
        return f_score("sets")(truth, task.completed(decided.astype(np.float32), values))

    best = of_all_thresholds(truth, values, filled)
    for metric in ("sets_f1", "own"):
        made = decision("thresholds", task, metric)
        found = made.fit(truth, values, f_score("sets"))
        assert filled(truth, made.apply(found, values)) == pytest.approx(best, abs=0.03)


def test_unknown_labels_count_for_nothing() -> None:
    truth, values = drawn_labels(80, 3, 2)
    hidden = np.random.default_rng(0).random(truth.shape) < 0.3
    partly = np.where(hidden, np.nan, truth).astype(np.float32)
    made = decision("thresholds", labels_task(3), "macro_f1")
    found = made.fit(partly, values, f_score("macro"))["thresholds"]
    for number, name in enumerate(made.plain["thresholds"]):
        known = ~hidden[:, number]
        alone = decision("thresholds", MultiLabel((name,)), "macro_f1")
        own = alone.fit(truth[known][:, [number]], values[known][:, [number]], f_score("macro"))
        assert found[name] == own["thresholds"][name]


def test_a_label_that_no_image_has_keeps_the_plain_threshold() -> None:
    truth, values = drawn_labels(40, 2, 3)
    truth[:, 1] = 0
    for metric in ("macro_f1", "weighted_f1"):
        made = decision("thresholds", labels_task(2), metric)
        assert made.fit(truth, values, f_score("micro"))["thresholds"]["label1"] == 0.5


def test_a_score_that_cannot_be_computed_leaves_everything_plain() -> None:
    truth, values = drawn_labels(20, 2, 0)

    def never(truth: np.ndarray, decided: np.ndarray) -> float:
        return -np.inf

    for name in ("thresholds", "threshold", "count"):
        made = decision(name, labels_task(2), "own")
        assert made.fit(truth, values, never) == made.plain
    made = decision("cuts", grades_task())
    assert made.fit(truth[:, :1], values[:, :1], never) == made.plain


def test_thresholds_of_thirty_labels_take_less_than_a_second() -> None:
    truth, values = drawn_labels(200, 30, 0)

    def quick(truth: np.ndarray, decided: np.ndarray) -> float:
        hits, counted = (truth * decided).sum(0), truth.sum(0) + decided.sum(0)
        return float((2 * hits / np.maximum(counted, 1)).mean())

    for metric in ("macro_f1", "micro_f1", "sets_f1", "own"):
        began = time.process_time()
        made = decision("thresholds", labels_task(30), metric)
        found = made.fit(truth, values, quick)
        assert time.process_time() - began < 1
        if metric in ("macro_f1", "own"):
            assert quick(truth, made.apply(found, values)) > quick(truth, made.apply(made.plain, values)) + 0.1


def test_closed_forms_take_seconds_for_many_images() -> None:
    truth, values = drawn_labels(30_000, 28, 0)
    for metric in ("macro_f1", "micro_f1", "sets_f1"):
        began = time.process_time()
        decision("thresholds", labels_task(28), metric).fit(truth, values, lambda truth, decided: 0.0)
        assert time.process_time() - began < 6


def test_one_threshold_for_all_labels_is_the_best_one() -> None:
    truth, values = drawn_labels(60, 4, 5)
    made = decision("threshold", labels_task(4), "micro_f1")
    found = made.fit(truth, values, f_score("micro"))
    tried = [f_score("micro")(truth, values >= at) for at in np.unique(values)]
    assert f_score("micro")(truth, made.apply(found, values)) >= max(tried) - 0.01
    assert f_score("micro")(truth, made.apply(found, values)) > f_score("micro")(truth, values >= 0.5)


def test_as_many_labels_as_images_have_are_the_best_number() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((50, 6), np.float32)
    for row in truth:
        row[rng.permutation(6)[:3]] = 1
    values = (0.2 * truth + 0.3 + 0.02 * rng.random(truth.shape)).astype(np.float32)
    made = decision("count", labels_task(6))
    found = made.fit(truth, values, f_score("micro"))
    assert found == {"count": 3}
    assert (made.apply(found, values) == truth).all()
    curve = made.curves(found, truth, values, f_score("micro"))["number of labels"]
    assert [k for k, _ in curve] == [1, 2, 3, 4, 5, 6]
    assert max(curve, key=lambda point: point[1]) == (3, 1.0)


def test_cuts_find_the_scale_that_grades_are_predicted_on() -> None:
    grades = np.repeat(np.arange(5), 30).astype(np.float32)[:, None]
    numbers = (0.3 * grades + 1.7 + 0.01 * np.random.default_rng(0).random(grades.shape)).astype(np.float32)
    made = decision("cuts", grades_task())
    found = made.fit(grades, numbers, kappa)
    assert (made.apply(found, numbers) == grades).all()
    assert np.array(found["cuts"]) == pytest.approx([1.86, 2.16, 2.46, 2.76], abs=0.15)
    assert kappa(grades, made.apply(made.plain, numbers)) < 0.6


@pytest.mark.parametrize("seed", range(5))
def test_cuts_reach_the_best_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grades = rng.integers(0, 3, (16, 1)).astype(np.float32)
    numbers = (0.6 * grades + 0.3 + 0.4 * rng.normal(size=grades.shape)).astype(np.float32)
    made = decision("cuts", grades_task(2), "quadratic_kappa")
    places = np.append(np.unique(numbers), 9)
    pairs = itertools.combinations_with_replacement(places, 2)
    best = max(kappa(grades, np.searchsorted(pair, numbers, side="right")) for pair in pairs)
    found = made.fit(grades, numbers, kappa)
    assert kappa(grades, made.apply(found, numbers)) == pytest.approx(best, abs=0.02)
    assert found["cuts"] == sorted(found["cuts"])


def test_cuts_leave_a_right_scale_nearly_alone() -> None:
    grades = np.repeat(np.arange(5), 10).astype(np.float32)[:, None]
    made = decision("cuts", grades_task())
    assert made.fit(grades, grades, kappa) == made.plain


WHALES = SingleLabel(("a", "b", "new_whale"))


def first_class(truth: np.ndarray, decided: np.ndarray) -> float:
    return float(accuracy_score(truth, decided.argmax(axis=1)))


def test_a_new_class_leads_where_no_other_is_likely() -> None:
    # the network never learnt what is new: of new ones it is unsure
    values = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.55, 0.45, 0.0], [0.4, 0.6, 0.0]], np.float32)
    truth = np.array([0, 1, 2, 2])
    made = decision("new-class", WHALES)
    found = made.fit(truth, values, first_class)
    assert 0.6 < found["probability"] < 0.8
    decided = made.apply(found, values)
    assert decided.argmax(axis=1).tolist() == [0, 1, 2, 2]
    assert np.argsort(-decided, axis=1)[:, :2].tolist() == [[0, 2], [1, 2], [2, 0], [2, 1]]
    WHALES.check_values(decided, np.arange(4), "decided predictions")
    assert (made.apply(made.plain, values) == values).all()
    points = made.curves(found, truth, values, first_class)["probability of new_whale"]
    assert max(score for _, score in points) == 1


def test_the_new_class_has_the_name_in_the_options() -> None:
    made = decision("new-class", SingleLabel(("a", "other")), new_class="other")
    assert made.fit(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]], np.float32), first_class)
    with pytest.raises(UserError, match=r"needs the class 'new_whale', but the classes are a, b(.|\n)*new_class=NAME"):
        decision("new-class", SingleLabel(("a", "b")))


def shifted(prior: list[float], n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers with a prior, and what a classifier says that learnt them with even ones."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(len(prior), n, p=prior)
    logits = 2 * np.eye(len(prior))[truth] + rng.normal(size=(n, len(prior)))
    likelihood = np.exp(-((logits[:, :, None] - 2 * np.eye(len(prior))) ** 2).sum(axis=1) / 2)
    return truth, (likelihood / likelihood.sum(axis=1, keepdims=True)).astype(np.float32)


def test_the_prior_of_the_images_is_estimated_without_their_labels() -> None:
    true_prior = [0.7, 0.2, 0.1]
    truth, values = shifted([1 / 3] * 3, 4000, 0)
    other_truth, other = shifted(true_prior, 4000, 1)
    made = decision("prior-shift", SingleLabel(("a", "b", "c")))
    found = made.fit(truth, values, first_class)
    assert list(found["prior"].values()) == pytest.approx([1 / 3] * 3, abs=0.02)
    estimated = estimated_prior(other.astype(np.float64), np.array(list(found["prior"].values())))
    assert estimated == pytest.approx(true_prior, abs=0.03)
    decided = made.apply(found, other)
    expected = other * np.array(true_prior) * 3
    assert decided == pytest.approx(expected / expected.sum(axis=1, keepdims=True), abs=0.03)
    assert first_class(other_truth, decided) > first_class(other_truth, other)
    assert (made.apply(made.plain, other) == other).all()


def test_a_given_prior_reweights_as_computed_by_hand() -> None:
    made = decision("prior-shift", SingleLabel(("a", "b")), target_prior={"a": 0.8, "b": 0.2})
    found = made.fit(np.array([0, 1]), np.array([[0.6, 0.4], [0.4, 0.6]], np.float32), first_class)
    assert found == {"prior": pytest.approx({"a": 0.5, "b": 0.5})}
    # odds of a: 0.5 / 0.5 * (0.8 / 0.5) / (0.2 / 0.5) = 4
    assert made.apply(found, np.array([[0.5, 0.5]], np.float32))[0].tolist() == pytest.approx([0.8, 0.2])
    with pytest.raises(UserError, match="target_prior names other classes: c"):
        decision("prior-shift", SingleLabel(("a", "b")), target_prior={"c": 1.0})
    with pytest.raises(UserError, match="target_prior needs numbers above 0"):
        decision("prior-shift", SingleLabel(("a", "b")), target_prior={"a": -1.0})


def test_a_single_image_hardly_moves_the_prior() -> None:
    prior = estimated_prior(np.array([[0.9, 0.05, 0.05]]), np.full(3, 1 / 3))
    assert prior.max() < 0.55


@pytest.mark.parametrize("name", NAMES)
def test_what_is_found_survives_json(name: str) -> None:
    if name == "cuts":
        task: Task = grades_task()
        truth, values = np.arange(5, dtype=np.float32)[:, None], np.linspace(0, 5, 5, dtype=np.float32)[:, None]
        score: Score = kappa
    elif name in ("new-class", "prior-shift"):
        task, score = WHALES, first_class
        truth, values = shifted([0.4, 0.4, 0.2], 50, 0)
    else:
        task, score = labels_task(3), f_score("micro")
        truth, values = drawn_labels(50, 3, 0)
    made = decision(name, task, "macro_f1")
    found = made.fit(truth, values, score)
    again = json.loads(json.dumps(found))
    assert (made.apply(again, values) == made.apply(found, values)).all()
    assert made.apply(found, values).dtype == np.float32
    assert made.apply(found, values[:0]).shape == (0, values.shape[1])


@pytest.mark.parametrize("name", ["thresholds", "threshold"])
def test_curves_have_the_chosen_threshold_and_its_score(name: str) -> None:
    truth, values = drawn_labels(50, 3, 0)
    score = f_score("micro")
    made = decision(name, labels_task(3), "micro_f1")
    found = made.fit(truth, values, score)
    best = score(truth, made.apply(found, values))
    curves = made.curves(found, truth, values, score)
    assert list(curves) == (["label0", "label1", "label2"] if name == "thresholds" else ["all labels"])
    for title, points in curves.items():
        at = found["thresholds"][title] if name == "thresholds" else found["threshold"]
        assert dict(points)[at] == pytest.approx(best)
        assert [x for x, _ in points] == sorted(x for x, _ in points)
        assert max(y for _, y in points) <= best + 1e-9


def test_curves_of_cuts_have_one_line_a_cut() -> None:
    grades = np.repeat(np.arange(5), 6).astype(np.float32)[:, None]
    numbers = (grades + 0.8 * np.random.default_rng(0).normal(size=grades.shape)).astype(np.float32)
    made = decision("cuts", grades_task())
    found = made.fit(grades, numbers, kappa)
    curves = made.curves(found, grades, numbers, kappa)
    assert list(curves) == [f"from grade {grade}" for grade in range(1, 5)]
    assert max(y for points in curves.values() for _, y in points) == pytest.approx(
        kappa(grades, made.apply(found, numbers))
    )


@pytest.mark.parametrize("average", ["macro", "micro", "sets"])
@pytest.mark.parametrize("beta", [1, 2])
def test_the_f_scores_of_these_tests_are_those_of_scikit_learn(average: str, beta: int) -> None:
    truth, values = drawn_labels(30, 4, 0)
    theirs = fbeta_score(
        truth == 1, values >= 0.3, beta=beta, average="samples" if average == "sets" else average, zero_division=1
    )
    assert f_score(average, beta)(truth, values >= 0.3) == pytest.approx(theirs)
