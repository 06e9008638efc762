"""`kagglekit export`: one network as an ONNX file that another program can use with the file alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import layouts
import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner, Result
from scored_runs import TINY, quiet

import kagglekit
from kagglekit import Run
from kagglekit.cli import cli
from kagglekit.prediction.export import onnx_file
from kagglekit.prediction.load import predict_files, restore
from kagglekit.runs.loaded import LoadedRun


def export(run: Run, *words: object) -> Result:
    return CliRunner().invoke(cli, ["export", str(run.folder), "--to", "onnx", *map(str, words)])


def session_of(file: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def stacked(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose only member is a stack of heads that sees two sizes."""
    data = tmp_path_factory.mktemp("pets") / "data"
    layouts.write_pets(data)
    settings = {**TINY, "stage.1.solver": "stack", "stage.*.stack_sizes": "[32,48]"}
    out = tmp_path_factory.mktemp("out")
    return kagglekit.run(
        "pets", data=data, out=out, settings=settings, preset="features", precision="fp32", display=quiet()
    )


def test_the_best_network_of_several_is_written_with_what_it_needs(dogs, tmp_path, monkeypatch):
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    done = export(dogs.run, "--file", tmp_path / "dogs.onnx")
    assert done.exit_code == 0, done.output
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"  # nothing about a user's network leaves the machine
    assert f"{dogs.run.name} combines " in done.output
    assert "checked with onnxruntime on 6 valid images: largest difference" in done.output
    session = session_of(tmp_path / "dogs.onnx")
    about = session.get_modelmeta().custom_metadata_map
    info = dogs.run.info()
    assert tuple(json.loads(about["classes"])) == info.classes
    assert about["run"] == dogs.run.name
    restored = restore(LoadedRun.read(dogs.run), onnx_file.torch.device("cpu"), about["member"])
    assert int(about["size"]) == restored.size
    assert json.loads(about["mean"]) == list(restored.config.mean)
    assert about["resize"].startswith("resize the short side")
    for n in (1, 3):  # any number of images
        (found,) = session.run(None, {"images": np.zeros((n, 3, restored.size, restored.size), np.float32)})
        assert found.shape == (n, len(info.classes))
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_a_stack_of_heads_is_one_network(stacked, tmp_path):
    loaded = LoadedRun.read(stacked)
    (member,) = [entry.name for entry in loaded.info.members]
    done = export(stacked, "--file", tmp_path / "stack.onnx", "--member", member)
    assert done.exit_code == 0, done.output
    session = session_of(tmp_path / "stack.onnx")
    restored = restore(loaded, onnx_file.torch.device("cpu"), member)
    files = [Path(loaded.info.data) / row["file"] for row in stacked.valid()]
    recorder = onnx_file._Recorder(restored.model)
    expected = predict_files(
        onnx_file.LoadedModel(**{**vars(restored), "model": recorder}), files, [file.stem for file in files], tta=False
    ).values
    (found,) = session.run(None, {"images": onnx_file.torch.cat(recorder.seen).numpy()})
    np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 0.01  # the images differ


def test_what_no_single_network_predicts_is_refused(dogs, tmp_path, monkeypatch):
    family = onnx_file.Family.read(dogs.run)
    folds = onnx_file.Family(family.own, (family.own, family.own))
    with pytest.raises(kagglekit.UserError, match="predicts with the networks of 2 folds, and a file holds one"):
        onnx_file._check_one_folder(folds)
    with pytest.raises(kagglekit.UserError, match="a file holds one network"):
        onnx_file._check_one_folder(onnx_file.Family(family.own, (), (family,)))
    done = export(dogs.run, "--member", "nobody")
    assert done.exit_code == 2
    assert "unknown member 'nobody'" in done.output
    monkeypatch.setattr(onnx_file.importlib.util, "find_spec", lambda name: None)
    done = export(dogs.run)
    assert done.exit_code == 2
    assert 'pip install "kagglekit[onnx]"' in done.output


def test_a_file_that_predicts_otherwise_is_not_kept(dogs, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "_run", lambda file, inputs: np.zeros((len(inputs), 4), np.float32))
    done = export(dogs.run, "--file", tmp_path / "wrong.onnx")
    assert done.exit_code == 1
    assert "the predictions of the ONNX file differ by" in done.output
    assert list(tmp_path.iterdir()) == []
