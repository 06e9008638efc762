from __future__ import annotations

import os
import sys
from pathlib import Path

import forks
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from kagglekit import Recipe, Stage, UserError
from kagglekit.compute.network import (
    frozen_names,
    head_module,
    input_of,
    load_weights,
    round_sizes,
    save_weights,
    set_input_size,
    set_modes,
)


def network() -> nn.Sequential:
    """A body of two blocks, each with BatchNorm and dropout, and a head with its own."""
    torch.manual_seed(0)
    block = [
        nn.Sequential(nn.Conv2d(i, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5)) for i in (3, 8)
    ]
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = nn.Sequential(nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 4))
    return nn.Sequential(*block, pool, head)


def groups_of(model: nn.Module) -> list[list[str]]:
    names = [name for name, _ in model.named_parameters()]
    return [[name for name in names if name.startswith(f"{i}.")] for i in (0, 1, 3)]


def freeze(model: nn.Module, names: list[str]) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in names)


def train(model: nn.Module, steps: int = 3) -> None:
    torch.manual_seed(1)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(torch.randn(16, 3, 8, 8) + 2), torch.arange(16) % 4)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("batch_norm", ["keep", "update"])
def test_a_frozen_stage_changes_no_body_parameter_and_no_buffer_while_the_heads_dropout_is_active(batch_norm):
    model, groups = network(), groups_of(network())
    freeze(model, [*groups[0], *groups[1]])
    set_modes(model, frozen_names(model), batch_norm, head_module(model, groups)[0])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(model)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if name.startswith("3.")}
    x = torch.ones(16, 3, 8, 8)
    features = [input_of(model, model[3], x) for _ in range(2)]
    assert torch.equal(*features)  # the body's dropout is off
    assert not torch.equal(model(x), model(x))  # the head's is on


def test_a_half_frozen_body_trains_its_free_half_only():
    model, groups = network(), groups_of(network())
    freeze(model, groups[0])
    set_modes(model, frozen_names(model), "update", "3")
    assert not any(module.training for module in model[0].modules())
    assert all(module.training for part in model[1:] for module in part.modules())
    assert model.training


def test_kept_statistics_are_those_of_the_body_and_a_new_heads_are_learnt():
    model, groups = network(), groups_of(network())
    set_modes(model, set(), "keep", head_module(model, groups)[0])
    train(model)
    assert torch.equal(model[0][1].running_mean, torch.zeros(8))
    assert torch.equal(model[1][1].running_mean, torch.zeros(8))
    assert not torch.equal(model[3][0].running_mean, torch.zeros(8))
    assert model[0][3].training
    set_modes(model, set(), "update", "3")
    train(model)
    assert not torch.equal(model[0][1].running_mean, torch.zeros(8))


def test_timms_batch_norm_with_activation_is_kept_too():
    from timm.layers import BatchNormAct2d

    model = nn.Sequential(nn.Conv2d(3, 4, 1), BatchNormAct2d(4), nn.Flatten(), nn.Linear(4, 2))
    set_modes(model, set(), "keep", "3")
    assert [module.training for module in model] == [True, False, True, True]


def test_a_module_without_parameters_is_as_the_module_around_it():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Dropout()), nn.Dropout(), nn.Linear(2, 2))
    set_modes(model, {"0.0.weight", "0.0.bias"}, "update", "2")
    assert not model[0][1].training
    assert model[1].training


def test_parameters_shared_by_a_frozen_and_a_free_name_are_one():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight, model[1].bias = model[0].weight, model[0].bias
    set_modes(model, {"0.weight", "0.bias"}, "update", "2")
    assert [module.training for module in model] == [False, False, True]


def test_the_head_is_the_outermost_module_with_just_the_last_group():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(), nn.Linear(2, 2)))
    name, head = head_module(model, [["0.weight", "0.bias"], ["1.1.weight", "1.1.bias"]])
    assert name == "1"
    assert head is model[1]


@pytest.mark.parametrize("last", [["0.weight", "1.1.weight"], ["1.1.weight"]])
def test_a_last_group_that_is_no_module_of_its_own_is_refused_by_name(last):
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(), nn.Linear(2, 2)))
    with pytest.raises(UserError, match=r"1\.1\.weight"):
        head_module(model, [["0.bias"], last])


def test_the_input_of_a_module_is_taken_without_running_what_follows_and_leaves_no_hook():
    model, ran = network().eval(), []
    model[3].register_forward_hook(lambda *_: ran.append(1))
    x = torch.randn(2, 3, 8, 8)
    features = input_of(model, model[3], x)
    assert not ran
    torch.testing.assert_close(model[3](features), model(x))
    assert not model[3]._forward_pre_hooks
    with pytest.raises(RuntimeError):
        input_of(model, model[3], torch.randn(2, 5, 8, 8))
    assert not model[3]._forward_pre_hooks


def test_a_module_that_is_never_called_is_a_clear_error():
    with pytest.raises(UserError, match="never calls its head"):
        input_of(network(), nn.Linear(2, 2), torch.randn(2, 3, 8, 8))


def recipe(*sizes: int, predict_size: int | None = None) -> Recipe:
    stages = tuple(Stage(name=f"s{i}", size=size) for i, size in enumerate(sizes))
    return Recipe(arch="x", stages=stages, predict_size=predict_size)


