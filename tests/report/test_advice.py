"""What a run's page advises, for made-up runs of ten classes with six valid images each."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from kagglekit import Run
from kagglekit.report.page import write_report
from kagglekit.report.worsened import worsened
from kagglekit.runs.info import Record
from kagglekit.types.predictions import make_predictions, save_predictions
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

CLASSES = [f"class{number}" for number in range(10)]
TRUTH = np.repeat(np.arange(10), 6)
STAGES = (Stage(name="all-1", size=48, lr=0.008), Stage(name="all-2", size=64, lr=0.008))
NOT_AT_CHANCE = ("label-errors.csv", "larger network", "Look at the images")
SETTLED = [("all-1", 1.2), ("all-1", 0.6), ("all-2", 0.5), ("all-2", 0.5)]  # valid losses


def advised(folder: Path, predicted: np.ndarray, losses: list[tuple[str, float]] = SETTLED, folds: int = 0) -> Page:
    """Write the page of a run that is sure of these classes, with these valid losses of its stages' epochs."""
    run, ids = Run(folder / "20260101-000000-net"), [f"image{row}" for row in range(60)]
    run.write_recipe(Recipe(arch="net", stages=STAGES, folds=folds))
    table = np.full((60, 10), 0.01)
    table[np.arange(60), predicted] = 0.91
    save_predictions(make_predictions(ids, CLASSES, table), run.predictions("ensemble", "valid"))
    run.write_valid([{"id": i, "file": i, "label": CLASSES[k]} for i, k in zip(ids, TRUTH, strict=True)])
    row = {"cycle": 1, "train_loss": 0.5, "seconds": 2.0, "images_per_s": 9.0, "waited_s": 0.1}
    epochs = [(stage, [s for s, _ in losses[:i]].count(stage) + 1, loss) for i, (stage, loss) in enumerate(losses)]
    run.write_log([{**row, "stage": stage, "epoch": n, "step": 9 * n, "valid_loss": loss} for stage, n, loss in epochs])
    facts = {"competition": "shapes", "plugin": "shapes", "metric": "accuracy", "status": "finished"}
    Record.of(run.info_file).update(**facts, classes=CLASSES, images={"train": 240, "valid": 60})
    write_report(run)
    return Page(run)


class Page:
    def __init__(self, run: Run) -> None:
        self.text = unescape(run.report.read_text(encoding="utf-8"))
        self.advice = [re.sub("<[^>]*>", "", each) for each in re.findall("<li>(.*?)</li>", self.text, re.DOTALL)]
        file = run.label_errors_file
        self.errors = file.read_text(encoding="utf-8").splitlines()[1:] if file.exists() else []


def mistaken(rows: slice) -> np.ndarray:
    """Return the true classes, with others in these rows."""
    predicted = TRUTH.copy()
    predicted[rows] = (predicted[rows] + 1) % 10
    return predicted


@pytest.mark.parametrize("folds", [0, 5])
def test_label_errors_of_valid_images_are_not_said_to_be_left_out_of_training(tmp_path, folds):
    page = advised(tmp_path, mistaken(slice(0, 60, 20)), folds=folds)
    assert len(page.errors) == 3
    (said,) = [each for each in page.advice if "3 labels in label-errors.csv" in each]
    section = page.text.partition("Likely label errors</h2>")[2].partition("</p>")[0]
    for text in (said, section):
        assert ("--folds 5 finds" in text or "run with --folds 5" in text) == (not folds)
        assert "valid images" not in text or not folds
    assert ("leave wrong ones out of training with --drop FILE" in said) == bool(folds)


def test_a_run_at_chance_is_not_told_to_enlarge_its_network_or_that_its_labels_are_wrong(tmp_path):
    page = advised(tmp_path, np.random.default_rng(0).integers(0, 10, 60))
    assert page.errors == []
    section = page.text.partition("Likely label errors</h2>")[2].partition("</p>")[0]
    assert "too many to be trusted" in section
    assert not [each for each in page.advice if any(words in each for words in NOT_AT_CHANCE)]
    assert page.advice[0].startswith("Train longer (--epochs N), or at another learning rate")


def test_a_stage_that_ends_worse_than_an_earlier_one_is_the_first_advice(tmp_path):
    page = advised(tmp_path, TRUTH, [("all-1", 1.8), ("all-1", 1.6209), ("all-2", 6.4155)])
    assert page.advice[0].startswith(
        "Lower the learning rate of stage 2 (--set stage.2.lr=0.002, or one that kagglekit lr-find"
    )
    assert "Stage all-2 ended with valid loss 6.4155, where stage all-1 had 1.6209 after epoch 2." in page.advice[0]
    assert "larger network" in advised(tmp_path / "settled", TRUTH).advice[0]


def rows(*losses: tuple[str, float], train: float = 1.0) -> list[dict[str, object]]:
    return [
        {"stage": stage, "epoch": number, "step": number, "valid_loss": loss, "train_loss": train / number}
        for number, (stage, loss) in enumerate(losses, 1)
    ]


def test_only_a_clearly_higher_loss_counts():
    few, many = 60, 10_000
    for_a_sixth = rows(("all-1", 0.6), ("all-2", 0.7))
    assert worsened(for_a_sixth, STAGES, few) is None
    assert worsened(for_a_sixth, STAGES, many)
    assert worsened(rows(("all-1", 0.6), ("all-2", 0.65)), STAGES, many) is None
    assert worsened(rows(("all-1", 0.003), ("all-2", 0.0035)), STAGES, many) is None  # one more image may be wrong
    assert worsened(rows(("all-1", 6.0), ("all-2", 0.65)), STAGES, many) is None
    assert worsened(rows(("all-1", float("nan")), ("all-2", float("nan"))), STAGES, 0) is None
    stack = Stage(name="head", size=32, freeze_to=-1, precompute=True, solver="stack")  # a member of its own
    assert worsened(rows(("head", 0.4), ("all-1", 1.1), ("all-2", 1.0)), (stack, *STAGES), many) is None


def test_the_remedy_fits_the_stage():
    over_fits = worsened(rows(("all-1", 0.5), ("all-2", 0.7), ("all-2", 0.9)), STAGES, 10_000)
    assert over_fits
    assert over_fits.remedy.startswith("shorten stage all-2")
    diverged = worsened(rows(("all-2", 0.5), ("all-2", 5.0), train=-1.0), STAGES, 10_000)
    assert diverged
    assert "where it had 0.5000 after epoch 1" in diverged.what
    found = worsened(rows(("all-1", 0.5), ("all-2", 0.7)), STAGES, 10_000, {"all-2": 0.1})
    assert found
    assert "--set stage.2.lr=0.025" in found.remedy
    kept = [stage.model_copy(update={"keep": "best"}) for stage in STAGES]
    assert worsened(rows(("all-2", 0.5), ("all-2", 5.0), train=-1.0), kept, 10_000) is None
