"""A run's stack reads the classes that its weights were trained on: also resumed, not once the body has changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from layouts import write_pets
from safetensors.torch import save_file
from scored_runs import TINY, quiet, tiny_run

import kagglekit
from kagglekit import Run
from kagglekit.compute.heads.stacked_head import read_stack
from kagglekit.training.heads import stack, stage

HEADS = "source neighbours", "source classes"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Settings of a network whose weights have a classifier of 20 classes."""
    file = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    torch.manual_seed(1)
    network = timm.create_model(str(TINY["arch"]).partition(".")[0], num_classes=20)
    torch.nn.init.normal_(network.get_classifier().bias)  # timm begins with zeros
    save_file(network.state_dict(), file)
    sizes = {"stage.*.solver": "stack", "stage.*.stack_sizes": "[32]"}
    return {**sizes, "pretrained": "true", "weights": str(file)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pets") / "data"
    write_pets(folder)
    return folder


@pytest.fixture(autouse=True)
def whatever_their_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "LEAST", -1.0)


def files(run: Run) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (run.submission, *run.folder.glob("**/*.parquet"))}


def test_a_stack_reads_the_classes_of_the_weights_also_when_it_is_resumed(data, settings, tmp_path, monkeypatch):
    whole, said = tiny_run(data, tmp_path / "whole", settings)
    assert all(f"{name} " in said for name in HEADS)
    (member,) = [entry.name for entry in whole.info().members]
    found = read_stack(whole.snapshot(member))
    assert found is not None
    assert found.head.form.n_source == 20
    assert torch.equal(found.valid_head.source.weight, found.head.source.weight)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage, "fit_stack", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tiny_run(data, tmp_path / "resumed", settings)
    (folder,) = (tmp_path / "resumed" / "pets").iterdir()
    resumed = kagglekit.resume(folder, display=quiet())
    assert files(resumed) == files(whole)


def test_a_network_that_was_trained_since_has_no_source_classes(data, settings, tmp_path):
    first, _ = tiny_run(data, tmp_path / "first", settings)
    one = {key: value for key, value in settings.items() if key.startswith("stage")}
    _, said = tiny_run(data, tmp_path / "second", one, from_run=str(first.folder))
    assert "stack of heads, weight" in said
    assert not any(f"{name} " in said for name in HEADS)
