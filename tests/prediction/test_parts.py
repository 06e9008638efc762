"""Runs made of parts, folds and blends, and trainings on all images: their reports, and what they predict."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from html import unescape
from pathlib import Path

import browser
import cv2
import layouts
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from places import ROOT
from scored_runs import SNAPSHOTS, do_again, quiet, table, tiny_run

import kagglekit
from kagglekit import Run, UserError
from kagglekit.cli import cli
from kagglekit.report.predicted import Predicted
from kagglekit.report.reading import Known, predicted
from kagglekit.report.scores import picked_stages
from kagglekit.runs.info import RunInfo
from kagglekit.runs.loaded import LoadedRun
from kagglekit.tasks import single_label
from kagglekit.types.metric import TITLES
from kagglekit.workflows.blend import BlendRequest, blend

needs_chromium = pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium here: apt-get install chromium")


def judged_by_report(run: Run) -> Predicted:
    loaded = LoadedRun.read(run)
    found = predicted(loaded, Known.of(loaded.info))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pets")
    layouts.write_pets(folder)
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def folds(data, out) -> Run:
    settings = {**SNAPSHOTS, "tta": 1, "folds": 2, "ensemble": "weighted", "stage.*.cycle_len": 1}
    settings["stage.1.solver"] = "stack"
    return tiny_run(data, out, settings, preset="quick", name="folds")[0]


@pytest.fixture(scope="module")
def warm(data, out) -> Run:
    """The same folds held out, another recipe, and a temperature."""
    return tiny_run(data, out, {"folds": 2, "ensemble": "temperature", "clip": 0.01}, name="warm")[0]


@pytest.fixture(scope="module")
def blended(folds, warm, out) -> Run:
    return blend(BlendRequest([folds.name, warm.name], "weighted", out=out), quiet())


@pytest.fixture(scope="module")
def full(warm, out) -> Run:
    return do_again(warm, out)[0]


def text_of(run: Run) -> str:
    """The page's text, without tags."""
    page = run.report.read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)))


def shown(value: list[float]) -> str:
    return f"{value[0]:.4f} ± {value[1]:.4f}"


def test_a_report_of_folds_has_every_score_of_the_whole_and_of_each_fold(folds):
    text = text_of(folds)
    for run in (folds, folds.fold(1), folds.fold(2)):
        for row in run.info().scores:
            for key in ("valid_log_loss", "valid_accuracy", "test_log_loss", "test_accuracy"):
                assert f"{row['member']} {row['views']} " in text
                assert shown(row[key]) in text
    for name in ("mean", "geometric", "rank", "hill-climbing", "stacking", "temperature"):
        assert f"candidate {name} " in text
    for name, weight in folds.info().fitted["weights"].items():
        assert f"{name} {weight:.4f}" in text


def test_a_report_of_folds_judges_every_labelled_image_by_its_out_of_fold_prediction(folds, data):
    judged = judged_by_report(folds)
    held = [line.split()[0] for line in (data / "annotations" / "trainval.txt").read_text().splitlines()]
    assert sorted(judged.ids) == sorted(held)
    accuracy = folds.info().scores[-1]["valid_accuracy"][0]
    assert (judged.values.argmax(1) == judged.truth).mean() == pytest.approx(accuracy, abs=1e-6)
    assert folds.report.read_text().count("data:image/webp") >= 12
    assert "Top losses" in text_of(folds)


def test_a_report_of_folds_has_stages_time_and_curves_of_each_fold(folds):
    text, page = text_of(folds), folds.report.read_text()
    for number in (1, 2):
        for place, each in enumerate(folds.recipe().stages, 1):
            assert f"fold {number} {place} {each.name} {each.size} " in text
    loss = re.search(r"<h3>Loss, nats.*?</svg>", page, re.DOTALL)[0]
    assert loss.count("<polyline") == 4  # training and valid, of two folds
    assert loss.count("valid</span>") == 1
    decoded = [each for fold in (1, 2) for each in folds.fold(fold).info().decoded]
    assert {each.images for each in decoded} == {"labelled", "test"}
    assert folds.fold(2).info().decoded == ()  # the first fold's images serve all


