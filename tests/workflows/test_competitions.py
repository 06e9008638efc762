"""Whole runs: every competition on tiny images in its real layout, with a tiny network from random weights."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
from layouts import NAMES, WRITERS
from rich.console import Console
from safetensors.numpy import load_file
from scipy.io import loadmat, savemat
from tiny_runs import TINY, tiny_run

import kagglekit
from kagglekit import Run, UserError
from kagglekit.compute.forward import predict_pass
from kagglekit.system.display.console import Display
from kagglekit.types.predictions import average, load_predictions

STACKED = "pets"  # its head is a stack


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Run, str, Path]]:
    """Run each competition once."""
    done = {}
    for name in NAMES:
        data = tmp_path_factory.mktemp(name)
        WRITERS[name](data)
        solver = "stack" if name == STACKED else "regression"
        done[name] = (*tiny_run(name, data, tmp_path_factory.mktemp("out"), stage__1__solver=solver), data)
    return done


@pytest.mark.parametrize("name", NAMES)
def test_a_run_goes_from_images_to_a_checked_submission(name, runs):
    run, said, data = runs[name]
    info = run.info()
    assert info.status == "finished"
    assert name in ("dogs-vs-cats", "pets") or info.estimate_s > 0  # those are over before there is an estimate
    assert info.seconds > 0
    assert run.recipe().arch == TINY["arch"]
    assert "augmentation is off in this stage" in said
    rows = pd.read_csv(run.submission, dtype=str)
    sample = data / "sample_submission.csv"
    assert ("checked against sample_submission.csv" in said) == sample.exists()
    if sample.exists():
        wanted = pd.read_csv(sample, dtype=str)
        assert list(rows.columns) == list(wanted.columns)
        assert rows["id"].tolist() == wanted["id"].tolist()
    assert len(rows) == info.images["test"]


@pytest.mark.parametrize("name", NAMES)
def test_the_log_follows_the_recipe_epoch_by_epoch(name, runs):
    run = runs[name][0]
    expected = [(stage.name, epoch) for stage in run.recipe().stages for epoch in range(1, stage.epochs + 1)]
    assert [(row["stage"], int(row["epoch"])) for row in run.log_rows()] == expected


@pytest.mark.parametrize("name", NAMES)
def test_snapshots_differ_from_one_another(name, runs):
    run = runs[name][0]
    last = run.recipe().stages[-1]
    weights = [load_file(run.snapshot(f"{last.name}-cycle{i}")) for i in range(1, last.cycles + 1)]
    tables = [load_predictions(run.predictions(f"{last.name}-cycle{i}", "test")) for i in range(1, last.cycles + 1)]
    assert len(weights) >= 2
    for first, second in pairwise(weights):
        assert any((first[key] != second[key]).any() for key in first)
    assert not tables[0].equals(tables[1])


@pytest.mark.parametrize("name", NAMES)
def test_scores_stand_beside_their_standard_errors(name, runs):
    run, said, _ = runs[name]
    rows = run.info().scores
    members = [(row["member"], row["views"]) for row in rows if row["member"] not in ("candidate", "ensemble")]
    named = [entry.name for entry in run.info().members]
    assert members == [(name, views) for name in named for views in ("plain", "TTA")]
    assert ("head-cycle1" in named) == (name == STACKED)
    assert len(named) == (name == STACKED) + run.recipe().stages[-1].cycles
    assert [row["views"] for row in rows[-2:]] == ["mean, plain", "mean"]
    known = name in ("pets", "flowers-102")
    for row in rows:
        assert len(row["valid_log_loss"]) == len(row["valid_accuracy"]) == 2
        assert ("test_accuracy" in row) == known
    assert ("test scores use known labels" in said) == known


def test_the_ensemble_of_plain_predictions_is_scored_beside_the_submissions(runs):
    run, _, _ = runs["pets"]
    names = [entry.name for entry in run.info().members]
    assert len(names) >= 3
    mean = average([load_predictions(run.plain_predictions(name, "valid")) for name in names])
    loss = np.mean([-np.log(mean.loc[row["id"], row["label"]]) for row in run.valid()])
    rows = run.info().scores
    assert (rows[-2]["member"], rows[-2]["valid_log_loss"][0]) == ("ensemble", pytest.approx(loss, abs=1e-5))
    assert all(row["valid_log_loss"] != rows[-2]["valid_log_loss"] for row in rows if row is not rows[-2])


def test_a_second_run_decodes_nothing_and_gives_the_same_bytes(runs, tmp_path):
    first, said, data = runs["dog-breed"]
    again, said_again = tiny_run("dog-breed", data, tmp_path)
    assert "decoded" in said
    assert "decoded" not in said_again
    assert again.submission.read_bytes() == first.submission.read_bytes()
    assert again.final_weights.read_bytes() == first.final_weights.read_bytes()


def test_known_test_labels_never_reach_the_submission(runs, tmp_path):
    first, _, data = runs["flowers-102"]
    labels = loadmat(data / "imagelabels.mat")["labels"][0]
    test = loadmat(data / "setid.mat")["tstid"][0] - 1
    labels[test] = labels[test][::-1]
    savemat(data / "imagelabels.mat", {"labels": labels})
    shuffled, _ = tiny_run("flowers-102", data, tmp_path)
    assert shuffled.submission.read_bytes() == first.submission.read_bytes()
    assert shuffled.info().scores[-1]["test_accuracy"] != first.info().scores[-1]["test_accuracy"]


def test_the_number_of_images_predicted_at_once_changes_no_byte(runs, tmp_path, monkeypatch):
    first, _, data = runs["dog-breed"]

    def by_sixteen(model, images, rows, turn, compute, activate):
        yield from predict_pass(model, images, rows, turn, replace(compute, batch=16), activate)

    monkeypatch.setattr("kagglekit.prediction.members.predict_pass", by_sixteen)
    other, _ = tiny_run("dog-breed", data, tmp_path)
    assert other.submission.read_bytes() == first.submission.read_bytes()


def test_a_finished_run_predicts_without_its_data(runs, tmp_path):
    run, _, data = runs["pets"]
    moved = tmp_path / "moved"
    run.folder.rename(moved)
    try:
        ids = load_predictions(Run(moved).predictions("ensemble", "test")).index
        paths = [data / "images" / f"{name}.jpg" for name in ids]
        table = kagglekit.predict(moved, paths, device="cpu")
        assert tuple(table.columns) == Run(moved).info().classes
        made = load_predictions(Run(moved).predictions("ensemble", "test"))
        assert abs(kagglekit.predict(moved, paths, tta=True, device="cpu").to_numpy() - made.to_numpy()).max() < 1e-5
    finally:
        moved.rename(run.folder)


def test_one_more_cycle_starts_from_a_finished_run(runs, tmp_path):
    run, _, data = runs["dog-breed"]
    said = io.StringIO()
    display = Display(Console(file=said, width=240))
    more = kagglekit.run(
        "dog-breed", data=data, out=tmp_path, display=display, precision="fp32", from_run=str(run.folder), stages="4-"
    )
    assert {row["stage"] for row in more.log_rows()} == {"all-2"}
    assert more.info().from_run == run.name
    assert float(more.log_rows()[0]["valid_loss"]) < 1.5 * float(run.log_rows()[-1]["valid_loss"])


@pytest.mark.parametrize(
    ("ensemble", "settings"),
    [("average", {"stage__4__batch_norm": "update"}), ("last", {}), ("geometric", {"clip": 0.001})],
)
def test_an_ensemble_makes_a_submission(ensemble, settings, runs, tmp_path):
    _, _, data = runs["dogs-vs-cats"]
    run, said = tiny_run("dogs-vs-cats", data, tmp_path, ensemble=ensemble, **settings)
    rows = pd.read_csv(run.submission)
    assert rows["label"].between(0, 1).all()
    assert ("clipping to 0.001: valid log loss" in said) == ("clip" in settings)
    assert run.snapshot("average").exists() == (ensemble == "average")


@pytest.mark.parametrize(
    "settings",
    [
        {
            "stage__1__solver": "gradient",
            "stage__1__cycle_len": 2,
            "head": "concat-pool",
            "drop_rate": 0.2,
            "stage__4__optimizer": "sgd",
            "stage__4__oversample": 1.0,
            "stage__4__clip_norm": 1,
        },
        {
            "stage__3__mixup": 0.4,
            "stage__4__cutmix": 1.0,
            "stage__4__ema": 0.9,
            "stage__4__keep": "best",
            "stage__*__plain": "squash",
            "stage__4__schedule": "flat-cosine",
            "tta_views": "flip",
        },
        {"stage__4__views": "random-resized-crop", "stage__3__views": "top_down", "tta_views": "crops", "tta": 4},
        {
            "stage__*__plain": "pad",
            "stage__*__border": "zero",
            "predict_size": 64,
            "stage__4__views": "none",
            "tta": 0,
            "stage__4__snapshots": "false",
        },
    ],
    ids=["gradient-head-sgd", "mixed-squash", "crops", "pad-no-snapshots"],
)
def test_every_option_of_a_stage_trains(settings, runs, tmp_path):
    _, _, data = runs["pets"]
    run, _ = tiny_run("pets", data, tmp_path, **settings)
    assert run.info().status == "finished"
    assert run.submission.exists()


def test_bad_images_stop_the_run_unless_they_are_skipped(tmp_path):
    data = tmp_path / "data"
    WRITERS["dog-breed"](data)
    train, test = (sorted((data / part).iterdir())[0] for part in ("train", "test"))
    train.write_bytes(train.read_bytes()[:200])
    test.write_bytes(b"")
    with pytest.raises(UserError, match=r"1 of 32 images cannot be decoded:\n.*" + train.name):
        tiny_run("dog-breed", data, tmp_path / "out")
    said = io.StringIO()
    wanted = {**TINY}
    run = kagglekit.run(
        "dog-breed", data=data, out=tmp_path / "out", settings=wanted, preset="quick", skip_bad_images=True,
        display=Display(Console(file=said, width=240)),
    )  # fmt: skip
    assert "1 labelled images that cannot be decoded" in said.getvalue()
    assert "1 test images cannot be decoded and get the mean prediction" in said.getvalue()
    rows = pd.read_csv(run.submission, dtype={"id": str}).set_index("id")
    others = rows.drop(index=test.stem)
    assert rows.loc[test.stem].to_numpy() == pytest.approx(others.mean().to_numpy(), abs=1e-5)


def test_a_failed_run_keeps_what_it_had_and_says_where(runs, tmp_path):
    _, _, data = runs["pets"]
    with pytest.raises(UserError, match="no longer finite"):
        tiny_run("pets", data, tmp_path, stage__3__lr=1e30, stage__3__optimizer="sgd", stage__3__clip_norm=0)
    (folder,) = (tmp_path / "pets").iterdir()
    assert Run(folder).info().status == "failed"
    assert [row["stage"] for row in Run(folder).log_rows()][:2] == ["head", "head-augmented"]


def test_without_test_images_a_run_is_refused_unless_no_submission_is_wanted(tmp_path):
    data = tmp_path / "data"
    WRITERS["dog-breed"](data)
    shutil.rmtree(data / "test")
    with pytest.raises(UserError, match=r"no test images, so no submission could be written, but sample"):
        tiny_run("dog-breed", data, tmp_path / "out")
    run, said = tiny_run("dog-breed", data, tmp_path / "out", no_submission=True)
    assert "no test images: no submission is written" in said
    assert not run.submission.exists()
    assert run.info().scores


@pytest.mark.slow
def test_a_network_that_needs_its_size_trains_predicts_and_resumes(runs, tmp_path):
    if not hasattr(timm.models.VisionTransformerRelPos, "set_input_size"):
        pytest.skip("this timm can't tell any network that it can't free")
    _, _, data = runs["dog-breed"]
    short = {"stage__*__cycle_len": 1, "stage__4__cycles": 1, "tta": 0}
    first, _ = tiny_run("dog-breed", data, tmp_path, arch="vit_relpos_small_patch16_224", predict_size=64, **short)
    more = kagglekit.run(
        "dog-breed", data=data, out=tmp_path, from_run=str(first.folder), stages="2", display=quiet(), precision="auto"
    )
    assert more.info().formats.startswith("probed")
    assert more.submission.exists()


def test_a_head_found_by_gradient_steps_keeps_the_snapshots_of_its_cycles(runs, tmp_path):
    _, _, data = runs["dog-breed"]
    settings = {"stage__1__solver": "gradient", "stage__1__cycles": 3, "stage__1__snapshots": "true"}
    run, _ = tiny_run("dog-breed", data, tmp_path, **settings, stage__1__ema=0.5, stage__1__lr=0.05)
    heads = [load_file(run.snapshot(f"head-cycle{i}"))["head.weight"] for i in (1, 2, 3)]
    assert not (heads[0] == heads[1]).all()
    assert not (heads[1] == heads[2]).all()
    assert {"head-cycle1", "head-cycle3"} <= {row["member"] for row in run.info().scores}


def test_a_few_images_a_class_are_enough_for_a_run(tmp_path):
    WRITERS["dog-breed"](tmp_path / "data", classes=6, per_class=4)
    run, _ = tiny_run("dog-breed", tmp_path / "data", tmp_path / "out", limit=12)
    assert run.info().images["train"] + run.info().images["valid"] == 12


def test_settings_that_cannot_work_are_refused_before_images_are_decoded(runs, tmp_path, monkeypatch):
    _, _, data = runs["dog-breed"]
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    for settings, words in [({"groups": 400}, "layer groups"), ({"head": "concat-pool"}, "solver=gradient")]:
        with pytest.raises(UserError, match=words):
            tiny_run("dog-breed", data, tmp_path, **settings)
    assert not (tmp_path / "cache" / "stores").exists()


def quiet() -> Display:
    return Display(Console(file=io.StringIO(), width=240))
