from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import kagglekit_decisions as decisions
from kagglekit import Competition, Metric, MultiLabel, Recipe, Score, Stage, UserError
from kagglekit.data.scoring import Scorer
from kagglekit.prediction.decide import cross_fitted, find, score_of


def scorer_of(name: str, metric: Metric, n_labels: int = 3) -> Scorer:
    task = MultiLabel(tuple("abcdef"[:n_labels]))
    recipe = Recipe(arch="resnet18", stages=(Stage(name="head", size=32),), decision=name)
    competition = Competition(title="Drawn", metric=metric.name, task=task.kind)
    return Scorer(metric, task, competition, decisions.kagglekit_decision(recipe, competition, task))


def f1(truth: np.ndarray, values: np.ndarray) -> Score:
    hits, counted = ((truth == 1) & (values >= 0.5)).sum(0), (truth == 1).sum(0) + (values >= 0.5).sum(0)
    return Score(float((2 * hits / np.maximum(counted, 1)).mean()), 0.0)


F1 = Metric("macro_f1", f1, greater_is_better=True)


def drawn(n: int, n_labels: int, seed: int, skill: float) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, n_labels)) < 0.3).astype(np.float32)
    logits = skill * (truth - 0.5) + rng.normal(size=truth.shape) - 1
    table = pd.DataFrame({"id": [f"i{k}" for k in range(n)]}, dtype=object)
    return truth, (1 / (1 + np.exp(-logits))).astype(np.float32), table


def test_a_label_with_random_scores_gains_nothing() -> None:
    # without skill no threshold beats "all images": F1 = 2 p / (1 + p); in sample some seem to
    scorer, seeming, honest, everything = scorer_of("thresholds", F1), [], [], []
    for seed in range(20):
        truth, values, table = drawn(60, 3, seed, skill=0)
        fitted = scorer.decided(values, find(scorer, truth, values, table))
        seeming.append(f1(truth, fitted).value)
        honest.append(f1(truth, cross_fitted(scorer, truth, values, table, seed)).value)
        everything.append(f1(truth, np.ones_like(values)).value)
    assert np.mean(seeming) > np.mean(everything) + 0.02
    assert np.mean(honest) < np.mean(everything)


def test_thresholds_that_help_are_seen_to_help() -> None:
    truth, values, table = drawn(400, 3, 0, skill=2)
    scorer = scorer_of("thresholds", F1)
    decided = cross_fitted(scorer, truth, values, table, 0)
    assert set(np.unique(decided)) == {0, 1}
    assert f1(truth, decided).value > f1(truth, scorer.decided(values)).value + 0.1


def test_the_decided_rows_of_a_group_do_not_depend_on_their_labels() -> None:
    truth, values, table = drawn(60, 3, 1, skill=1)
    table["group"] = [f"g{k % 15}" for k in range(60)]
    scorer, changed = scorer_of("thresholds", F1), truth.copy()
    own = (table["group"] == "g3").to_numpy()
    changed[own] = np.roll(truth[own], 1, axis=0)  # all labels keep their numbers, so all groups keep their parts
    assert (changed != truth).any()
    before, after = (cross_fitted(scorer, each, values, table, 0) for each in (truth, changed))
    assert (before[own] == after[own]).all()


def test_scores_have_the_sign_and_the_rows_of_the_metric() -> None:
    table = pd.DataFrame({"id": ["a", "b", "c"], "weight": [1.0, 0.0, 3.0]})

    def weighted(truth: np.ndarray, values: np.ndarray, rows: pd.DataFrame) -> Score:
        return Score(float(np.average(np.abs(truth - values)[:, 0], weights=rows["weight"])), 0.0)

    scorer = scorer_of("threshold", Metric("error", weighted, greater_is_better=False, with_table=True), 1)
    truth, values = np.zeros((2, 1), np.float32), np.array([[1.0], [0.0]], np.float32)
    assert score_of(scorer, table.iloc[[0, 2]])(truth, values) == pytest.approx(-0.25)
    assert score_of(scorer, table.iloc[[1, 2]])(truth, values) == pytest.approx(0)


def test_rows_that_cannot_be_scored_leave_a_decision_plain() -> None:
    def refuse(truth: np.ndarray, values: np.ndarray) -> Score:
        raise UserError("no image of the class", "hold out more")

    truth, values, table = drawn(20, 2, 0, skill=1)
    scorer = scorer_of("threshold", Metric("own", refuse, greater_is_better=True), 2)
    assert find(scorer, truth, values, table) == {"threshold": 0.5}
    assert (cross_fitted(scorer, truth, values, table, 0) == (values >= 0.5)).all()


def test_without_images_or_with_a_single_one_everything_is_plain() -> None:
    truth, values, table = drawn(6, 2, 0, skill=1)
    scorer = scorer_of("threshold", F1, 2)
    assert find(scorer, truth[:0], values[:0], table[:0]) == {"threshold": 0.5}
    assert cross_fitted(scorer, truth[:0], values[:0], table[:0], 0).shape == (0, 2)
    assert (cross_fitted(scorer, truth[:1], values[:1], table[:1], 0) == (values[:1] >= 0.5)).all()