def test_a_report_of_a_blend_has_its_members_its_runs_and_its_weights(blended, folds, warm):
    text = text_of(blended)
    assert "A blend of 2 runs; see their reports" in text
    assert "Stages" not in text
    for row in blended.info().scores:
        assert f"{row['member']} {row['views']} {shown(row['valid_log_loss'])}" in text
    for run in (folds, warm):
        row = run.info().scores[-1]
        assert f"{run.name} ensemble {row['views']} {shown(row['valid_log_loss'])}" in text
    for name, weight in blended.info().fitted["weights"].items():
        assert f"{name} {weight:.4f}" in text
    assert "Top losses" in text
    assert len(judged_by_report(blended).ids) == 24


def test_a_report_of_a_training_on_all_images_says_that_its_score_is_unknown(full, warm):
    text = text_of(full)
    assert f"{warm.name}, retrained on all labelled images." in text
    assert "no valid images" in text  # in the place of a verdict
    assert f"temperature: {warm.info().fitted['temperature']:.4g}" in text
    assert "Top losses" not in text
    assert "nan" not in text


def test_the_command_makes_each_kinds_report_again_to_the_byte(folds, blended, full):
    for run in (folds, blended, full):
        before = run.report.read_bytes()
        run.report.unlink()
        done = CliRunner().invoke(cli, ["report", str(run.folder)])
        assert done.exit_code == 0, done.output
        assert run.report.read_bytes() == before


@needs_chromium
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("which", ["folds", "blended", "full"])
def test_in_a_browser_no_kind_overflows_and_nothing_is_requested(which, dark, tmp_path, request):
    answer = browser.ask(request.getfixturevalue(which).report, tmp_path, dark)
    assert answer["width"] == browser.WIDTH
    assert answer["dark"] == dark
    assert answer["scroll"] == answer["beyond"] == answer["scrolled"] == answer["broken"] == 0
    assert answer["requests"] == []
    assert answer["cut"] == []


def predict(*words: object) -> Result:
    return CliRunner().invoke(cli, ["predict", *map(str, words), "--device", "cpu"])


def test_files(data: Path, run: Run) -> list[Path]:
    return [data / "images" / f"{image}.jpg" for image in table(run, split="test").index]


test_files.__test__ = False


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a network was asked for")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("which", ["folds", "warm", "blended", "full"])
@pytest.mark.usefixtures("no_network")
def test_the_submission_for_the_same_images_is_the_runs_own(which, data, tmp_path, request):
    run = request.getfixturevalue(which)
    alone = tmp_path / "elsewhere" / "runs"  # with what it needs beside it, and nothing else
    for name in [run.name, *run.info().blend_of]:
        shutil.copytree(run.folder.parent / name, alone / name)
    done = predict(alone / run.name, "--submission", tmp_path / "s.csv", "--data", data)
    assert done.exit_code == 0, done.output
    mine, own = (pd.read_csv(path, index_col=0) for path in (tmp_path / "s.csv", run.submission))
    pd.testing.assert_frame_equal(mine, own, atol=1e-5)


@pytest.mark.parametrize("which", ["folds", "warm", "blended"])
def test_files_are_predicted_by_all_folds_as_the_ensemble_combines_them(which, data, request):
    run = request.getfixturevalue(which)
    files = test_files(data, run)[:5]
    found = kagglekit.predict(run, [*files, files[0]], tta=True, device="cpu")
    assert list(found.index) == [str(path) for path in [*files, files[0]]]
    one = kagglekit.predict(run.fold(1), files, tta=True, device="cpu") if which != "blended" else None
    assert one is None or not np.allclose(found.to_numpy()[:5], one, atol=1e-3)
    plain = kagglekit.predict(run, files, device="cpu")
    if which == "warm":  # one snapshot a fold: the temperature is all there is to it
        parts = [kagglekit.predict(run.fold(n), files, device="cpu").to_numpy(np.float64) for n in (1, 2)]
        scaled = np.mean(parts, axis=0) ** (1 / run.info().fitted["temperature"])
        np.testing.assert_allclose(plain, scaled / scaled.sum(1, keepdims=True), atol=1e-5)
    done = predict(run.folder, *files, "--json")
    assert done.exit_code == 0, done.output
    probabilities = [record["probabilities"] for record in json.loads(done.stdout)]
    np.testing.assert_allclose(pd.DataFrame(probabilities), plain, atol=1e-6)


