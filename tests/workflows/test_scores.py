"""Folds, training on all images, repeats, blends and the features preset: whole runs of a tiny network."""

from __future__ import annotations

import io
import json
import shutil
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import layouts
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from layouts import NAMES, WRITERS
from plugin_site import Site
from rich.console import Console
from scored_runs import SNAPSHOTS, TINY, do_again, quiet, table, tiny_run

import kagglekit
from kagglekit import Run, UserError
from kagglekit.cli import cli
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.runs.lock import is_locked, locked
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UsageError
from kagglekit.tasks.single_label import SingleLabel
from kagglekit.types.competition import Competition
from kagglekit.types.ensemble import Member
from kagglekit.types.metric import Spread
from kagglekit.types.predictions import average, load_predictions
from kagglekit.workflows import folds as fold_runs
from kagglekit.workflows.blend import BlendRequest, blend
from kagglekit.workflows.repeats import spread, spread_of_metric, spreads, verdicts
from kagglekit.workflows.start import resume


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pets")
    layouts.write_pets(folder)
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


def trainval(data: Path) -> set[str]:
    return {line.split()[0] for line in (data / "annotations" / "trainval.txt").read_text().splitlines()}


@pytest.fixture(scope="module")
def folds(data, out) -> tuple[Run, str]:
    return tiny_run(data, out, {"folds": 3}, name="folds")


@pytest.fixture(scope="module")
def single(data, out) -> Run:
    return tiny_run(data, out, name="single")[0]


@pytest.fixture(scope="module")
def full(single, out) -> tuple[Run, str]:
    return do_again(single, out)


@pytest.mark.parametrize("name", [*NAMES, "shapes"])
def test_every_competition_has_a_features_preset_made_of_its_quick_one(name):
    hooks = Hooks(load(name))
    recipe, quick = hooks.recipe("features"), hooks.recipe("quick")
    assert (recipe.arch, recipe.sizes, recipe.clip) == (quick.arch, quick.sizes[-1:], quick.clip)
    assert [stage.precompute for stage in recipe.stages] == [True]
    assert not recipe.stages[0].by_gradient


@pytest.mark.parametrize("name", ["dogs-vs-cats", "flowers-102"])
def test_the_features_preset_learns_and_writes_a_submission(name, tmp_path):
    WRITERS[name](tmp_path / "data")
    run = kagglekit.run(
        name, data=tmp_path / "data", out=tmp_path, settings={**TINY, "stage.1.solver": "stack"}, preset="features",
        precision="fp32", display=Display(Console(file=io.StringIO())),
    )  # fmt: skip
    scores = run.info().scores
    assert [row["views"] for row in scores] == ["plain", "TTA", "mean, plain", "mean"]
    assert scores[-1]["valid_accuracy"][0] > 0.5
    assert run.submission.exists()


def test_every_training_image_is_predicted_by_a_model_that_never_saw_it(folds, data):
    run, said = folds
    parts = [run.fold(number) for number in (1, 2, 3)]
    held = [set(table(part).index) for part in parts]
    assert set.union(*held) == trainval(data)
    assert sum(map(len, held)) == len(trainval(data))
    for part, ids in zip(parts, held, strict=True):
        assert part.info().images == {"train": 24 - len(ids), "valid": len(ids), "test": 24}
        assert part.submission.exists()
    out_of_fold = table(run)
    assert set(out_of_fold.index) == trainval(data)
    for part in parts:
        assert out_of_fold.loc[table(part).index].equals(table(part))
    assert said.count("decoded 24 labelled images") <= 1  # none if another test has decoded the same images
    assert (said.count("\nrecipe: "), said.count("\nprediction: ")) == (1, 1)  # not once for each fold
    lines = [line for line in said.splitlines() if line.startswith("fold ")]
    assert len(lines) == 3
    for number, (line, part) in enumerate(zip(lines, parts, strict=True), 1):
        score = part.info().ensemble_scores["valid_accuracy"]
        assert line.startswith(
            f"fold {number} of 3: {24 - len(held[number - 1])} train, {len(held[number - 1])} valid; "
        )
        assert f"valid accuracy {score.value:.4f} ± {score.error:.4f}, " in line
    assert (said.count("\nmember "), said.count("epoch 1/"), said.count("\nsubmission: ")) == (1, 0, 1)


