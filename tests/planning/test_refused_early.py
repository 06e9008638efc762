"""What the tables show is refused before training; what fails while scoring does not cost the CSV."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tiny_competitions import TINY, ask, csv_lines, draw, write_folders, write_plugin

KNOWN = "metric='{}', known_test_labels=True"
FAILING = """
from kagglekit import Metric, Provides, Score

@hookimpl
def kagglekit_provides():
    return Provides(metric=("odd",), loss=("bad",))

@hookimpl
def kagglekit_loss(recipe):
    return lambda logits, targets: logits.sum() * float("nan")

@hookimpl
def kagglekit_metric(competition):
    def score(truth, probabilities):
        return Score(1 / (len(truth) - 4), 0.0)  # fails for the four test images
    return Metric("odd", score, greater_is_better=True) if competition.metric == "odd" else None
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_folders(tmp_path / "d", test=0)


def write_test(data: Path, *classes: str) -> None:
    for name in classes:
        for number in range(4 // len(classes)):
            draw(data / "test" / name / f"{number}.jpg", 1)


def test_a_class_that_only_the_test_has_is_named_before_anything_is_trained(tmp_path: Path, data: Path) -> None:
    write_test(data, "ant", "bee", "wasp", "zebra")
    plugin = write_plugin(tmp_path, facts=KNOWN.format("log_loss"))
    done = ask("run", plugin, "--data", "d", *TINY)
    assert done.exit_code == 1
    assert "error: classes in test but not in train: wasp, zebra\n" in done.output
    assert not (tmp_path / "submissions").exists()
    assert (
        "warning: classes in test but not in train: wasp, zebra"
        in ask("look", plugin, "--no-pictures", "--data", "d").output
    )


def test_labels_of_test_images_that_the_competition_does_not_know_play_no_part(tmp_path: Path, data: Path) -> None:
    write_test(data, "ant", "wasp")
    done = ask("run", write_plugin(tmp_path), "--data", "d", *TINY)
    assert done.exit_code == 0, done.output
    assert len(csv_lines(tmp_path / "submissions")) == 5


@pytest.mark.parametrize("folds", [(), ("--folds", "3")])
def test_images_that_the_metric_cannot_score_are_refused_before_anything_is_trained(
    tmp_path: Path, data: Path, folds: tuple[str, ...]
) -> None:
    for number in range(2, 6):
        (data / "train" / "bee" / f"bee{number}.jpg").unlink()  # two are left: one of three folds has none
    if not folds:
        draw(data / "valid" / "ant" / "1.jpg", 0)
    call = "labels_from_folders(data / 'train', valid=data / 'valid')"
    done = ask(
        "run",
        write_plugin(tmp_path, facts="metric='roc_auc'", call=call),
        "--data",
        "d",
        *TINY,
        *folds,
        "--no-submission",
    )
    assert done.exit_code == 1
    whose = "the images that fold [123] holds out" if folds else "the valid images"
    assert re.search(f"error: {whose}: roc_auc needs images of two classes", done.output)
    assert not (tmp_path / "submissions").exists()


@pytest.mark.parametrize(
    ("metric", "message"), [("roc_auc", "roc_auc needs images of two classes"), ("odd", "division")]
)
def test_a_score_that_fails_at_the_end_is_a_warning_and_the_csv_is_written(
    tmp_path: Path, data: Path, metric: str, message: str
) -> None:
    write_test(data, "ant")
    plugin = write_plugin(tmp_path, facts=KNOWN.format(metric))
    Path(plugin).write_text(Path(plugin).read_text() + FAILING)
    done = ask("run", plugin, "--data", "d", *TINY)
    assert done.exit_code == 0, done.output
    assert f"warning: 4 predictions are not scored by {metric}: {message}" in done.output
    assert len(csv_lines(tmp_path / "submissions")) == 5
    info = json.loads(next((tmp_path / "submissions").glob("*/*/run.json")).read_text())
    assert info["status"] == "finished"
    assert "test_accuracy" in info["scores"][-1]
    assert f"test_{metric}" not in info["scores"][-1]
    assert ask("report", "latest").exit_code == 0
    assert ask("history").exit_code == 0


def test_resuming_is_not_advised_where_it_would_fail_again(tmp_path: Path, data: Path) -> None:
    write_test(data, "ant", "bee")
    plugin = write_plugin(tmp_path)
    Path(plugin).write_text(Path(plugin).read_text() + FAILING)
    by_gradient = ("--set", "stage.*.solver=gradient", "--set", "stage.*.precompute=false", "--set", "loss=bad")
    done = ask("run", plugin, "--data", "d", *TINY, *by_gradient)
    assert done.exit_code == 1, done.output
    assert "learning rate 2e-05\nhint: try a smaller rate" in done.output
    assert "resume" not in done.output