def test_an_ensemble_of_ranks_warns_that_it_ranks_the_images_that_are_named(warm, data, out, tmp_path):
    ranked = Run(Path(shutil.copytree(warm.folder, tmp_path / "runs" / "pets" / warm.name)))
    ranked.write_recipe(ranked.recipe().model_copy(update={"ensemble": "rank"}))
    file, *_ = test_files(data, warm)
    words = "these numbers are ranks among the given images, not probabilities, and a single image gets equal numbers"
    alone = predict(ranked.folder, file)
    assert alone.exit_code == 0, alone.output
    assert "0.2500 each" in " ".join(alone.output.split())
    assert words in " ".join(alone.output.split())
    machine = predict(ranked.folder, file, "--json")
    assert words in " ".join(machine.stderr.split())
    assert len(json.loads(machine.stdout)) == 1
    for run in (warm.folder, ranked.fold(1).folder):  # a fold has one network's probabilities
        assert "warning" not in predict(run, file).output


def test_a_blend_with_a_blend_of_ranks_warns_too(folds, warm, data, out):
    inner = blend(BlendRequest([folds.name, warm.name], "rank", out=out, name="inner"), quiet())
    outer = blend(BlendRequest([inner.name, warm.name], "mean", out=out, name="outer"), quiet())
    file, *_ = test_files(data, warm)
    assert "ranks among the given images" in " ".join(predict(outer.folder, file).output.split())


def test_a_blend_whose_runs_are_missing_names_them_and_a_way_out(blended, warm, data, tmp_path):
    shutil.copytree(blended.folder, tmp_path / blended.name)
    shutil.copytree(warm.folder, tmp_path / warm.name)
    for words in (("--submission", tmp_path / "s.csv", "--data", data), (data / "images",)):
        done = predict(tmp_path / blended.name, *words)
        assert done.exit_code == 1
        assert re.search(
            r"is a blend, and the folder of \S+-folds, which it blends, is no longer beside it", done.output
        )
        assert "put that run's folder into" in done.output
    assert not (tmp_path / "s.csv").exists()


def test_folds_without_the_weights_of_one_are_refused(folds, data, tmp_path):
    copy = Run(tmp_path / "copy")
    shutil.copytree(folds.folder, copy.folder)
    copy.fold(2).snapshot("all-2-cycle1").unlink()
    with pytest.raises(UserError, match=r"fold-2/snapshots/all-2-cycle1\.safetensors"):
        kagglekit.predict(copy, test_files(data, folds)[:1], device="cpu")


