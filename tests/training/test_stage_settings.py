"""What a stage's settings do to weights and predictions, seen from outside through whole runs on tiny images.

A plugin file on top of dog-breed watches where the run's folder does not show enough.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import layouts
import numpy as np
import pytest
import torch
from plugin_site import Site
from rich.console import Console
from safetensors.torch import load_file
from stopping import BREEDS
from tiny_runs import TINY

import kagglekit
from kagglekit import Run
from kagglekit.system.display.console import Display
from kagglekit.types.predictions import load_predictions
from kagglekit_timm import kagglekit_model

SETTINGS: dict[str, object] = {**TINY, "stage.4.size": 32, "tta": 0, "stage.*.batch_norm": "update"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dog-breed")
    layouts.write_dog_breed(folder, test=70)  # more than one batch of predictions
    return folder


def run(data: Path, place: Path, code: str = "", precision: str = "fp32", stages: str = "", **settings: object) -> Run:
    """Run dog-breed's quick preset with a tiny network, `code` appended to its plugin; ``__`` in settings is a dot."""
    place.mkdir(exist_ok=True)
    plugin = Site(place).write("breeds.py", BREEDS + code)
    wanted = {**SETTINGS, **{key.replace("__", "."): value for key, value in settings.items()}}
    display = Display(Console(file=io.StringIO(), width=240))
    return kagglekit.run(
        plugin, data=data, out=place / "out", settings=wanted, display=display, preset="quick", precision=precision,
        stages=stages,
    )  # fmt: skip


def losses(run: Run, stage: str, column: str = "valid_loss") -> list[float]:
    return [float(row[column]) for row in run.log_rows() if row["stage"] == stage]


DROPPED = """
import json
import kagglekit_timm, torch
shares = []

@hookimpl
def kagglekit_model(recipe, n_classes):
    model = kagglekit_timm.kagglekit_model(recipe, n_classes)

    def note(module, inputs, output):
        if torch.is_grad_enabled():
            shares[-1].append(float((output[inputs[0] != 0] == 0).float().mean()))

    model.head.drop.register_forward_hook(note)
    return model

@hookimpl
def kagglekit_stage_start(run, stage):
    shares[:] = [[]]

@hookimpl
def kagglekit_epoch_end(run, stage, row):
    shares.append([])

@hookimpl
def kagglekit_stage_end(run, stage):
    if stage.name == "head-augmented":
        (run.folder / "dropped.json").write_text(json.dumps(shares[:-1]))
"""


def test_a_frozen_stage_of_two_epochs_changes_nothing_but_the_head_whose_dropout_is_active(
    data: Path, tmp_path: Path
) -> None:
    done = run(data, tmp_path, DROPPED, stages="1-2", stage__2__cycle_len=2, stage__2__drop_rate=0.5)
    recipe = done.recipe()
    torch.manual_seed(recipe.seed)
    fresh = kagglekit_model(recipe, 4).state_dict()
    trained = load_file(done.final_weights)
    changed = {name for name in trained if not torch.equal(trained[name], fresh[name])}
    assert any("running_var" in name for name in fresh)
    assert changed == {"head.weight", "head.bias"}

    epochs = json.loads((done.folder / "dropped.json").read_text())
    assert [len(steps) > 0 for steps in epochs] == [True, True]
    assert all(0.3 < share < 0.7 for steps in epochs for share in steps)


BODY_TRAINS_TOO = """
import torch

@hookimpl
def kagglekit_optimizer(model, groups, stage):
    if stage.name == "head-augmented":
        model.requires_grad_(True)
        return torch.optim.SGD(model.parameters(), lr=stage.lr)
"""


def test_a_body_that_a_plugins_optimizer_trains_in_a_stage_of_the_head_is_trained(data: Path, tmp_path: Path) -> None:
    done = run(data, tmp_path, BODY_TRAINS_TOO, stages="2", stage__2__lr=0.1, stage__2__batch_norm="keep")
    fresh = kagglekit_model(done.recipe(), 4).state_dict()
    trained = load_file(done.final_weights)
    assert [name for name in trained if name.endswith(".weight") and torch.equal(trained[name], fresh[name])] == []


NOT_TO_BE_COPIED = """
import threading
import kagglekit_timm

@hookimpl
def kagglekit_model(recipe, n_classes):
    model = kagglekit_timm.kagglekit_model(recipe, n_classes)
    model.lock = threading.Lock()
    model.register_forward_hook(lambda module, inputs, output: setattr(module, "seen", output))
    return model
"""


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_network_that_cannot_be_copied_gives_the_same_weights(data: Path, tmp_path: Path, precision: str) -> None:
    done = run(data, tmp_path / "odd", NOT_TO_BE_COPIED, precision=precision)
    plain = run(data, tmp_path / "plain")
    assert done.info().train_format == "fp32 channels_last"
    for name, value in load_file(plain.final_weights).items():
        torch.testing.assert_close(load_file(done.final_weights)[name], value, rtol=1e-3, atol=1e-3)


