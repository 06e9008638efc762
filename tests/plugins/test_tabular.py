"""The ensemble of images and columns beside them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, softmax

import kagglekit_ensembles as ensembles
from kagglekit import (
    Competition,
    Ensemble,
    Member,
    Metadata,
    MultiLabel,
    NotForTask,
    Recipe,
    Regression,
    SingleLabel,
    Stage,
    Task,
    UserError,
    make_predictions,
)
from kagglekit.types.records import write_record

N, N_TEST = 240, 12
GAIN, ERROR = "gain over the mean, in loss", "standard error of the gain"


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ensembles.trees.SETTINGS, "max_iter", 15)


def combine(
    members: list[Member], labels: pd.Series, task: Task, metadata: Metadata | None, groups: pd.Series | None = None
) -> Ensemble:
    recipe = Recipe(arch="resnet18", stages=(Stage(name="head", size=32),), ensemble="tabular")
    made = ensembles.kagglekit_ensemble(members, labels, groups, metadata, recipe, task)
    assert made is not None
    return made


def drawn_columns(seed: int = 0) -> Metadata:
    """Draw an age and a site of each image, some of them missing; a test image has a site that no other has."""
    rng = np.random.default_rng(seed)
    n = N + N_TEST
    age, site = rng.uniform(20, 80, n), rng.choice(np.array(["arm", "leg", "head"], object), n)
    age[::11], site[::13], site[N] = np.nan, None, "tail"
    table = pd.DataFrame({"age": age, "site": pd.Series(site, dtype=object)})
    parts = table[:N].set_axis([f"v{k}" for k in range(N)]), table[N:].set_axis([f"v{k}" for k in range(N_TEST)])
    return Metadata(*parts)  # equal ids in both


def effect_of(columns: pd.DataFrame) -> np.ndarray:
    return (2.5 * (columns["age"].fillna(0) > 50) + 2.5 * (columns["site"] == "leg") - 2.0).to_numpy()


def drawn_classes(useful: bool) -> tuple[SingleLabel, list[Member], pd.Series, Metadata]:
    """Three classes; the columns say how probable the first one is, if they are useful."""
    rng, columns, task = np.random.default_rng(1), drawn_columns(), SingleLabel(("a", "b", "c"))
    logits = rng.normal(size=(N, 3))
    true = logits + np.outer(effect_of(columns.labelled) if useful else np.zeros(N), [1, 0, 0])
    truth = (true + rng.gumbel(size=true.shape)).argmax(axis=1)
    labels = pd.Series(np.array(task.columns)[truth], index=columns.labelled.index)
    test = softmax(rng.normal(size=(N_TEST, 3)), axis=1)
    members = [
        member(f"m{k}", task, columns, softmax(logits + rng.normal(0, 0.3, logits.shape), axis=1), test)
        for k in range(2)
    ]
    return task, members, labels, columns


def drawn_labels() -> tuple[MultiLabel, list[Member], pd.Series, Metadata]:
    """Two labels, some unknown; the columns decide on the first one, and no image has the third."""
    rng, columns, task = np.random.default_rng(2), drawn_columns(), MultiLabel(("first", "second", "third"))
    odds = rng.normal(size=(N, 3)) - [0, 0, 9]
    truth = (rng.random((N, 3)) < expit(odds + np.outer(effect_of(columns.labelled), [1, 0, 0]))).astype(float)
    truth[rng.random(truth.shape) < 0.1], truth[:, 2] = np.nan, 0
    return task, [member("m", task, columns, expit(odds), rng.random((N_TEST, 3)))], text_of(task, truth), columns


def drawn_numbers() -> tuple[Regression, list[Member], pd.Series, Metadata]:
    rng, columns = np.random.default_rng(3), drawn_columns()
    seen = rng.normal(size=N)
    truth = 100 + 10 * (seen + effect_of(columns.labelled) + rng.normal(0, 0.3, N))
    truth[::17] = np.nan
    rows = [write_record({"y": float(number)}) for number in truth]
    facts = Competition(title="Numbers", metric="rmse", task="regression", targets=("y",), bounds=(0.0, 200.0))
    task = Regression.fit(rows, facts)
    guess = (100 + 10 * seen)[:, None]
    return task, [member("m", task, columns, guess, guess[:N_TEST])], text_of(task, truth[:, None]), columns


def member(name: str, task: Task, columns: Metadata, valid: np.ndarray, test: np.ndarray) -> Member:
    tables = (
        make_predictions(part.index, task.columns, values)
        for part, values in ((columns.labelled, valid), (columns.test, test))
    )
    return Member(name, *tables, run="run", stage="all", cycle=1)


def text_of(task: Task, truth: np.ndarray) -> pd.Series:
    rows = [write_record(dict(zip(task.columns, map(float, row), strict=True))) for row in truth]
    return pd.Series(rows, index=[f"v{row}" for row in range(len(rows))])


@pytest.mark.parametrize("draw", [lambda: drawn_classes(True), drawn_labels, drawn_numbers])
def test_columns_that_decide_lower_the_loss_of_images_that_were_left_out(draw) -> None:
    task, members, labels, columns = draw()
    answer = combine(members, labels, task, columns)
    task.check(answer.valid, list(members[0].valid.index))
    task.check(answer.test, list(members[0].test.index))
    assert answer.fitted[GAIN] > 2 * answer.fitted[ERROR] > 0
    assert answer.fitted["weights of outputs"]["trees on it and age, site"] > 0.3
    assert answer.doubts == ()
    truth = task.truth(labels, answer.valid)
    mean = np.mean([each.valid.to_numpy() for each in members], axis=0)
    gains = task.losses(truth, mean) - task.losses(truth, answer.valid.to_numpy())
    assert answer.fitted[GAIN] == pytest.approx(np.nanmean(gains), abs=1e-6)


def test_test_images_are_predicted_from_their_own_columns_not_from_those_of_equal_ids() -> None:
    task, members, labels, columns = drawn_classes(True)
    changed = columns.test.assign(site="leg", age=70.0)
    before, after = (
        combine(members, labels, task, Metadata(columns.labelled, test)) for test in (columns.test, changed)
    )
    assert (after.test["a"] - before.test["a"]).mean() > 0.1
    assert after.valid.equals(before.valid)


def test_columns_that_say_nothing_get_no_weight_and_a_doubt() -> None:
    task, members, labels, columns = drawn_classes(False)
    answer = combine(members, labels, task, columns)
    assert answer.fitted["weights of outputs"]["trees on it and age, site"] < 0.15
    assert abs(answer.fitted[GAIN]) < 0.02
    assert len(answer.doubts) == 1
    assert "no gain beyond chance; try --set ensemble=mean" in answer.doubts[0]


@pytest.mark.parametrize("draw", [lambda: drawn_classes(True), drawn_labels, drawn_numbers])
def test_a_column_known_for_one_image_and_an_empty_one_do_no_harm(draw) -> None:
    task, members, labels, columns = draw()
    sparse = columns.labelled.assign(one=np.nan, two=pd.Series(None, index=labels.index, dtype=object))
    sparse.loc["v7", "one"], sparse.loc["v7", "two"] = 3.0, "x"
    answer = combine(members, labels, task, Metadata(sparse, columns.test.assign(one=1.0, two="x")))
    task.check(answer.test, list(members[0].test.index))
    assert answer.fitted[GAIN] > 0


def test_the_order_of_rows_changes_no_bit() -> None:
    task, members, labels, columns = drawn_classes(True)
    straight = combine(members, labels, task, columns)
    mixed = [dataclasses.replace(m, valid=m.valid.sample(frac=1, random_state=k)) for k, m in enumerate(members)]
    other = combine(mixed, labels[::-1], task, Metadata(columns.labelled[::-1], columns.test[::-1]))
    pd.testing.assert_frame_equal(other.valid.loc[straight.valid.index], straight.valid, check_exact=True)
    pd.testing.assert_frame_equal(other.test.loc[straight.test.index], straight.test, check_exact=True)


def test_the_valid_row_of_an_image_does_not_depend_on_the_labels_of_its_group() -> None:
    task, members, labels, columns = drawn_classes(True)
    groups = pd.Series([f"g{row % 20}" for row in range(N)], index=labels.index)
    own = groups == "g3"
    changed = labels.copy()
    later = sorted(labels.index[own])[1:]  # the label of a group's first image decides on its part
    changed[later] = np.roll(labels[later].to_numpy(), 1)
    assert (changed != labels).any()
    before, after = (combine(members, each, task, columns, groups) for each in (labels, changed))
    pd.testing.assert_frame_equal(before.valid[own], after.valid[own], check_exact=True)


def test_what_is_missing_is_refused_with_a_reason() -> None:
    task, members, labels, columns = drawn_classes(True)
    with pytest.raises(NotForTask, match=r"needs columns beside the images(.|\n)*Competition.metadata"):
        combine(members, labels, task, None)
    many = SingleLabel(tuple(f"c{k:02}" for k in range(31)))
    with pytest.raises(NotForTask, match="at most 30 columns of predictions, not 31"):
        combine([Member("m", many.empty(), many.empty(), "run", "all", 1)], labels, many, columns)
    empty = [dataclasses.replace(each, valid=each.valid[:0]) for each in members]
    with pytest.raises(UserError, match="needs valid predictions"):
        combine(empty, labels, task, columns)
