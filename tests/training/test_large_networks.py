"""Large networks in little memory: each way gives the gradients, or the weights, of the plain step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import layouts
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fits import fit
from safetensors.torch import load_file
from stopping import go_on, outcome, start, stopped
from torch import Tensor, nn

from kagglekit import Recipe, Run, Stage, UserError
from kagglekit.cli import cli
from kagglekit.compute.low_rank import adapters, add_adapters, attention_layers, merge_adapters
from kagglekit.compute.network import grad_checkpointing, load_weights, save_weights
from kagglekit.prediction.load import restore
from kagglekit.runs.loaded import LoadedRun
from kagglekit.training.loop import train_stage
from kagglekit.types.predictions import load_predictions
from kagglekit_timm import kagglekit_layer_groups, kagglekit_model
from kagglekit_training import kagglekit_optimizer, parameter_rates

VIT, CONVNET = "test_vit.r160_in1k", "test_efficientnet.r160_in1k"


def network(arch: str = VIT, **fields: object) -> nn.Module:
    recipe = Recipe(arch=arch, pretrained=False, stages=(Stage(name="s", size=32),), **fields)  # type: ignore[arg-type]
    model = kagglekit_model(recipe, 3)
    assert model is not None
    return model


def groups_of(model: nn.Module, arch: str = VIT) -> list[list[str]]:
    groups = kagglekit_layer_groups(model, Recipe(arch=arch, stages=(Stage(name="s", size=32),)))
    assert groups is not None
    return groups


def images(n: int = 8) -> Tensor:
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def gradients(model: nn.Module) -> tuple[dict[str, Tensor], int]:
    """Gradients of a loss, and the bytes that autograd kept between the passes."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.manual_seed(0)  # of stochastic depth
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.train()(images()).logsumexp(1).mean()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}, sum(kept.values())


# accumulated gradients


@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.4, "cutmix": 1.0}])
def test_a_batch_in_parts_trains_as_a_whole_one(mixing: dict[str, float]) -> None:
    runs = {}
    for parts in (1, 4):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 3))
        seen: list[int] = []
        model.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(len(inputs[0])))
        one = fit(model=model, cycle_len=2, clip_norm=0.1, grad_accum_steps=parts, **mixing)
        runs[parts] = [at.loss for at in train_stage(one)], model.state_dict(), seen
    assert runs[4][0] == pytest.approx(runs[1][0], rel=1e-5)
    for name, value in runs[1][1].items():
        torch.testing.assert_close(runs[4][1][name], value, rtol=1e-4, atol=1e-6)
    assert (set(runs[1][2]), set(runs[4][2])) == ({8}, {2})


def test_a_batch_norm_that_keeps_its_statistics_allows_parts_too() -> None:
    losses = {}
    for parts in (1, 4):
        one = fit(grad_accum_steps=parts, cycle_len=2)
        one.model.eval()
        losses[parts] = [at.loss for at in train_stage(one)]
    assert losses[4] == pytest.approx(losses[1], rel=1e-5)