def test_a_file_that_is_no_image_is_reported_by_folds_too(folds, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    done = predict(folds.folder, broken)
    assert done.exit_code == 1
    assert "broken.jpg" in done.output


def test_repeats_show_the_scatter_over_seeds_in_each_report(data, tmp_path):
    last, _ = tiny_run(data, tmp_path, repeats=2, name="again")
    for folder in (tmp_path / "pets").iterdir():
        text = text_of(Run(folder))
        assert "Over 2 seeds" in text
        found = last.info().repeats.scores[0]
        assert f"valid log loss {found.mean:.4f} {found.deviation:.4f} {found.paired_error:.4f}" in text


def test_epochs_that_are_chosen_on_the_valid_images_are_reported(data, tmp_path, folds):
    settings = {**SNAPSHOTS, "folds": 2, "stage.2.cycle_len": 2, "stage.2.keep": "best"}
    run, said = tiny_run(data, tmp_path, settings, preset="quick", stages="1-2", name="picked")
    assert "head-augmented: these also choose the epoch, so valid scores are slightly optimistic" in said
    assert "never saw" not in said + text_of(run)
    words = f"The epoch kept by head-augmented was chosen by {TITLES[run.info().metric]} on the same valid images"
    assert f"{words}, separately in each fold: these scores are slightly optimistic." in text_of(run)
    assert f"{words}: these" in text_of(run.fold(1))
    assert "each image is predicted by the model that never saw it" in text_of(folds)
    assert "picked" not in text_of(folds)
    facts = RunInfo(blend_of=(run.name, "no-longer-there"))
    blend = LoadedRun(Run(run.folder.parent / "blend"), facts, run.recipe())
    assert picked_stages(blend) == ["head-augmented"]


def test_a_training_on_all_images_takes_the_rates_that_the_folds_have_found(data, out):
    settings = {**SNAPSHOTS, "folds": 2, "stage.2.lr": "auto", "stage.*.cycle_len": 1}
    run, _ = tiny_run(data, out, settings, preset="quick", stages="1-2", name="searched")
    rates = [run.fold(number).info().found_lrs["head-augmented"] for number in (1, 2)]
    again, said = do_again(run, out)
    assert again.recipe().stages[1].lr == pytest.approx(np.sqrt(rates[0] * rates[1]))
    assert not again.recipe().stages[1].find_lr
    assert "learning rate" not in said.replace("rates", "")
    assert max(float(row["lr"]) for row in again.steps()) == pytest.approx(again.recipe().stages[1].lr, rel=0.2)


def test_copies_of_an_image_are_held_out_together(data, tmp_path, monkeypatch):
    copied = tmp_path / "data"
    shutil.copytree(data, copied)
    lines = [line.split() for line in (data / "annotations" / "trainval.txt").read_text().splitlines()]
    names = [line[0] for line in lines]
    pairs = [(first, second) for first, second in zip(names[::2], names[1::2], strict=True)][:6]
    for first, second in pairs:  # each second one becomes the first one's copy, whatever its class
        picture = cv2.imread(str(data / "images" / f"{first}.jpg"))
        cv2.imwrite(str(copied / "images" / f"{second}.jpg"), picture[1:-1, 1:-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    words = ["run", "pets", "--data", str(copied), "--out", str(tmp_path / "out"), "--preset", "features", "--json"]
    words += ["--folds", "2", "--group-duplicates", "--precision", "fp32", "--device", "cpu"]
    settings = {"arch": "test_efficientnet.r160_in1k", "pretrained": "false", "stage.*.size": 32}
    settings["stage.*.solver"] = "regression"
    grouped, real = [], single_label.fit_linear_head

    def fit(features, labels, n_classes, seed, groups=None, strength=None):
        grouped.append((len(labels), len(labels) if groups is None else len(np.unique(groups))))
        return real(features, labels, n_classes, seed, groups, strength)

    monkeypatch.setattr(single_label, "fit_linear_head", fit)
    done = CliRunner().invoke(
        cli, [*words, *(w for key, value in settings.items() for w in ("--set", f"{key}={value}"))]
    )
    assert done.exit_code == 0, done.output
    assert "near-duplicates among 24 labelled images stay together" in done.stderr
    run = Run(Path(json.loads(done.stdout)["run"]))
    held = [set(table(run.fold(number)).index) for number in (1, 2)]
    assert all((first in held[0]) == (second in held[0]) for first, second in pairs)
    assert all(held)
    for (n, groups), out in zip(grouped, held, strict=True):  # nor are they torn where the head is cross-validated
        assert n == 24 - len(out)
        assert n - groups >= sum(first not in out for first, _ in pairs) > 0


def test_of_a_run_and_its_folds_git_takes_neither_weights_nor_what_shows_the_data():
    root = ROOT
    if not (root / ".git").exists() or not shutil.which("git"):
        pytest.skip("this is no checkout of git's")
    large = ["snapshots/a.safetensors", "predictions/a-valid.npz", "checkpoint/1", "submission.csv", "steps.csv"]
    showing = ["valid.csv", "fitted-on.csv", "report.html", "pictures/pictures.json", "test-images.csv", "network.onnx"]
    kept = ["recipe.json", "run.json", "log.csv"]
    paths = [f"submissions/pets/run/{part}{name}" for part in ("", "fold-1/") for name in (*large, *showing, *kept)]
    command = ["git", "check-ignore", "--no-index", *paths]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert [path for path in paths if path not in done.stdout.split()] == [p for p in paths if p.split("/")[-1] in kept]
