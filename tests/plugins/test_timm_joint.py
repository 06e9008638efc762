"""Several of timm's networks under one head."""

from __future__ import annotations

import io
from pathlib import Path

import layouts
import pytest
import timm
import torch
from rich.console import Console
from safetensors.torch import save_file

import kagglekit
from kagglekit import Recipe, Stage, UserError
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.system.display.console import Display
from kagglekit_timm import kagglekit_model

ARCHS = ("test_efficientnet.r160_in1k", "test_vit.r160_in1k")  # of other means and another multiple


def recipe(**settings: object) -> Recipe:
    given = {"arch": ARCHS[0], "archs": ARCHS[1:], "pretrained": False, "stages": (Stage(name="head", size=32),)}
    return Recipe.model_validate({**given, **settings})


def test_features_stand_side_by_side_as_each_network_alone_gives_them():
    both = kagglekit_model(recipe(), 3)
    alone = [kagglekit_model(recipe(arch=arch, archs=()), 3) for arch in ARCHS]
    for body, model in zip(both.bodies, alone, strict=True):
        body.network.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("head.")})
        model.head = torch.nn.Identity()
    pictures = torch.rand(2, 3, 160, 160)
    features = []
    for model in alone:
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (model.data_config.mean, model.data_config.std))
        features.append(model.eval()((pictures - mean) / std))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (both.data_config.mean, both.data_config.std))
    both.eval()
    torch.testing.assert_close(both((pictures - mean) / std), both.head(torch.cat(features, 1)), rtol=1e-4, atol=1e-4)
    assert both.data_config.multiple == max(model.data_config.multiple for model in alone)


def test_layer_groups_go_through_all_networks_in_step():
    hooks, given = Hooks(load("pets")), recipe(groups=3)
    first, second, head = hooks.layer_groups(hooks.model(given, 3), given)
    assert set(head) == {"head.weight", "head.bias"}
    for group in (first, second):
        assert {name.split(".")[1] for name in group} == {"0", "1"}


def test_each_network_has_its_own_file_of_weights(tmp_path: Path):
    files = []
    for arch in ARCHS:
        files.append(tmp_path / f"{arch}.safetensors")
        save_file(timm.create_model(arch, pretrained=False).state_dict(), files[-1])
    joined = kagglekit_model(recipe(pretrained=True, weights=",".join(map(str, files))), 3)
    assert str(files[1]) in joined.data_config.weights
    with pytest.raises(UserError, match=r"2 networks .* need 2 files of weights, not 1"):
        kagglekit_model(recipe(pretrained=True, weights=str(files[0])), 3)
    with pytest.raises(UserError, match="need a linear head"):
        kagglekit_model(recipe(head="concat-pool"), 3)


def test_the_features_preset_takes_several_networks_and_its_run_predicts(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    layouts.write_pets(tmp_path / "data")
    settings = {
        "arch": ARCHS[0],
        "archs": list(ARCHS[1:]),
        "pretrained": False,
        "stage.1.size": 64,
        "stage.1.solver": "regression",
    }
    run = kagglekit.run(
        "pets", data=tmp_path / "data", out=tmp_path / "out", settings=settings, preset="features", precision="fp32",
        display=Display(Console(file=io.StringIO())),
    )  # fmt: skip
    assert run.recipe().archs == ARCHS[1:]
    assert run.info().scores[-1]["test_accuracy"][0] > 0.5
    paths = sorted((tmp_path / "data" / "images").glob("*.jpg"))[:3]
    assert kagglekit.predict(run, paths, device="cpu").shape == (3, 4)
