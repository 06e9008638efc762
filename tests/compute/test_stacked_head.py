"""Heads on frozen features of several sizes, as one network in one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kagglekit import DataConfig, Tap, UserError
from kagglekit.compute.heads.frozen_features import FrozenFeatures, columns_of, pooled, resized
from kagglekit.compute.heads.neighbours import linked, neighbours_mean
from kagglekit.compute.heads.stacked_head import (
    Stack,
    StackedHead,
    StackedNetwork,
    StackForm,
    for_split,
    load_network,
    read_stack,
    save_stack,
    unit_length,
)
from kagglekit.compute.network import load_weights, save_weights
from kagglekit.prediction.export.exportable import Exportable

TAPS = (Tap("body.0", 4, "earlier"), Tap("body.3", 6, "max", of_input=True))
GROUPS = [["body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias"], ["head.weight", "head.bias"]]


class Small(nn.Module):
    """Two convolutions, an average, and a head of three classes."""

    def __init__(self) -> None:
        super().__init__()
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), pool)
        self.head = nn.Linear(6, 3)
        self.data_config = DataConfig((0.5,) * 3, (0.25,) * 3)
        self.taps = TAPS

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.body(x))
        return found


@pytest.fixture
def model() -> Small:
    torch.manual_seed(0)
    return Small().eval()


def a_stack(form: StackForm, seed: int = 1) -> Stack:
    generator = torch.Generator().manual_seed(seed)
    heads = []
    for _ in range(2):
        head = StackedHead(form)
        for name, value in head.state_dict().items():
            sharp = {"vote": torch.tensor([0.7, 5.0]), "source.vote": torch.tensor([0.4, 0.3, 5.0])}
            value.copy_(sharp[name] if name in sharp else torch.rand(value.shape, generator=generator))
        heads.append(head.eval())
    if form.n_source:  # they have the classifier in common
        heads[1].source.weight.copy_(heads[0].source.weight)
        heads[1].source.bias.copy_(heads[0].source.bias)
    return Stack(*heads)


def test_features_are_those_of_each_size_and_tap(model: Small) -> None:
    x = torch.rand(5, 3, 24, 24, generator=torch.Generator().manual_seed(2))
    found = FrozenFeatures(model, model.head, TAPS, (16, 24))(x)
    columns = columns_of(6, TAPS, 2)
    assert found.shape == (5, columns.width) == (5, 2 * (6 + 4 + 6))
    small = resized(x, 16)
    torch.testing.assert_close(found[:, columns.own], model.body(small))
    torch.testing.assert_close(found[:, 6:10], model.body[0](small).mean((2, 3)))
    last = columns.of("last")[6:]
    torch.testing.assert_close(found[:, last], model.body(x))
    torch.testing.assert_close(found[:, columns.of("max")[6:]], model.body[:3](x).amax((2, 3)))
    assert not model.body[0]._forward_hooks
    assert not model.body[3]._forward_pre_hooks


def test_tokens_and_maps_with_channels_last_are_pooled_over_places() -> None:
    tap = Tap("", 5, "earlier")
    features = torch.rand(2, 5, 3, 4)
    torch.testing.assert_close(pooled(features.permute(0, 2, 3, 1), tap), pooled(features, tap))
    torch.testing.assert_close(pooled(features.flatten(2).transpose(1, 2), tap), pooled(features, tap))


def test_the_outputs_are_the_sum_of_the_heads() -> None:
    form = StackForm((16, 24), TAPS, 6, 3, n_neighbours=4)
    head = a_stack(form).head
    x = torch.rand(2, form.columns.width)
    unit = unit_length(x, form.columns)
    assert unit.norm(dim=1).numpy() == pytest.approx(1)
    kernel = torch.exp(5.0 * (unit @ head.bank.float().T - 1))
    votes = (kernel @ head.targets.float()) / kernel.sum(1, keepdim=True)
    wanted = x @ head.weight.T + head.bias + unit @ head.unit_weight.T + 0.7 * votes.log()
    torch.testing.assert_close(head(x), wanted)


def test_unknown_targets_of_neighbours_count_for_nothing() -> None:
    bank = torch.eye(3)
    targets = torch.tensor([[1.0, torch.nan], [0.0, 1.0], [0.0, 0.0]])
    mean = neighbours_mean(torch.eye(3)[:1], bank, targets, 3.0)
    near = float(np.exp(-3.0))
    assert mean.numpy() == pytest.approx(np.array([[1 / (1 + 2 * near), 0.5]]))
    assert linked(mean, "logit").sigmoid().numpy() == pytest.approx(mean.numpy(), abs=1e-5)
    assert linked(mean, "identity") is mean


@pytest.mark.parametrize("source", [(0, 0), (5, 0), (5, 4)])
def test_a_file_holds_network_and_heads(model: Small, tmp_path: Path, source: tuple[int, int]) -> None:
    classes, neighbours = source
    form = StackForm((16, 24), TAPS, 6, 3, n_neighbours=4, n_source=classes, n_source_neighbours=neighbours)
    file = tmp_path / "a.safetensors"
    stack = a_stack(form)
    save_stack(model, stack, file)
    torch.manual_seed(5)
    other = Small().eval()
    network = load_network(other, GROUPS, file, 24)
    torch.testing.assert_close(other.head.weight, model.head.weight)
    x = torch.rand(2, 3, 24, 24)
    features = FrozenFeatures(model, model.head, TAPS, (16, 24))(x)
    with torch.no_grad():
        torch.testing.assert_close(network(x), stack.head(features))
        torch.testing.assert_close(for_split(network, valid=True)(x), stack.valid_head(features))
    assert not torch.equal(stack.head(features), stack.valid_head(features))


@pytest.mark.parametrize("neighbours", [0, 4])
def test_a_stack_leaves_the_program_with_all_of_its_heads(model: Small, neighbours: int) -> None:
    form = StackForm((16, 24), TAPS, 6, 3, n_neighbours=neighbours, n_source=5, n_source_neighbours=neighbours)
    network = StackedNetwork(FrozenFeatures(model, model.head, TAPS, form.sizes), a_stack(form)).eval()
    x = torch.rand(2, 3, 24, 24)
    with torch.no_grad():
        left = Exportable(network, 24, lambda outputs: outputs.softmax(1)).eval()(x)
        torch.testing.assert_close(left, network(x).softmax(1), rtol=1e-4, atol=1e-5)


def test_a_file_of_heads_that_know_no_source_classes_is_read(model: Small, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    stack = a_stack(StackForm((16,), (), 6, 3))
    save_stack(model, stack, file)
    whole = file.read_bytes()
    more = b', \\"n_source\\": 0, \\"n_source_neighbours\\": 0'
    assert whole.count(more) == 2
    header = int.from_bytes(whole[:8], "little")
    text = whole[8 : 8 + header].replace(more, b"")
    file.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + header :])
    found = read_stack(file)
    assert found is not None
    assert torch.equal(found.head.weight, stack.head.weight)


def test_a_file_without_heads_is_the_network(model: Small, tmp_path: Path) -> None:
    save_weights(model, tmp_path / "a.safetensors")
    assert read_stack(tmp_path / "a.safetensors") is None
    network = load_network(Small(), GROUPS, tmp_path / "a.safetensors", 16)
    x = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(network(x), model(x))
    assert for_split(network, valid=True) is network


def test_the_heads_of_a_damaged_file_are_refused(model: Small, tmp_path: Path) -> None:
    form, file = StackForm((16,), (), 6, 3), tmp_path / "a.safetensors"
    save_stack(model, a_stack(form), file)
    load_weights(Small(), file)  # the network alone does not need them
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'\\"n_last\\": 6', b'\\"n_last\\": 7'))
    with pytest.raises(UserError, match="cannot read the heads"):
        read_stack(file)