def test_test_predictions_are_averaged_over_folds(folds):
    run, _ = folds
    parts = [table(run.fold(number), split="test") for number in (1, 2, 3)]
    np.testing.assert_allclose(table(run, split="test"), average(parts), atol=1e-6)
    assert len(pd.read_csv(run.submission)) == 24
    row = run.info().scores[-1]
    assert row["valid_log_loss"][0] > 0
    assert "test_accuracy" in row


def test_folds_that_are_run_one_by_one_end_in_the_same_bytes(folds, data, out):
    whole, _ = folds
    part, said = tiny_run(data, out, {"folds": 3}, name="part", only_fold=2)
    assert part.info().status == "partial"
    assert not part.fold(1).folder.exists()
    assert "1 folds joined; still to run: 1, 3" in said
    for number in (1, 3):
        tiny_run(data, out, {"folds": 3}, only_fold=number, into=str(part.folder))
    assert part.info().status == "finished"
    assert part.submission.read_bytes() == whole.submission.read_bytes()
    before = part.fold(2).submission.stat().st_mtime_ns
    _, said = tiny_run(data, out, {"folds": 3}, into=str(part.folder))
    assert "fold 2 of 3 is finished" in said
    assert part.fold(2).submission.stat().st_mtime_ns == before


def test_what_processes_with_folds_of_one_run_share_is_locked_while_it_is_written_and_no_longer(
    data, tmp_path, monkeypatch
):
    held: list[tuple[str, bool]] = []
    real = {name: getattr(fold_runs, name) for name in ("run_fold", "join_folds", "leave_report")}

    def noted(name, folder_at):
        def call(*arguments, **named):
            held.append((name, is_locked(arguments[folder_at])))
            return real[name](*arguments, **named)

        monkeypatch.setattr(fold_runs, name, call)

    for name, place in (("run_fold", 3), ("join_folds", 1), ("leave_report", 0)):
        noted(name, place)
    run, _ = tiny_run(data, tmp_path, {"folds": 2}, only_fold=1)
    assert held == [("run_fold", False), ("join_folds", True), ("leave_report", True)]
    assert not is_locked(run)
    tiny_run(data, tmp_path, {"folds": 2}, only_fold=2, into=str(run.folder))
    assert run.info().status == "finished"
    assert not run.checkpoints.exists()


@pytest.mark.slow
def test_if_another_process_joins_the_folds_the_message_says_how_to_finish(data, tmp_path, monkeypatch):
    monkeypatch.setattr(fold_runs, "JOINING", 0.3)
    real = fold_runs.run_fold
    other: list[AbstractContextManager[None]] = []

    def run_fold(plan, fold_numbers, number, folder, display):
        real(plan, fold_numbers, number, folder, display)
        other.append(locked(folder))
        other[0].__enter__()

    monkeypatch.setattr(fold_runs, "run_fold", run_fold)
    words = r"another process .number(.|\n)*the folds are kept; .*kagglekit resume"
    with pytest.raises(UserError, match=words) as caught:
        tiny_run(data, tmp_path, {"folds": 2}, only_fold=1)
    other[0].__exit__(None, None, None)
    monkeypatch.undo()
    run = Run(Path(str(caught.value.hint).rpartition("resume ")[2]))
    assert run.fold(1).info().status == "finished"
    resume(run, quiet())
    assert run.info().folds == (1,)
    assert run.info().status == "partial"


def test_a_lock_is_waited_for_also_while_its_folder_is_removed(tmp_path):
    run = Run(tmp_path)
    first = locked(run)
    first.__enter__()

    def finish() -> None:
        run.remove_checkpoints()
        first.__exit__(None, None, None)

    timer = threading.Timer(0.5, finish)
    timer.start()
    with locked(run, wait=30):
        assert is_locked(run)
    timer.join()