def test_sizes_are_rounded_to_the_nearest_multiple_and_at_least_one():
    rounded = round_sizes(recipe(8, 100, 105, 224, predict_size=230), 14)
    assert [stage.size for stage in rounded.stages] == [14, 98, 112, 224]
    assert rounded.predict_size == 224
    assert [stage.size for stage in round_sizes(recipe(9), 32).stages] == [32]
    assert Recipe.model_validate_json(rounded.to_json()) == rounded


def test_a_recipe_whose_sizes_fit_comes_back_itself():
    plain = recipe(64, 224, predict_size=256)
    assert round_sizes(plain, 16) is plain
    assert round_sizes(plain, 1) is plain


def test_frozen_parameters_are_named():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    freeze(model, ["0.weight", "0.bias"])
    assert frozen_names(model) == {"0.weight", "0.bias"}


def test_a_model_is_told_its_size_only_if_it_can_be():
    class Telling(nn.Module):
        size = 0

        def set_input_size(self, size: int) -> None:
            self.size = size

    model = Telling()
    set_input_size(model, 96)
    assert model.size == 96
    set_input_size(network(), 96)


class Odd(nn.Module):
    """Shared weights, bool and int buffers, and one that is not kept."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("steps", torch.tensor(7))
        self.register_buffer("table", torch.zeros(2), persistent=False)


def test_weights_come_back_whole_with_shared_tensors_and_every_buffer(tmp_path: Path):
    torch.manual_seed(0)
    saved, loaded = Odd(), Odd()
    loaded.mask.fill_(False)
    loaded.steps.fill_(0)
    save_weights(saved, tmp_path / "deep" / "w.safetensors")
    load_weights(loaded, tmp_path / "deep" / "w.safetensors")
    for name, tensor in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert loaded.second.weight is loaded.first.weight
    assert "second.weight" not in load_file(tmp_path / "deep" / "w.safetensors")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["w.safetensors"]
    save_weights(loaded, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "deep" / "w.safetensors").read_bytes()


FILLS = """
import resource
from pathlib import Path
from torch import nn
from kagglekit.compute.network import save_weights

resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, MOST))
try:
    save_weights(nn.Sequential(nn.Linear(200, 200), nn.Linear(200, 200)), Path("w.safetensors"))
except Exception as error:
    print(type(error).__name__, str(error).splitlines()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a file's size are those of Linux")
@pytest.mark.parametrize("most", [0, 1000, 200_000])
def test_a_disk_that_fills_while_weights_are_written_is_told(tmp_path: Path, most: int):
    done = forks.run(["-c", FILLS.replace("MOST", str(most))], tmp_path, os.environ)
    assert done.stdout.startswith("UserError disk full: cannot write w.safetensors: File too large"), done.stderr
    assert not any(tmp_path.iterdir())


def test_frozen_and_bf16_weights_are_loaded_in_place(tmp_path: Path):
    model = nn.Linear(2, 2).bfloat16().requires_grad_(False)
    save_weights(model, tmp_path / "w")
    weight = model.weight
    load_weights(model, tmp_path / "w")
    assert model.weight is weight
    assert weight.dtype == torch.bfloat16


def test_weights_of_another_network_are_refused_with_the_names(tmp_path: Path):
    save_weights(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), tmp_path / "w")
    with pytest.raises(UserError, match=r"missing 2\.bias, 2\.weight; unexpected 1\.bias"):
        load_weights(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)), tmp_path / "w")


def test_weights_of_other_shapes_are_refused_with_the_shapes_and_change_nothing(tmp_path: Path):
    save_weights(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 5)), tmp_path / "w")
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 4))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError, match=r"1\.weight is \[5, 2\] in the file and \[4, 2\] in the network"):
        load_weights(model, tmp_path / "w")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("content", [None, b"", b"not weights at all"])
def test_a_missing_or_damaged_file_is_a_clear_error(tmp_path: Path, content: bytes | None):
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"w\.safetensors"):
        load_weights(nn.Linear(2, 2), path)


def test_weights_that_are_not_finite_are_refused_with_their_names_and_change_nothing(tmp_path: Path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    bad = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with torch.no_grad():
        bad[1].bias[0] = torch.nan
    save_weights(bad, tmp_path / "w")
    with pytest.raises(
        UserError, match=rf"the weights {tmp_path / 'w'} are not finite: .* 1 of its 4 tensors: 1\.bias"
    ):
        load_weights(model, tmp_path / "w")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer("limits", torch.tensor([0.0, torch.inf]))


def test_a_constant_that_is_meant_to_be_infinite_is_loaded(tmp_path: Path):
    save_weights(Masked(), tmp_path / "w")
    loaded = Masked()
    load_weights(loaded, tmp_path / "w")
    assert loaded.limits[1] == torch.inf


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 200), removed=st.integers(0, 9), added=st.binary(max_size=9))
def test_a_damaged_file_is_loaded_or_one_message_whatever_its_bytes_are(tmp_path: Path, start, removed, added):
    save_weights(nn.Linear(2, 2), tmp_path / "w")
    content = bytearray((tmp_path / "w").read_bytes())
    content[start : start + removed] = added
    (tmp_path / "w").write_bytes(content)
    try:
        load_weights(nn.Linear(2, 2), tmp_path / "w")
    except UserError as error:
        assert str(tmp_path / "w") in error.what  # noqa: PT017 (a damaged byte may mean nothing)
