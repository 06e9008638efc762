from __future__ import annotations

import pytest
import torch
from torch import nn

from kagglekit import Stage
from kagglekit_training import group_rates, kagglekit_optimizer


def network() -> tuple[nn.Module, list[list[str]]]:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Linear(4, 2))
    names = [name for name, _ in model.named_parameters()]
    return model, [names[:4], names[4:6], names[6:]]


def test_rates_are_spaced_multiplicatively():
    stage = Stage(name="s", size=32, lr=1.0, body_factor=10)
    assert group_rates(stage, 3) == pytest.approx([0.01, 0.1, 1.0])
    assert group_rates(stage, 2) == pytest.approx([0.1, 1.0])
    assert group_rates(stage, 1) == [1.0]
    assert group_rates(stage, 5) == pytest.approx([10**-2, 10 ** -(5 / 3), 10 ** -(4 / 3), 0.1, 1.0])


def test_explicit_rates_overrule_the_factor():
    assert group_rates(Stage(name="s", size=32, lr=1e-4, group_lrs=(1e-6, 1e-5, 1e-4)), 3) == [1e-6, 1e-5, 1e-4]


@pytest.mark.parametrize(("freeze_to", "trainable"), [(0, [0, 1, 2]), (1, [1, 2]), (2, [2]), (-1, [2])])
def test_groups_before_freeze_to_are_frozen(freeze_to, trainable):
    model, groups = network()
    optimizer = kagglekit_optimizer(model, groups, Stage(name="s", size=32, freeze_to=freeze_to))
    expected = {name for i in trainable for name in groups[i]}
    assert {name for name, p in model.named_parameters() if p.requires_grad} == expected
    assert optimizer is not None
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for name, p in model.named_parameters() if name in expected}


def test_a_later_stage_unfreezes_what_an_earlier_one_froze():
    model, groups = network()
    kagglekit_optimizer(model, groups, Stage(name="a", size=32, freeze_to=-1))
    kagglekit_optimizer(model, groups, Stage(name="b", size=32))
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_biases_and_norms_do_not_decay(name):
    model, groups = network()
    optimizer = kagglekit_optimizer(model, groups, Stage(name="s", size=32, weight_decay=0.5, optimizer=name))
    assert optimizer is not None
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.5 if parameter.ndim > 1 else 0.0)


def test_another_name_is_left_to_other_plugins():
    model, groups = network()
    assert kagglekit_optimizer(model, groups, Stage(name="s", size=32, optimizer="lion")) is None


def test_adamw_has_the_lessons_constants():
    model, groups = network()
    optimizer = kagglekit_optimizer(model, groups, Stage(name="s", size=32))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.defaults["betas"][1] == 0.99
    assert optimizer.defaults["eps"] == 1e-5
