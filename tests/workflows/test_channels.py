"""Runs on images of four channels in a file each, and on images of 12 bits: trained, checked, predicted, shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import kagglekit
from kagglekit import Run
from kagglekit.authoring.check import examine
from kagglekit.cli import cli
from kagglekit.types.predictions import load_predictions

OPTIONS = {"preset": "quick", "device": "cpu", "precision": "fp32", "stages": "1"}
STAINS = ("red", "green", "blue", "yellow")
PLUGIN = """import pandas as pd
from kagglekit import Competition, Recipe, hookimpl, progressive_stages

@hookimpl
def kagglekit_competition(): return Competition(title="Cells", metric="log_loss", shown=(3, 0, 1))

@hookimpl
def kagglekit_recipe(preset):
    stages = progressive_stages((32,), batch_size=8, solver="regression")
    return Recipe(arch="test_resnet", pretrained=False, stages=stages, tta=1, ensemble="mean")

@hookimpl
def kagglekit_labels(data):
    rows = [(str(n), f"{n}SUFFIX", "ab"[n % 2] if n < 24 else None, "train" if n < 24 else "test") for n in range(30)]
    return pd.DataFrame(rows, columns=["id", "path", "label", "split"])
"""


@pytest.fixture
def cells(tmp_path: Path, cache: Path) -> Path:
    """Return a plugin; the classes differ in the fourth channel alone."""
    rng = np.random.default_rng(0)
    for number in range(30):
        for stain in STAINS:
            bright = 120 if stain == "yellow" and number % 2 else 20
            pixels = rng.integers(bright, bright + 60, (40, 40), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{number}_{stain}.png")
    (tmp_path / "cells.py").write_text(PLUGIN.replace("SUFFIX", f"_{{{{{','.join(STAINS)}}}}}.png"))
    return tmp_path / "cells.py"


def trained(plugin: Path) -> Run:
    return kagglekit.run(str(plugin), data=plugin.parent, out=plugin.parent / "runs", **OPTIONS)


def test_four_channels_in_a_file_each_are_trained_and_predicted(cells: Path) -> None:
    run = trained(cells)
    info = run.info()
    assert (info.form.channels, info.form.shown) == (4, (3, 0, 1))
    assert run.recipe().channels == len(info.mean) == 4
    assert info.mean[3] > info.mean[0] + 0.1
    assert info.ensemble_scores["valid_accuracy"].value == 1.0  # by the fourth channel
    images = [cells.parent / f"{n}_{{{','.join(STAINS)}}}.png" for n in range(24, 30)]
    found = kagglekit.predict(run, images, device="cpu")
    members = [load_predictions(run.plain_predictions(entry.name, "test")) for entry in info.members]
    (member,) = members
    expected = member.loc[[str(n) for n in range(24, 30)]]
    assert np.allclose(found.to_numpy(), expected.to_numpy(), atol=1e-5)
    assert "data:image/webp" in run.report.read_text()
    looked = CliRunner().invoke(cli, ["look", str(cells), "--data", str(cells.parent), "--pictures", str(run.folder)])
    assert looked.exit_code == 0, looked.output
    assert "warning: cannot read" not in looked.output
    assert "sizes of 30 images" in looked.output


def test_a_plugin_of_four_channels_is_checked(cells: Path) -> None:
    findings = examine(str(cells), cells.parent)
    assert [finding.what for finding in findings if finding.status == "problem"] == []


def test_a_missing_channel_is_named(cells: Path) -> None:
    (cells.parent / "3_blue.png").unlink()
    with pytest.raises(kagglekit.UserError, match=r"missing files: \S*3_blue\.png"):
        trained(cells)


def test_a_network_for_other_channels_is_refused(cells: Path) -> None:
    with pytest.raises(kagglekit.UserError, match="the recipe is for 2 channels, and the images have 4"):
        kagglekit.run(str(cells), data=cells.parent, settings={"channels": 2}, **OPTIONS)


def test_the_range_of_12_bits_is_kept_and_used_for_new_images(tmp_path: Path, cache: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(30):  # the classes differ in brightness alone, which a range of each image would hide
        pixels = rng.integers(0, 1000, (40, 40), dtype=np.uint16) * (3 if number % 2 else 1)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "deep.py").write_text(PLUGIN.replace("SUFFIX", ".png"))
    run = trained(tmp_path / "deep.py")
    form = run.info().form
    assert (form.channels, form.depth, len(form.ranges)) == (3, 16, 1)
    assert 2900 < form.ranges[0].white < 3000
    assert run.info().ensemble_scores["valid_accuracy"].value == 1.0
    found = kagglekit.predict(run, [tmp_path / "24.png"], tta=True, device="cpu")  # a dark one, alone
    expected = load_predictions(run.predictions("ensemble", "test")).loc[["24"]]
    assert np.allclose(found.to_numpy(), expected.to_numpy(), atol=1e-5)