def test_more_parts_than_images_are_refused_and_a_small_last_batch_has_fewer() -> None:
    with pytest.raises(ValueError, match="a batch of 4 images has no 8 parts"):
        Stage(name="s", size=32, batch_size=4, grad_accum_steps=8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    assert next(at.loss for at in train_stage(fit(n=3, model=model, grad_accum_steps=8))) is not None


# layer-wise decay


@pytest.mark.parametrize("arch", [VIT, "test_convnext.r160_in1k", CONVNET])
def test_rates_decay_layer_by_layer_as_in_timm(arch: str) -> None:
    import timm
    from timm.optim import param_groups_layer_decay

    model, lr, decay = network(arch), 0.5, 0.75
    rates = parameter_rates(model, groups_of(model, arch), Stage(name="s", size=32, lr=lr, layer_decay=decay))
    theirs = timm.create_model(arch, num_classes=3)
    names = {id(parameter): name for name, parameter in theirs.named_parameters()}
    expected = {
        names[id(p)]: g["lr_scale"] for g in param_groups_layer_decay(theirs, layer_decay=decay) for p in g["params"]
    }
    found = {name.removeprefix("body."): rate / lr for name, rate in rates.items() if name.startswith("body.")}
    assert found == pytest.approx({name: expected[name] for name in found})
    assert len(set(found.values())) > 3
    assert {rate for name, rate in rates.items() if name.startswith("head.")} == {lr}


def test_the_optimizer_has_each_parameter_once_at_its_rate() -> None:
    model = network()
    groups, stage = groups_of(model), Stage(name="s", size=32, lr=0.5, layer_decay=0.5, freeze_to=1)
    optimizer = kagglekit_optimizer(model, groups, stage)
    assert optimizer is not None
    rates = parameter_rates(model, groups, stage)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    held = [(names[id(p)], group["lr"]) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted((name, rates[name]) for group in groups[1:] for name in group)


def test_networks_side_by_side_end_in_one_last_layer() -> None:
    model = network(archs=(CONVNET,))
    layers: Any = model.layers()  # type: ignore[operator]
    own = {name for name, _ in model.named_parameters() if not name.startswith("head.")}
    assert sorted(name for layer in layers for name in layer) == sorted(own)
    assert {name.split(".")[1] for name in layers[-1]} == {"0", "1"}


def test_two_rules_for_the_rates_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="group_lrs and layer_decay"):
        Stage(name="s", size=32, lr=0.1, group_lrs=(0.01, 0.1), layer_decay=0.5)


# gradient checkpointing


@pytest.mark.parametrize(("arch", "share"), [(VIT, 0.6), ("test_convnext.r160_in1k", 0.6)])
def test_activations_computed_again_give_the_same_gradients_in_less_memory(arch: str, share: float) -> None:
    model = network(arch, drop_path=0.5)
    plain, kept = gradients(model)
    model.zero_grad()
    with grad_checkpointing(model, True):
        again, fewer = gradients(model)
    assert plain.keys() == again.keys()
    for name, value in plain.items():
        torch.testing.assert_close(again[name], value, rtol=1e-5, atol=1e-7)
    assert fewer < share * kept
    model.zero_grad()
    assert gradients(model)[1] == kept  # it ends with the block


# adapters


def test_adapters_change_nothing_at_first_and_their_sum_is_the_merged_network(tmp_path: Path) -> None:
    model = network().eval()
    layers, plain = attention_layers(model), {name: value.clone() for name, value in model.state_dict().items()}
    before = model(images())
    add_adapters(model, layers, 4, seed=3)
    torch.testing.assert_close(model(images()), before, rtol=0, atol=0)
    for names in adapters(model).values():
        nn.init.normal_(model.get_parameter(names[1]), std=0.3)
    changed = model(images())
    assert not torch.allclose(changed, before, atol=1e-2)

    save_weights(model, tmp_path / "w.safetensors")  # in the middle of a stage
    saved = load_file(tmp_path / "w.safetensors")
    assert saved.keys() == plain.keys()
    assert {name for name in saved if not torch.equal(saved[name], plain[name])} == {
        f"{name}.weight" for name in layers
    }
    merge_adapters(model)
    assert adapters(model) == {}
    torch.testing.assert_close(model(images()), changed, rtol=1e-4, atol=1e-5)
    fresh = network().eval()
    load_weights(fresh, tmp_path / "w.safetensors")
    torch.testing.assert_close(fresh(images()), changed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", ["vit_tiny_patch16_224", "beit_base_patch16_224", "eva02_tiny_patch14_224"])
def test_each_adapter_gets_a_gradient(arch: str) -> None:
    """Some networks read the weight of a layer without calling the layer."""
    import timm

    small = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 56, "num_classes": 3}
    model = timm.create_model(arch, **small, patch_size=14)
    layers = attention_layers(model)
    add_adapters(model, layers, 2, seed=0)
    model(torch.randn(1, 3, 56, 56)).square().sum().backward()
    grads = [model.get_parameter(names[1]).grad for names in adapters(model).values()]
    assert len(grads) == len(layers) >= 4
    assert all(grad is not None and float(grad.abs().sum()) > 0 for grad in grads)


# whole runs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dog-breed")
    layouts.write_dog_breed(folder, per_class=6, test=6)
    return folder


LAST = {"asked": {"stages": "4"}, "arch": VIT, "stage__4__lr": 1e-2}


def test_a_run_in_parts_with_checkpointing_predicts_as_the_plain_one(data: Path, tmp_path: Path) -> None:
    plain, _ = start(data, tmp_path / "plain", **LAST)
    large = {"stage__4__grad_accum_steps": 4, "stage__4__grad_checkpointing": "true"}
    done, said = start(data, tmp_path / "large", **LAST, **large)
    assert "8 in 4 parts" in said
    assert (done.recipe().stages[3].grad_accum_steps, done.recipe().stages[3].grad_checkpointing) == (4, True)
    tables = [load_predictions(run.predictions("ensemble", "valid")).to_numpy() for run in (plain, done)]
    np.testing.assert_allclose(tables[1], tables[0], atol=1e-4)


LORA = {**LAST, "stage__4__lora": 4, "stage__4__layer_decay": 0.9}


@pytest.fixture(scope="module")
def adapted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    return start(data, tmp_path_factory.mktemp("adapted"), **LORA)


def test_a_stage_with_adapters_changes_attention_and_head_alone(adapted: tuple[Run, str]) -> None:
    done, said = adapted
    assert "4 all-2: adapters of rank 4 on " in said
    fresh = kagglekit_model(done.recipe(), 4)
    assert fresh is not None
    trained = load_file(done.final_weights)
    assert trained.keys() == fresh.state_dict().keys()
    changed = {name for name, value in fresh.state_dict().items() if not torch.equal(value, trained[name])}
    assert changed == {"head.weight", "head.bias", *(f"{name}.weight" for name in attention_layers(fresh))}


def test_a_network_with_merged_adapters_predicts_like_any_other(
    adapted: tuple[Run, str], data: Path, tmp_path: Path
) -> None:
    done, _ = adapted
    restored = restore(LoadedRun.read(done), torch.device("cpu"), "all-2-cycle1")
    assert adapters(restored.model) == {}
    files = sorted((data / "test").iterdir())
    said = CliRunner().invoke(cli, ["predict", str(done.folder), *map(str, files), "--csv", str(tmp_path / "p.csv")])
    assert said.exit_code == 0, said.output


@pytest.mark.parametrize("call", [1, 3])
def test_an_interrupted_stage_with_adapters_ends_with_the_same_bytes(
    adapted: tuple[Run, str], data: Path, tmp_path: Path, call: int
) -> None:
    run, _ = stopped(data, tmp_path, call, **LORA)
    go_on(run)
    assert outcome(run) == outcome(adapted[0])


def test_a_batch_norm_in_a_block_that_is_computed_again_sees_its_batch_twice() -> None:
    moved = []
    for enable in (False, True):
        model = network("test_resnet.r160_in1k")
        with grad_checkpointing(model, enable):
            gradients(model)
        moved.append(
            {name: int(value) for name, value in model.named_buffers() if name.endswith("num_batches_tracked")}
        )
    assert set(moved[0].values()) == {1}
    assert set(moved[1].values()) == {1, 2}  # docs/how-to/large-networks.md says so


def test_a_loss_that_is_not_finite_steps_back_with_adapters(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no longer finite"):
        start(data, tmp_path, **{**LORA, "stage__4__lr": 1e30})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stage__4__lora": 4}, "no linear layers in attention blocks"),
        ({"stage__4__grad_checkpointing": "true", "arch": "dla46x_c"}, "has no gradient checkpointing"),
    ],
)
def test_a_network_that_cannot_is_refused_before_images_are_decoded(
    data: Path, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message) as refused:
        start(data, tmp_path, **{**LAST, "arch": CONVNET, **settings})
    assert "decod" not in "".join(refused.value.__notes__)


def test_a_networks_own_methods_are_needed(data: Path, tmp_path: Path) -> None:
    from kagglekit.training.large_networks import check_stages

    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    groups = [["0.weight", "0.bias"], ["1.weight", "1.bias"]]
    for field, message in (({"layer_decay": 0.5}, "no method `layers`"), ({"grad_checkpointing": True}, "no gradient")):
        with pytest.raises(UserError, match=message):
            check_stages(model, groups, [Stage(name="s", size=32, **field)])  # type: ignore[arg-type]


def test_parts_of_one_image_are_refused_with_batch_norm_alone() -> None:
    from kagglekit.training.large_networks import check_stages

    stage = Stage(name="s", size=32, batch_size=8, grad_accum_steps=8)
    check_stages(network(), groups_of(network()), [stage])
    model = network(CONVNET)
    with pytest.raises(UserError, match="BatchNorm layers need two"):
        check_stages(model, groups_of(model, CONVNET), [stage])


def test_heads_alone_need_no_attention() -> None:
    from kagglekit.training.large_networks import check_stages

    model = network(CONVNET)
    check_stages(model, groups_of(model, CONVNET), [Stage(name="s", size=32, lora=4, freeze_to=-1)])
