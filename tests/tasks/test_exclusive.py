"""Labels that exclude each other are learnt as one choice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kagglekit import Competition, MultiLabel, Recipe
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.tasks.exclusive import LEAST, exclusive_groups
from kagglekit.types.records import write_record

COMPETITION = Competition(title="pets", task="multi-label", targets=("cat", "dog", "pug", "boxer", "manx", "outside"))


def pets(n: int = 60) -> np.ndarray:
    """Return labels (N, 6): a species, a breed of it, and whether the image was taken outside."""
    draw = np.random.default_rng(0)
    breed = draw.integers(0, 3, n)
    truth = np.zeros((n, 6), np.float32)
    truth[:, 0], truth[:, 1] = breed == 2, breed != 2
    truth[np.arange(n), 2 + breed] = 1
    truth[:, 5] = draw.random(n) < 0.3
    return truth


def task_of(truth: np.ndarray) -> MultiLabel:
    rows = [write_record(dict(zip(COMPETITION.targets, row.tolist(), strict=True))) for row in truth]
    return MultiLabel.fit(rows, COMPETITION)


def test_groups_are_found_of_which_every_image_has_exactly_one():
    assert exclusive_groups(pets()) == ((0, 1), (2, 3, 4))
    assert exclusive_groups(pets(LEAST - 1)) == ()
    with_neither = pets()
    with_neither[7, :5] = 0
    assert exclusive_groups(with_neither) == ()
    with_both = pets()
    with_both[7, 2:5] = 1
    assert exclusive_groups(with_both) == ((0, 1),)


def test_unknown_labels_do_not_hide_a_group():
    truth = pets(80)
    truth[::10, 2:5] = np.nan
    assert exclusive_groups(truth) == ((0, 1), (2, 3, 4))


def test_predictions_of_a_group_sum_to_one_and_others_are_free():
    task = task_of(pets())
    assert task.describe() == "6 labels (2 and 3 of them exclude each other)"
    assert MultiLabel.load(task.columns, task.state()) == task
    outputs = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    found = task.activate(outputs)
    assert found[:, :2].sum(1).tolist() == pytest.approx([1] * 5)
    assert found[:, 2:5].sum(1).tolist() == pytest.approx([1] * 5)
    assert torch.equal(found[:, 5], outputs[:, 5].sigmoid())


def test_the_loss_is_the_mean_over_groups_and_free_labels_and_skips_what_is_unknown():
    truth = pets()
    task, hooks = task_of(truth), Hooks(load("shapes"))
    loss = hooks.loss(Recipe(arch="a", stages=hooks.recipe("quick").stages), task)
    outputs = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    targets = torch.from_numpy(truth[:4])
    parts = [
        torch.nn.functional.cross_entropy(outputs[:, :2], targets[:, :2]),
        torch.nn.functional.cross_entropy(outputs[:, 2:5], targets[:, 2:5]),
        torch.nn.functional.binary_cross_entropy_with_logits(outputs[:, 5], targets[:, 5]),
    ]
    assert float(loss(outputs, targets)) == pytest.approx(float(sum(parts)) / 3)
    unknown = targets.clone()
    unknown[0, 2:5] = np.nan
    parts[1] = torch.nn.functional.cross_entropy(outputs[1:, 2:5], targets[1:, 2:5])
    assert float(loss(outputs, unknown)) == pytest.approx(float(sum(parts)) / 3)


def test_smoothing_spreads_over_a_group():
    targets = task_of(pets()).train_targets(torch.from_numpy(pets()[:2]), 0.3)
    assert targets[:, :2].sum(1).tolist() == pytest.approx([1, 1])
    assert targets[:, 2:5].sum(1).tolist() == pytest.approx([1, 1])
    assert sorted(targets[0, 2:5].tolist()) == pytest.approx([0.1, 0.1, 0.8])
    assert set(np.round(targets[:, 5].tolist(), 4)) <= {0.15, 0.85}


def test_the_head_of_a_group_is_multinomial():
    draw, truth = np.random.default_rng(1), pets(300)
    features = (truth @ draw.normal(0, 1, (6, 12)) + draw.normal(0, 0.7, (300, 12))).astype(np.float32)
    task = task_of(truth)
    head = task.fit_head(features, truth, 0)
    found = task.activate(torch.from_numpy(features @ head.weight.T + head.bias)).numpy()
    assert (found[:, 2:5].argmax(1) == truth[:, 2:5].argmax(1)).mean() > 0.9
    assert head.text.count("logistic regression") == 3
