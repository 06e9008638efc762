"""Runs on other targets than one label an image, through every kind of workflow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_competitions import TINY, ask
from tiny_targets import KINDS, METRICS, write_plugin, write_tints

from kagglekit import Run


def run(plugin: str, *more: object) -> Run:
    """Run the plugin; return the newest run."""
    done = ask("run", plugin, "--data", "d", *TINY, *more)
    assert done.exit_code == 0, done.output
    return newest()


def newest() -> Run:
    return Run(sorted(Path("submissions").glob("*/*/submission.csv"), key=lambda f: f.stat().st_mtime_ns)[-1].parent)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_learns_the_targets_and_writes_what_the_metric_needs(place: Path, kind: str) -> None:
    answers = write_tints(place / "d", kind)
    made = run(write_plugin(place, kind))
    rows = pd.read_csv(made.submission, dtype={"id": str}).set_index("id")
    assert list(rows.index) == list(answers.index)
    score = made.info().ensemble_scores[f"valid_{METRICS[kind]}"].value
    if kind == "labels":
        found = [set(str(cell).split()) - {"nan"} for cell in rows["label"]]
        truth = [{name for name in answers if row[name]} for _, row in answers.iterrows()]
        assert np.mean([a == b for a, b in zip(found, truth, strict=True)]) > 0.5
        assert score > 0.7
        assert made.info().decision is not None
    elif kind == "grade":
        assert set(rows["label"]) <= {0, 1, 2, 3}
        assert np.corrcoef(rows["label"], answers["grade"].astype(float))[0, 1] > 0.7
        assert score > 0.5
    elif kind == "numbers":
        assert list(rows.columns) == ["light", "warmth"]
        assert np.corrcoef(rows["light"], answers["light"].astype(float))[0, 1] > 0.5
    else:
        assert list(rows.columns) == ["hue=cold", "hue=warm", "light"]
        assert np.mean((rows["hue=warm"] > 0.5) == (answers["hue"] == "warm")) > 0.6
        assert rows[["hue=cold", "hue=warm"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", [pytest.param("labels", marks=pytest.mark.slow), "several"])
def test_gradient_stages_folds_full_blend_and_predictions(place: Path, kind: str) -> None:
    write_tints(place / "d", kind)
    plugin = write_plugin(place, kind)
    gradient = ("--set", "stage.2.mixup=0.4", "--set", "stage.2.oversample=0.5", "--set", "stage.3.ema=0.9")
    one = run(plugin, "--stages", "2-3", *gradient, "--set", "stage.3.keep=best", "--set", "clip=0.01")
    folds = run(plugin, "--folds", "2", "--set", "ensemble=hill-climbing")
    again = run(plugin, "--folds", "2", "--seed", "1", "--set", "split_seed=0")
    assert folds.info().folds == (1, 2)
    assert f"valid_{METRICS[kind]}" in folds.info().ensemble_scores
    full = ask("run", plugin, "--data", "d", "--full", folds.folder, "--precision", "fp32", "--device", "cpu")
    assert full.exit_code == 0, full.output
    blended = ask("blend", folds.folder, again.folder, "--ensemble", "mean")
    assert blended.exit_code == 0, blended.output
    for made in (one, folds):
        written = ask("predict", made.folder, "--data", "d", "--submission", "again.csv", "--device", "cpu")
        assert written.exit_code == 0, written.output
        same = pd.read_csv("again.csv", dtype={"id": str}).set_index("id")
        own = pd.read_csv(made.submission, dtype={"id": str}).set_index("id").loc[same.index]
        for column in own:
            if pd.api.types.is_numeric_dtype(own[column]):
                assert same[column].to_numpy() == pytest.approx(own[column].to_numpy(), abs=0.02)
            else:
                assert same[column].tolist() == own[column].tolist()


@pytest.mark.parametrize("kind", ["labels", "numbers"])
def test_check_look_and_dry_run_understand_the_targets(place: Path, kind: str) -> None:
    write_tints(place / "d", kind)
    plugin = write_plugin(place, kind)
    for arguments in (
        ("check", plugin, "--data", "d"),
        ("check", plugin),
        ("run", plugin, "--data", "d", *TINY, "--dry-run"),
        ("look", plugin, "--data", "d"),
    ):
        done = ask(*arguments)
        assert done.exit_code == 0, done.output


def test_images_of_one_row_are_kept_together_and_combined(place: Path) -> None:
    write_tints(place / "d", "labels", n=48, test=12)
    table = pd.read_csv(place / "d" / "images.csv", dtype={"id": str})
    table["row"] = [f"patient{number // 2}" for number in range(len(table))]
    first = table.groupby("row")[["red"]].transform("first")  # a row has one label
    table.assign(label=first["red"].map({0: "0", 1: "1"})).drop(columns=["red", "green", "blue"]).to_csv(
        place / "d" / "images.csv", index=False
    )
    facts = "metric='probabilistic_f1', positive='1', rows='max'"
    made = run(write_plugin(place, "labels", lambda _: facts))
    rows = pd.read_csv(made.submission)
    assert rows["id"].tolist() == [f"patient{number}" for number in range(24, 30)]
    images = pd.read_csv(place / "d" / "images.csv", dtype={"id": str})
    chances = pd.read_csv(made.submission).set_index("id").iloc[:, -1]
    assert chances.between(0, 1).all()
    valid = {row["id"] for row in made.valid()}
    halves = images[images["id"].isin(valid)].groupby("row").size()
    assert (halves == 2).all()  # both images of a row are held out


@pytest.mark.parametrize("form", ["columns", "cell", "long"])
def test_the_sample_decides_the_form_of_several_labels(place: Path, form: str) -> None:
    answers = write_tints(place / "d", "labels")
    ids, names = list(answers.index), ("blue", "red", "green")
    lines = {
        "columns": ["id,blue,red,green", *(f"{image},0.5,0.5,0.5" for image in ids)],
        "cell": ["id,tints", *(f"{image},red" for image in ids)],
        "long": ["row,value", *(f"{image}_{name},0" for image in ids for name in names)],
    }[form]
    (place / "d" / "sample_submission.csv").write_text("\n".join(lines) + "\n")
    metric = "sets_f1" if form == "cell" else "roc_auc"
    made = run(write_plugin(place, "labels", lambda facts: facts.replace("sets_f1", metric)))
    rows = pd.read_csv(made.submission, dtype={"id": str})
    assert rows.iloc[:, 0].tolist() == [line.split(",")[0] for line in lines[1:]]
    assert ",".join(rows.columns) == lines[0]
    if form == "columns":
        right = (rows.set_index("id")[["red"]] > 0.5).to_numpy() == answers[["red"]].astype(bool).to_numpy()
        assert right.mean() > 0.7
    if form == "long":
        reds = rows[rows["row"].str.endswith("_red")]["value"].to_numpy()
        assert ((reds > 0.5) == answers["red"].astype(bool).to_numpy()).mean() > 0.7


def test_labels_in_a_cell_under_a_metric_of_probabilities_are_refused(place: Path) -> None:
    answers = write_tints(place / "d", "labels")
    (place / "d" / "sample_submission.csv").write_text("id,tints\n" + "".join(f"{i},red\n" for i in answers.index))
    plugin = write_plugin(place, "labels", lambda facts: facts.replace("sets_f1", "roc_auc"))
    done = ask("run", plugin, "--data", "d", *TINY)
    assert done.exit_code == 1
    assert "roc_auc is computed from probabilities, but the sample submission has one column, 'tints'" in done.output
    assert not list(place.rglob("log.csv"))


def test_unknown_labels_count_for_nothing(place: Path) -> None:
    write_tints(place / "d", "labels")
    table = pd.read_csv(place / "d" / "images.csv", dtype={"id": str})
    table.loc[table.index[:40:5], "green"] = None
    table.to_csv(place / "d" / "images.csv", index=False)
    made = run(write_plugin(place, "labels"), "--stages", "1-3")
    assert all(np.isfinite(row["train_loss"]) for row in pd.read_csv(made.log_file).to_dict("records"))
    records = [json.loads(row["label"]) for row in made.valid()]
    assert any(record.get("green", 0) is None for record in records)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda table: table.drop(columns="row"),
            "Competition.rows is 'max', but images of the image table have no row",
        ),
        (lambda table: table.assign(group=range(len(table))), "images of one row are in several groups: patient0"),
        (
            lambda table: table.assign(label=[0, 1] * (len(table) // 2)),
            "images of one row have several labels: patient0",
        ),
    ],
)
def test_rows_that_cannot_be_combined_are_refused(place: Path, change, message: str) -> None:
    write_tints(place / "d", "labels")
    table = pd.read_csv(place / "d" / "images.csv", dtype={"id": str}).drop(columns=["red", "green", "blue"])
    table = table.assign(row=[f"patient{number // 2}" for number in range(len(table))])
    table["label"] = [number // 2 % 2 for number in range(len(table))]
    change(table).to_csv(place / "d" / "images.csv", index=False)
    plugin = write_plugin(place, "labels", lambda _: "metric='probabilistic_f1', positive='1', rows='max'")
    done = ask("run", plugin, "--data", "d", *TINY)
    assert done.exit_code == 1
    assert f"error: {message}" in done.output


def test_a_column_row_is_metadata_where_a_row_of_the_csv_has_one_image(place: Path) -> None:
    write_tints(place / "d", "labels")
    table = pd.read_csv(place / "d" / "images.csv", dtype={"id": str})
    table.assign(row=1).to_csv(place / "d" / "images.csv", index=False)
    assert len(pd.read_csv(run(write_plugin(place, "labels")).submission)) == 12


def test_folds_take_a_label_of_a_single_image(place: Path) -> None:
    write_tints(place / "d", "labels")
    table = pd.read_csv(place / "d" / "images.csv", dtype={"id": str})
    table["blue"] = [1] + [0] * 47 + [None] * 12
    table.to_csv(place / "d" / "images.csv", index=False)
    made = run(write_plugin(place, "labels"), "--folds", "2")
    assert made.info().status == "finished"


@pytest.mark.parametrize(
    ("kind", "metric", "decision"), [("labels", "roc_auc", "thresholds"), ("grade", "rmse", "cuts")]
)
def test_a_decision_that_contradicts_the_metric_is_refused(place: Path, kind: str, metric: str, decision: str) -> None:
    write_tints(place / "d", kind)
    plugin = write_plugin(place, kind, lambda facts: facts.replace(METRICS[kind], metric))
    done = ask("run", plugin, "--data", "d", *TINY, "--set", f"decision={decision}")
    assert done.exit_code == 1
    assert f"the decision {decision} gives" in done.output
    assert not list(place.rglob("log.csv"))


def test_grades_begin_with_the_lowest_label_and_unknown_targets_are_counted(place: Path) -> None:
    write_tints(place / "d", "grade")
    table = pd.read_csv(place / "d" / "images.csv", dtype={"id": str})
    table.assign(grade=table["grade"] + 1).to_csv(place / "d" / "images.csv", index=False)
    made = run(write_plugin(place, "grade"))
    assert made.info().task_state["bounds"] == [1, 4]
    assert pd.read_csv(made.submission)["label"].between(1, 4).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_of_heads_predicts_every_kind_of_target(place: Path, kind: str) -> None:
    write_tints(place / "d", kind)
    stack = ("--stages", "1", "--set", "stage.1.solver=stack", "--set", "stage.1.stack_sizes=[40,48]")
    made = run(write_plugin(place, kind), *stack)
    assert [entry.name for entry in made.info().members] == ["head-cycle1"]
    files = sorted((place / "d" / "test").glob("*.png"))
    done = ask("predict", made.folder, *files, "--tta", "--json")
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)) == len(files)


def test_a_last_stage_without_snapshots_predicts_beside_the_stack(place: Path) -> None:
    write_tints(place / "d", "numbers")
    made = run(write_plugin(place, "numbers"), "--stages", "1-2", "--set", "stage.1.solver=stack")
    assert [entry.name for entry in made.info().members] == ["head-cycle1", "final"]
    files = sorted((place / "d" / "test").glob("*.png"))
    assert ask("predict", made.folder, *files, "--json").exit_code == 0
