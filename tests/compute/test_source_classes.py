"""Heads on the probabilities of the classes that a network was pretrained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kagglekit import SourceClassifier, UserError
from kagglekit.compute.heads.frozen_features import columns_of
from kagglekit.compute.heads.neighbours import linked, neighbours_mean
from kagglekit.compute.heads.source_classes import PRIOR, SourceHeads, source_chances, source_classifier, source_means

COLUMNS = columns_of(6, (), 2)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_probabilities_are_the_softmax_of_the_mean_logits_of_all_sizes() -> None:
    features, weight, bias = drawn(3, COLUMNS.width), drawn(4, 6, seed=1), drawn(4, seed=2)
    small, large = features[:, :6], features[:, 6:]
    wanted = torch.softmax((small @ weight.T + bias + large @ weight.T + bias) / 2, 1)
    torch.testing.assert_close(source_chances(features, COLUMNS, weight, bias), wanted)


def test_each_source_class_has_the_mean_target_of_its_images() -> None:
    chances, targets = drawn(7, 3), drawn(7, 2, seed=1)
    targets[2, 1] = np.nan
    for z in range(3):
        for c in range(2):
            known = [n for n in range(7) if not targets[n, c].isnan()]
            mean = np.mean([float(targets[n, c]) for n in known])
            above = sum(float(chances[n, z] * targets[n, c]) for n in known) + PRIOR * mean
            below = sum(float(chances[n, z]) for n in known) + PRIOR
            assert float(source_means(chances, targets)[z, c]) == pytest.approx(above / below, rel=1e-5)


def test_shares_of_classes_stay_shares() -> None:
    chances = drawn(50, 9).softmax(1)
    targets = torch.eye(4)[torch.arange(50) % 4]
    assert source_means(chances, targets).sum(1).numpy() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("n", [0, 5])
def test_the_outputs_are_the_sum_of_both_heads(n: int) -> None:
    heads = SourceHeads(4, 6, 3, n, "log")
    for number, value in enumerate(heads.state_dict().values()):
        value.copy_(drawn(*value.shape, seed=number))
    features, targets = drawn(2, COLUMNS.width, seed=9), drawn(n, 3, seed=8).half()
    chances = source_chances(features, COLUMNS, heads.weight, heads.bias)
    wanted = heads.vote[0] * linked(chances @ heads.means, "log")
    if n:
        found = neighbours_mean(chances.sqrt(), heads.bank.float(), targets.float(), heads.vote[2])
        wanted = wanted + heads.vote[1] * found.log()
    torch.testing.assert_close(heads(features, COLUMNS, targets), wanted)


def test_a_plugin_may_give_the_old_layer_as_it_is() -> None:
    old = torch.nn.Linear(6, 4).half()
    model = torch.nn.Module()
    assert source_classifier(model, 6) is None
    object.__setattr__(model, "source_classifier", SourceClassifier(old.weight, old.bias))
    found = source_classifier(model, 6)
    assert found is not None
    assert not found.weight.requires_grad
    assert found.weight.dtype == found.bias.dtype == torch.float32
    with pytest.raises(UserError, match=r"source_classifier has weights of shape \(4, 6\) .* the head has 8 inputs"):
        source_classifier(model, 8)