def test_folds_of_another_recipe_are_not_mixed(folds, data, out):
    with pytest.raises(UserError, match="have a different recipe"):
        tiny_run(data, out, {"folds": 3, "seed": 5}, into=str(folds[0].folder))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"only_fold": 1}, "add --folds"),
        ({"into": "latest"}, "add --folds"),
        ({"settings": {"folds": 3}, "only_fold": 4}, "the folds are 1 to 3"),
        ({"settings": {"folds": 1}}, "folds=1 leaves no training images"),
        ({"settings": {"folds": 3}, "into": "latest", "repeats": 2}, "cannot be combined with --repeats"),
    ],
)
def test_options_of_folds_that_do_not_fit_are_reported(options, words, data, tmp_path):
    with pytest.raises(UsageError, match=words):
        tiny_run(data, tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_fold_that_fails_leaves_the_others_and_is_reported(data, tmp_path):
    with pytest.raises(UserError, match="no longer finite"):
        tiny_run(
            data, tmp_path, {**SNAPSHOTS, "folds": 2, "stage.3.lr": 1e30, "stage.3.optimizer": "sgd"}, preset="quick"
        )
    (folder,) = (tmp_path / "pets").iterdir()
    assert Run(folder).info().status == "failed"
    assert Run(folder).fold(1).info().status == "failed"


def test_ensembles_of_snapshots_over_folds_are_compared_by_honest_scores(data, out):
    run, said = tiny_run(
        data, out, {**SNAPSHOTS, "folds": 2, "ensemble": "hill-climbing", "tta": 1}, preset="quick", name="snaps"
    )
    rows = {(row["member"], row["views"]): row for row in run.info().scores}
    assert rows["ensemble", "hill-climbing, plain"]["valid_log_loss"][0] == pytest.approx(plain_loss(run), abs=1e-5)
    assert rows["ensemble", "hill-climbing, plain"] != rows["ensemble", "hill-climbing"]
    assert {views for member, views in rows if member == "candidate"} >= {"mean", "rank", "stacking", "temperature"}
    assert set(run.info().fitted["weights"]) == {"all-2-cycle1", "all-2-cycle2"}
    assert set(table(run).index) == trainval(data)
    assert "hill-climbing" in said
    full, _ = do_again(run, out)  # gradient stages, with nothing to validate on; its weights are those found above
    weights = run.info().fitted["weights"]
    mixed = average([table(full, name, "test") for name in weights], list(weights.values()))
    np.testing.assert_allclose(table(full, split="test"), mixed, atol=1e-6)
    assert [row["epoch"] for row in full.log_rows()] == [row["epoch"] for row in run.fold(1).log_rows()]


def plain_loss(run: Run) -> float:
    """Fit the ensemble of a run of folds to its plain predictions by hand; return its log loss."""
    members = []
    for each in run.info().members:
        tables = [
            [load_predictions(run.fold(k).plain_predictions(each.name, split)) for k in run.info().folds]
            for split in ("valid", "test")
        ]
        members.append(Member(valid=pd.concat(tables[0]), test=average(tables[1]), run=run.name, **vars(each)))
    labels = pd.Series({row["id"]: row["label"] for row in run.valid()})
    task = SingleLabel(tuple(members[0].valid.columns))
    made = Hooks(load("pets")).ensemble(members, labels.loc[members[0].valid.index], run.recipe(), task).valid
    return float(np.mean([-np.log(made.loc[image, label]) for image, label in labels.items()]))


def test_the_ensemble_is_scored_with_and_without_augmentation(single, folds):
    for run in (single, folds[0]):
        rows = {(row["member"], row["views"]): row for row in run.info().scores}
        for views, alone in (("mean, plain", "plain"), ("mean", "TTA")):  # of one member the mean is that member
            for key, value in rows["ensemble", views].items():
                assert key in ("member", "views") or value == rows["final", alone][key]
        assert list(rows)[-2:] == [("ensemble", "mean, plain"), ("ensemble", "mean")]


def test_full_trains_on_every_labelled_image_and_knows_no_valid_score(single, full, out):
    full, said = full
    assert full.info().images == {"train": 24, "test": 24}
    assert full.info().full_of == single.name
    assert "its own valid score is unknown" in said
    assert all("valid_log_loss" not in row for row in full.info().scores)
    assert [row["views"] for row in full.info().scores] == ["plain", "TTA", "mean"]
    assert not full.predictions("ensemble", "valid").exists()
    assert full.submission.exists()
    assert not table(full, split="test").equals(table(single, split="test"))
    assert {row["valid_loss"] for row in full.log_rows()} == {"nan"}
    with pytest.raises(UserError, match="was already trained on all labelled images"):
        do_again(full, out)


def test_full_takes_the_ensemble_as_it_was_fitted_on_the_finished_run(data, out):
    run, _ = tiny_run(data, out, {"ensemble": "temperature", "clip": 0.01}, name="warm")
    full, _ = do_again(run, out)
    assert full.info().fitted == run.info().fitted
    assert full.recipe().clip == 0.01


def test_full_refuses_another_recipe(single, out):
    with pytest.raises(UsageError, match=r"remove --preset, --set"):
        kagglekit.run("", out=out, full=str(single.folder), preset="quick", settings={"seed": 1})


def test_repeats_hold_out_the_same_images_and_say_how_far_scores_scatter(data, tmp_path):
    run, said = tiny_run(data, tmp_path, {**SNAPSHOTS, "stage.4.cycles": 1}, preset="quick", repeats=2, epochs=1)
    first, second = sorted((tmp_path / "pets").iterdir())
    assert run.folder == second
    assert (Run(first).recipe().seed, Run(second).recipe().seed) == (0, 1)
    assert set(table(Run(first)).index) == set(table(Run(second)).index)
    assert not table(Run(first)).equals(table(Run(second)))
    repeats = Run(first).info().repeats
    assert repeats.runs == (first.name, second.name)
    means = [Run(folder).info().scores[-1]["valid_log_loss"][0] for folder in (first, second)]
    assert repeats.scores[0].mean == pytest.approx(np.mean(means), abs=1e-5)
    assert repeats.scores[0].deviation == pytest.approx(np.std(means, ddof=1), abs=1e-5)
    assert "differ significantly" in said


def test_the_spread_over_seeds_is_the_one_computed_by_hand():
    one = spread("log_loss", np.array([[1.0, 3.0], [2.0, 6.0]]))  # means 2 and 4; differences -1 and -3
    assert one.mean == 3
    assert one.deviation == pytest.approx(np.sqrt(2))
    assert one.paired_error == pytest.approx(1 / np.sqrt(2))
    assert one.smallest == pytest.approx(4)  # 2 sqrt(2) sqrt(2)
    other = spread("accuracy", np.array([[1.0, 0.0], [0.0, 1.0]]))  # the seeds agree, the images do not
    assert (other.deviation, other.paired_error, other.smallest) == pytest.approx((0, 1 / np.sqrt(2), np.sqrt(2)))
    words = list(verdicts([one, other, Spread("accuracy", 1, 0, 0, 0)], 2, 3))
    assert "known to about 50 %" in words[0]
    assert "differ by 4.0000; the seeds are the limit" in words[1]
    assert "differ by 1.4142; the images are the limit" in words[2]
    assert "cannot distinguish recipes" in words[3]


def test_the_spread_of_any_metric_is_that_of_a_mean_where_it_is_one():
    metric = Hooks(load("pets")).metric(Competition(title="a", metric="accuracy"))
    rng = np.random.default_rng(3)
    truth, tables = rng.integers(0, 3, 40), rng.dirichlet(np.ones(3), (3, 40)).astype(np.float32)
    one = spread_of_metric(metric, truth, tables)  # fewer images than parts: each is left out by itself
    exact = spread("accuracy", (tables.argmax(axis=2) == truth).astype(float))
    assert (one.mean, one.deviation) == pytest.approx((exact.mean, exact.deviation))
    assert one.paired_error == pytest.approx(exact.paired_error * np.sqrt(40 / 39))
    assert one.smallest == pytest.approx(2 * max(np.sqrt(2) * one.deviation, one.paired_error))


def test_the_spread_of_a_curves_area_has_the_error_that_resampling_images_gives():
    metric = Hooks(load("pets")).metric(Competition(title="a", metric="roc_auc"))
    rng = np.random.default_rng(5)
    truth = (rng.uniform(size=400) < 0.3).astype(np.int64)
    scores = [1 / (1 + np.exp(-truth - rng.normal(size=400))) for _ in range(2)]
    tables = np.stack([np.stack([1 - p, p], axis=1) for p in scores]).astype(np.float32)
    drawn = []
    for _ in range(150):
        rows = rng.integers(0, 400, 400)
        ups, downs = truth[rows] == 1, truth[rows] == 0
        areas = [(p[rows][ups][:, None] > p[rows][downs]).mean() for p in scores]
        drawn.append(areas[0] - areas[1])
    assert spread_of_metric(metric, truth, tables).paired_error == pytest.approx(np.std(drawn), rel=0.35)


def test_a_part_without_which_a_metric_cannot_be_said_is_left_out():
    metric = Hooks(load("pets")).metric(Competition(title="a", metric="roc_auc"))
    truth = np.array([1, 0, 0, 0, 0])  # without the first image there is one class only
    tables = np.random.default_rng(0).dirichlet(np.ones(2), (2, 5)).astype(np.float32)
    assert np.isfinite(spread_of_metric(metric, truth, tables).smallest)


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
def test_repeats_show_the_competitions_own_metric(metric, single):
    plan = SimpleNamespace(
        competition=Competition(title="a", metric=metric),
        hooks=Hooks(load("pets")),
        task=SingleLabel(single.info().classes),
        recipe=single.recipe(),
        table=labelled(single),
        data="there",
    )
    found = spreads(plan, [single, single])
    assert [each.name for each in found] == list(dict.fromkeys(["log_loss", "accuracy", metric]))
    assert any("macro F1: " in line for line in verdicts(found, 6, 2)) == (metric == "macro_f1")


def labelled(run: Run) -> pd.DataFrame:
    """Return the image table of a run's valid images."""
    return pd.DataFrame(run.valid()).assign(split="valid")


def test_a_blend_is_a_run_of_its_own_with_a_checked_submission(single, data, out):
    other, _ = tiny_run(data, out, {"seed": 3, "split_seed": 0}, name="other")
    made = blend(BlendRequest([single.name, other.name], "mean", out=out), quiet())
    np.testing.assert_allclose(
        table(made, split="test"), average([table(single, split="test"), table(other, split="test")]), atol=1e-6
    )
    assert made.info().blend_of == (single.name, other.name)
    assert made.info().status == "finished"
    assert len(pd.read_csv(made.submission)) == 24
    names = [row["member"] for row in made.info().scores]
    assert names[:2] == [f"{single.name}/final", f"{other.name}/final"]
    assert names[-1] == "ensemble"
    again = blend(BlendRequest([made.name, other.name], "hill-climbing", out=out), quiet())
    assert set(again.info().fitted["weights"]) == {f"{made.name}/ensemble", f"{other.name}/final"}
    with pytest.raises(UserError, match="is a blend, which trains nothing"):
        do_again(made, out)


def test_runs_that_do_not_fit_are_not_blended(single, folds, full, data, out, tmp_path):
    layouts.write_dog_breed(tmp_path / "dogs")
    dogs = kagglekit.run(
        "dog-breed", data=tmp_path / "dogs", out=tmp_path, settings=TINY, preset="features", precision="fp32",
        display=quiet(),
    )  # fmt: skip
    partial, _ = tiny_run(data, out, {"folds": 2}, name="half", only_fold=1)
    limited, _ = tiny_run(data, out, {"limit": 16}, name="limited")
    for other, words in [
        (single, "at least two different runs"),
        (folds[0], r"the valid images of \S+ differ from(.|\n)*split_seed"),
        (limited, r"the valid images of \S+ differ from"),
        (dogs, "is a run of dog-breed, .* of pets"),
        (partial, "is not finished .status: partial"),
        (full[0], "has no valid predictions(.|\n)*--ensemble mean"),
    ]:
        before = set((out / "pets").iterdir())
        with pytest.raises(UserError, match=words):
            blend(BlendRequest([str(single.folder), str(other.folder)], out=out), quiet())
        assert set((out / "pets").iterdir()) == before


def test_runs_on_all_images_are_blended_by_an_ensemble_that_needs_no_fit(single, full, out):
    first, second = full[0], do_again(single, out)[0]
    made = blend(BlendRequest([first.name, second.name], "mean", out=out), quiet())
    assert made.submission.read_bytes() == first.submission.read_bytes()
    with pytest.raises(UserError, match="this ensemble needs valid predictions"):
        blend(BlendRequest([first.name, second.name], "weighted", out=out), quiet())


def test_the_command_line_blends_and_does_a_run_again_on_all_images(single, data, out, tmp_path):
    tiny_run(data, out, {"seed": 7, "split_seed": 0}, name="seventh")
    other = max((out / "pets").glob("*-seventh"))
    ask = CliRunner().invoke
    done = ask(cli, ["blend", single.name, other.name, "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    made = Run(Path(json.loads(done.stdout)["run"]))
    assert made.info().blend_of == (single.name, other.name)
    assert made.recipe().ensemble == "hill-climbing"
    done = ask(cli, ["run", "--full", single.name, "--out", str(out), "--precision", "fp32", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["full_of"] == single.name


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run"], 2, "no competition given"),
        (["recipe"], 2, "no competition given"),
        (["run", "pets", "--only-fold", "2"], 2, "add --folds"),
        (["run", "pets", "--folds", "1"], 2, "--folds"),
        (["run", "--full", "latest", "--arch", "resnet18", "--stages", "2"], 2, "remove --set, --arch"),
        (["run", "--full", "nothing"], 1, "no runs in"),
        (["blend", "nothing", "more"], 1, "no runs in"),
        (["blend"], 2, "missing argument"),
    ],
)
def test_wrong_input_is_reported_in_one_message(words, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == code
    assert [line for line in done.stdout.splitlines() if ": loading " not in line] == []
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


BROKEN = """
import kagglekit_pets as pets

@hookimpl
def kagglekit_provides():
    return Provides(ensemble=["broken"])

@hookimpl
def kagglekit_competition():
    return pets.kagglekit_competition()

@hookimpl
def kagglekit_labels(data):
    return pets.kagglekit_labels(data)

@hookimpl
def kagglekit_recipe(preset):
    return pets.kagglekit_recipe(preset)

@hookimpl
def kagglekit_ensemble(members, recipe):
    if recipe.ensemble == "broken":
        raise ValueError("no")
"""


def test_an_ensemble_that_nobody_chose_may_fail(data, tmp_path):
    said = io.StringIO()
    run = kagglekit.run(
        Site(tmp_path).write("mine.py", BROKEN), data=data, out=tmp_path / "out", preset="quick", precision="fp32",
        settings={**TINY, **SNAPSHOTS, "folds": 2}, stages="3-4", display=Display(Console(file=said, width=240)),
    )  # fmt: skip
    assert "the ensemble 'broken' is left out of the comparison" in said.getvalue()
    assert run.submission.exists()


def test_no_run_starts_from_weights_that_have_seen_its_valid_images(full, folds, data, out):
    for base, words in ((full[0], "was trained on all labelled images"), (folds[0].fold(1), "is one fold of a run")):
        with pytest.raises(UserError, match=words):
            tiny_run(data, out, {"folds": base.recipe().folds}, from_run=str(base.folder))


@pytest.fixture
def fewer(data, tmp_path) -> Path:
    """The same data without one labelled image."""
    folder = tmp_path / "fewer"
    shutil.copytree(data, folder)
    lines = (folder / "annotations" / "trainval.txt").read_text().splitlines(keepends=True)
    (folder / "annotations" / "trainval.txt").write_text("".join(lines[:-1]))
    return folder


def test_no_run_starts_from_one_on_other_data(single, fewer, out):
    with pytest.raises(UserError, match="was trained on images, labels or splits that differ"):
        tiny_run(fewer, out, from_run=str(single.folder))


def test_folds_of_other_data_are_not_mixed(folds, fewer, out):
    before = folds[0].info()
    with pytest.raises(UserError, match="the images, labels or splits of the folds in"):
        tiny_run(fewer, out, {"folds": 3}, only_fold=1, into=str(folds[0].folder))
    assert folds[0].info() == before


def test_full_is_not_repeated(single, out):
    with pytest.raises(UsageError, match="remove --repeats"):
        kagglekit.run("", out=out, full=str(single.folder), repeats=2)


def test_full_gives_the_ensemble_the_labels_of_what_it_is_fitted_on(single, out, monkeypatch):
    given, plain = [], Hooks.ensemble
    monkeypatch.setattr(
        Hooks,
        "ensemble",
        lambda self, members, labels, *others: given.append((members, labels)) or plain(self, members, labels, *others),
    )
    do_again(single, out)
    for members, labels in given:
        assert list(labels.index) == list(members[0].valid.index)
    assert given


def test_two_runs_of_one_name_are_not_blended(single, out, tmp_path):
    shutil.copytree(single.folder, tmp_path / single.name)
    with pytest.raises(UserError, match="two of the runs have the same name"):
        blend(BlendRequest([str(single.folder), str(tmp_path / single.name)], out=out), quiet())
