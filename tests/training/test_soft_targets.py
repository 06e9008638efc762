"""The loss of soft targets and weights, against formulas written out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from kagglekit.system.errors import NotForTask
from kagglekit.tasks.multi_label import MultiLabel
from kagglekit.tasks.ordinal import Ordinal
from kagglekit.tasks.regression import Regression
from kagglekit.tasks.single_label import SingleLabel
from kagglekit.tasks.targets import Targets
from kagglekit.tasks.task import Task
from kagglekit.training.soft_targets import with_targets
from kagglekit.training.state import StageFit
from kagglekit.types.predictions import make_predictions
from kagglekit_training import absolute_error, binary_cross_entropy, squared_error

IDS = ["a", "b", "c", "d"]
CLASSES = SingleLabel(("x", "y", "z"))
TRUTH = np.array([0, 1, 2, 0])
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], np.float32)


@pytest.fixture
def outputs() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(0, 2, (4, 3)).astype(np.float32)).requires_grad_()


def fit_of(task: Task, truth: Any, loss: Any, smoothing: float = 0.0) -> StageFit:
    from dataclasses import fields

    empty: dict[str, Any] = dict.fromkeys(each.name for each in fields(StageFit))
    given = {"truth": truth, "loss": loss, "task": task, "stage": SimpleNamespace(label_smoothing=smoothing)}
    return StageFit(**{**empty, **given})


def loss_of(fit: StageFit, targets: Targets, task: Task, outputs: torch.Tensor) -> torch.Tensor:
    made = with_targets(fit, task, targets, IDS)
    columns = made.task.train_targets(torch.from_numpy(made.truth), made.stage.label_smoothing)
    return cast("torch.Tensor", made.loss(outputs, columns))


def soft(values: Any = PROBABILITIES, columns: Any = CLASSES.columns, ids: Any = ("a", "b", "c")) -> pd.DataFrame:
    return make_predictions(ids, columns, values)


def test_distillation_is_hintons_loss_up_to_a_constant(outputs):
    a, t = 0.3, 4.0
    found = loss_of(fit_of(CLASSES, TRUTH, cross_entropy), Targets("", soft(), a, t), CLASSES, outputs)
    softened = torch.from_numpy(PROBABILITIES) ** (1 / t)
    softened = softened / softened.sum(1, keepdim=True)
    hard = cross_entropy(outputs, torch.from_numpy(TRUTH), reduction="none")
    divergence = kl_div((outputs[:3] / t).log_softmax(1), softened, reduction="none").sum(1)
    wanted = torch.cat([(1 - a) * hard[:3] + a * t**2 * divergence, hard[3:]]).mean()  # d has no soft target
    of_found, of_wanted = (torch.autograd.grad(each, outputs)[0] for each in (found, wanted))
    assert torch.allclose(of_found, of_wanted, atol=1e-6)


@pytest.mark.parametrize("t", [1.0, 3.0])
def test_where_the_student_agrees_with_the_teacher_and_nothing_else_counts_there_is_no_gradient(t):
    values = torch.from_numpy(PROBABILITIES)
    outputs = torch.cat([values.log(), torch.zeros(1, 3)]).requires_grad_()
    targets = Targets("", soft(np.vstack([PROBABILITIES, np.full((1, 3), 1 / 3)]), ids=IDS), 1.0, t)
    gradient = torch.autograd.grad(loss_of(fit_of(CLASSES, TRUTH, cross_entropy), targets, CLASSES, outputs), outputs)
    assert gradient[0].abs().max() < 1e-6


def test_without_a_temperature_mixed_targets_have_the_gradient_of_mixed_losses(outputs):
    found = loss_of(fit_of(CLASSES, TRUTH, cross_entropy, 0.1), Targets("", soft(), 0.4), CLASSES, outputs)
    hard = CLASSES.train_targets(torch.from_numpy(TRUTH), 0.1)
    taught = 0.6 * cross_entropy(outputs[:3], hard[:3]) + 0.4 * cross_entropy(
        outputs[:3], torch.from_numpy(PROBABILITIES)
    )
    wanted = 0.75 * taught + 0.25 * cross_entropy(outputs[3:], hard[3:])
    assert torch.allclose(found, wanted, atol=1e-6)


def test_a_weight_counts_relative_to_the_mean_weight(outputs):
    weights = pd.Series({"b": 0.0, "d": 0.5})
    found = loss_of(fit_of(CLASSES, TRUTH, cross_entropy), Targets("", weights=weights), CLASSES, outputs)
    each = cross_entropy(outputs, torch.from_numpy(TRUTH), reduction="none")
    wanted = (each * torch.tensor([1, 0, 1, 0.5])).sum() / 2.5
    assert torch.allclose(found, wanted, atol=1e-6)


def test_labels_are_distilled_one_by_one(outputs):
    task, t = MultiLabel(("x", "y", "z")), 2.0
    truth = np.array([[1, 0, 0], [0, 1, np.nan], [1, 1, 1], [0, 0, 0]], np.float32)
    p = np.array([[0.9, 0.2, 0.5]] * 4, np.float32)
    found = loss_of(fit_of(task, truth, binary_cross_entropy), Targets("", soft(p, ids=IDS), 0.5, t), task, outputs)
    softened = (torch.from_numpy(p).logit() / t).sigmoid()
    each = [0.5 * binary_cross_entropy(o[None], torch.from_numpy(y)[None]) + 0.5 * t**2 * binary_cross_entropy(
        o[None] / t, s[None]) for o, y, s in zip(outputs, truth, softened, strict=True)]  # fmt: skip
    assert torch.allclose(found, torch.stack(each).mean(), atol=1e-6)


def test_labels_that_exclude_each_other_are_softened_together():
    task = MultiLabel(("x", "y", "z"), True, ((0, 1),))
    values = torch.tensor([[0.8, 0.2, 0.9]])
    found = task.soft_targets(values, 2.0)
    assert torch.allclose(found[:, :2], torch.tensor([[2 / 3, 1 / 3]]))
    assert torch.allclose(found[:, 2], torch.tensor([0.75]))
    assert task.most_probable(np.array([[0.4, 0.3, 0.2]], np.float32)) == ['{"x": 1}']


def test_numbers_are_mixed_in_the_units_of_the_loss(outputs):
    task = Regression(("w",), (10.0,), (2.0,))
    truth, values = np.array([[8], [10], [12], [14]], np.float32), np.array([[9.0], [10], [11], [12]], np.float32)
    z = outputs[:, :1]
    for loss in (squared_error, absolute_error):
        fit = fit_of(task, truth, loss)
        found = loss_of(fit, Targets("", soft(values, task.columns, IDS), 0.5), task, z)
        mixed = torch.from_numpy((truth + values) / 2 - 10) / 2
        assert torch.allclose(found, loss(z, mixed), atol=1e-6)
    with pytest.raises(NotForTask, match="softens probabilities, not numbers"):
        task.soft_targets(torch.zeros(1, 1), 2.0)


def test_a_prediction_becomes_the_nearest_label():
    assert CLASSES.most_probable(PROBABILITIES) == ["x", "y", "z"]
    numbers = Regression(("w", "h"), (0.0, 0.0), (1.0, 1.0))
    assert numbers.encode(numbers.most_probable(np.array([[1.5, -2.25]], np.float32))).tolist() == [[1.5, -2.25]]
    grades = Ordinal(("label",), (1.0,), (1.0,), (0.0, 3.0))
    assert grades.encode(grades.most_probable(np.array([[3.7], [1.4]], np.float32))).tolist() == [[3.0], [1.0]]


def test_without_targets_nothing_changes():
    fit = fit_of(CLASSES, TRUTH, cross_entropy)
    assert with_targets(fit, CLASSES, None, IDS) is fit
    assert with_targets(fit, CLASSES, Targets("", added=soft()), IDS) is fit