def test_all_layers_and_statistics_change_once_the_body_trains(data: Path, tmp_path: Path) -> None:
    done = run(data, tmp_path, stages="4", stage__4__cycles=1)
    fresh = kagglekit_model(done.recipe(), 4).state_dict()
    trained = load_file(done.final_weights)
    assert [name for name in trained if torch.equal(trained[name], fresh[name])] == []


RUINED_AT_THE_END = """
import kagglekit_schedules
import numpy as np

@hookimpl
def kagglekit_schedule(stage, steps_per_epoch):
    if stage.name != "all-1":
        return None
    steps = 3 * steps_per_epoch
    rates = np.full(steps, stage.lr)
    rates[-steps_per_epoch:] = 0.3
    return Schedule(rates, np.full(steps, 0.9), (steps,))
"""


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_stage_that_keeps_the_best_continues_from_the_best_epoch(keep: str, data: Path, tmp_path: Path) -> None:
    still = {"stage__4__lr": 1e-12, "stage__4__cycles": 1, "stage__*__batch_norm": "keep"}
    done = run(data, tmp_path, RUINED_AT_THE_END, stages="3-4", stage__3__keep=keep, **still)
    found = losses(done, "all-1")
    assert found[-1] > 2 * min(found)
    expected = min(found) if keep == "best" else found[-1]
    assert losses(done, "all-2")[0] == pytest.approx(expected, rel=1e-3)


EVERY_STEP = """
import kagglekit_training, torch
steps = []

@hookimpl
def kagglekit_optimizer(model, groups, stage):
    optimizer = kagglekit_training.kagglekit_optimizer(model, groups, stage)

    def note(*_):
        steps.append({name: p.detach().clone() for name, p in model.named_parameters()})

    note()  # before the first step
    optimizer.register_step_post_hook(note)
    return optimizer

@hookimpl
def kagglekit_stage_end(run, stage):
    torch.save(steps, run.folder / "steps.pt")
"""


def test_a_snapshot_holds_the_moving_average_not_the_weights_of_the_last_step(data: Path, tmp_path: Path) -> None:
    decay = 0.8
    done = run(data, tmp_path, EVERY_STEP, stages="4", stage__4__ema=decay, stage__4__lr=1e-2, stage__4__cycles=1)
    steps = torch.load(done.folder / "steps.pt")
    assert len(steps) >= 4
    snapshot = load_file(done.snapshot("all-2-cycle1"))
    for name, last in steps[-1].items():
        average = steps[0][name]
        for step in steps[1:]:
            average = decay * average + (1 - decay) * step[name]
        torch.testing.assert_close(snapshot[name], average, rtol=1e-4, atol=1e-6)
        assert not torch.equal(snapshot[name], last)


SIZES_SEEN = """
import json
from dataclasses import replace
import kagglekit_views as given
seen = {}

@hookimpl
def kagglekit_views(recipe, stage, mode, data_config):
    def note(images):
        seen.setdefault(mode, set()).add(images.shape[-1])
        return images

    return replace(given.kagglekit_views(recipe, stage, mode), pixels=note)

@hookimpl
def kagglekit_run_end(run, scores):
    (run.folder / "sizes.json").write_text(json.dumps({mode: sorted(sizes) for mode, sizes in seen.items()}))
"""


@pytest.mark.parametrize(
    ("predict_size", "seen"),
    [("null", {"train": [32], "plain": [32], "tta": [32]}), (64, {"train": [32], "plain": [32, 64], "tta": [64]})],
)
def test_members_predict_at_the_requested_size(
    predict_size: object, seen: dict[str, list[int]], data: Path, tmp_path: Path
) -> None:
    done = run(data, tmp_path, SIZES_SEEN, stages="4", predict_size=predict_size, tta=1)
    assert json.loads((done.folder / "sizes.json").read_text()) == seen


def test_training_in_bf16_learns(data: Path, tmp_path: Path) -> None:
    learning: dict[str, Any] = {"stage__4__epochs": 12, "stage__4__lr": 1e-2, "stage__4__body_factor": 1}
    done = run(data, tmp_path, precision="bf16", stages="4", **learning)
    assert "bf16" in done.info().train_format
    found = losses(done, "all-2", "train_loss")
    assert found[0] > 0.7 * np.log(4)
    assert found[-1] < 0.5 * found[0]
    assert {str(tensor.dtype) for tensor in load_file(done.final_weights).values()} <= {"torch.float32", "torch.int64"}


REVERSED = """
@hookimpl
def kagglekit_labels(data):
    import pandas as pd

    table = breeds.kagglekit_labels(data)
    test = table["split"] == "test"
    return pd.concat([table[test][::-1], table[~test]])
"""


def test_the_order_of_the_test_rows_changes_no_byte_of_a_prediction(data: Path, tmp_path: Path) -> None:
    tables = []
    for name, code in (("as-it-is", ""), ("reversed", REVERSED)):
        done = run(data, tmp_path / name, code, stages="4", tta=2)
        tables.append(load_predictions(done.predictions("ensemble", "test")))
    first, other = tables
    assert list(other.index) == list(first.index)[::-1]
    np.testing.assert_array_equal(other.loc[first.index].to_numpy(), first.to_numpy())
