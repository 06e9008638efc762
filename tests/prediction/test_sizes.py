"""Members predict at several sizes, whose weights the valid images decide on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from tiny_competitions import TINY, ask, write_folders, write_plugin

from kagglekit import Recipe, Run, SingleLabel, Stage, make_predictions
from kagglekit.compute import device
from kagglekit.prediction.sizes import cross_fitted_mean, fit_size_weights, mean_of_sizes
from kagglekit.system.display.console import Bar
from kagglekit.types.predictions import load_predictions

TASK = SingleLabel(("a", "b", "c"))


def drawn(n: int = 200) -> tuple[list[pd.DataFrame], np.ndarray]:
    """Tables of a poor and a good size, and the classes."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, n)
    logits = [skill * np.eye(3)[truth] + rng.normal(size=(n, 3)) for skill in (1.7, 2.0)]
    tables = [np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for each in logits]
    return [make_predictions([f"v{k}" for k in range(n)], TASK.columns, table) for table in tables], truth


def test_the_weights_of_two_sizes_are_those_of_a_search() -> None:
    tables, truth = drawn()

    def loss(weight: float) -> float:
        mixed = (1 - weight) * tables[0].to_numpy(np.float64) + weight * tables[1].to_numpy(np.float64)
        return float(TASK.losses(truth, mixed).mean())

    found = minimize_scalar(loss, bounds=(0, 1), method="bounded", options={"xatol": 1e-6})
    assert fit_size_weights(TASK, tables, truth) == pytest.approx([1 - found.x, found.x], abs=1e-3)
    assert fit_size_weights(TASK, [table[:0] for table in tables], truth[:0]) == [0.5, 0.5]


def test_the_valid_row_of_an_image_does_not_depend_on_its_own_label() -> None:
    tables, truth = drawn(40)
    groups = pd.Series([f"g{k % 8}" for k in range(40)], index=tables[0].index)
    own = (groups == "g3").to_numpy()
    changed = truth.copy()
    later = np.flatnonzero(own)[1:]  # the label of a group's first image decides on its part
    changed[later] = (changed[later] + 1) % 3
    before, after = (cross_fitted_mean(TASK, tables, each, 0, groups) for each in (truth, changed))
    pd.testing.assert_frame_equal(before[own], after[own], check_exact=True)
    assert not before[~own].equals(after[~own])


def test_without_recorded_weights_sizes_count_alike() -> None:
    tables, _ = drawn(4)
    by_size = dict(zip((32, 48), tables, strict=True))
    np.testing.assert_allclose(mean_of_sizes(by_size, {}), (tables[0] + tables[1]) / 2, atol=1e-6)
    np.testing.assert_allclose(mean_of_sizes(by_size, {"48": 1.0}), tables[1], atol=1e-6)


def test_sizes_are_multiples_of_a_members_own_that_the_network_accepts() -> None:
    stage = Stage(name="all", size=160)
    recipe = Recipe(arch="x", stages=(stage,), tta_sizes=(1.0, 1.17, 1.33))
    assert recipe.predicting_sizes(stage, 32) == (160, 192, 224)
    assert recipe.model_copy(update={"predict_size": 200}).predicting_sizes(stage, 1) == (200, 234, 266)
    assert Recipe(arch="x", stages=(stage,)).predicting_sizes(stage, 32) == (160,)


SIZES = ("--set", "tta_sizes=[1.5]")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_folders(tmp_path / "d", n=12)
    return tmp_path


def run(place: Path, *more: object) -> Run:
    done = ask("run", write_plugin(place), "--data", "d", *TINY, *SIZES, *more)
    assert done.exit_code == 0, done.output
    assert "; together they " in done.output
    return Run(max(Path("submissions/tiny").iterdir(), key=lambda folder: folder.stat().st_mtime_ns))


def test_a_run_records_the_weights_of_its_sizes_and_predicts_new_images_with_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "PIXELS", device.LEAST * 32**2)  # of larger images, batches are smaller than others
    counted: dict[str, list[int]] = {}
    real = Bar.advance

    def advance(bar: Bar, n: int, note: str = "") -> None:
        counted.setdefault(bar.what, [bar.total or 0]).append(n)
        real(bar, n, note)

    monkeypatch.setattr(Bar, "advance", advance)
    made = run(place)
    predicted = {what: numbers for what, numbers in counted.items() if ": valid" in what or ": test" in what}
    assert len(predicted) >= 4
    for total, *parts in predicted.values():  # progress, and the rate that it shows, are of images
        assert sum(parts) == total
    ((name, weights),) = made.info().size_weights.items()
    small, large = map(int, weights)
    assert large == round(1.5 * small)
    assert sum(weights.values()) == pytest.approx(1, abs=1e-5)
    tables = {size: load_predictions(made.predictions(f"{name}@{size}", "test")) for size in weights}
    mixed = sum(weight * tables[size] for size, weight in weights.items())
    np.testing.assert_allclose(load_predictions(made.predictions(name, "test")), mixed, atol=1e-5)
    assert {row["views"] for row in made.info().scores} >= {"plain", "TTA"}
    own = pd.read_csv(made.submission)
    done = ask("predict", made.folder, "--data", "d", "--submission", "again.csv", "--device", "cpu")
    assert done.exit_code == 0, done.output
    np.testing.assert_allclose(pd.read_csv("again.csv").iloc[:, 1:], own.iloc[:, 1:], atol=1e-4)
    full = ask("run", write_plugin(place), "--data", "d", "--full", made.folder, "--precision", "fp32")
    assert full.exit_code == 0, full.output
    newest = Run(max(Path("submissions/tiny").iterdir(), key=lambda folder: folder.stat().st_mtime_ns))
    assert newest.info().size_weights == made.info().size_weights
