"""What a run learns from a finished one: distillation, pseudo-labels, doubtful labels; and what must not reach it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from tiny_competitions import ask, write_plugin, write_table

from kagglekit import Run
from kagglekit.runs.lookup import all_runs
from kagglekit.types.predictions import load_predictions

TINY = (
    *("--arch", "test_resnet", "--set", "pretrained=false", "--size", "32", "--set", "tta=0", "--stages", "1-2"),
    *("--set", "stage.*.batch_size=8", "--preset", "quick", "--precision", "fp32", "--device", "cpu"),
    *("--set", "finish=plain", "--set", "ensemble=mean"),  # others choose by the labels of valid images
    *("--set", "stage.1.solver=regression"),  # heads of a stack that predict test images have seen the valid ones
)
SPLIT = (  # neither which images are valid nor what a test image is depends on a label
    "(lambda table: table.assign(split=table['split'].where(~table['id'].str.endswith(('_0', '_9')), 'valid')))"
    "(labels_from_csv(data / 'labels.csv', images=data / 'train', suffix='.jpg', test=data / 'test')"
    ".pipe(lambda t: t.assign(label=t['label'].where(t['split'] != 'test', t['id'].map(ANSWERS)))))"
)
VALID = tuple(f"im{kind}_{number}" for kind in (0, 1) for number in (0, 9))


def place_of(folder: Path, swapped: tuple[str, ...] = (), answers: str = "ant") -> Path:
    """Draw twenty labelled and four test images of two classes, some labels swapped, and their plugin."""
    write_table(folder / "data", n=10)
    rows = [row.split(",") for row in (folder / "data" / "labels.csv").read_text().splitlines()]
    other = {"ant": "bee", "bee": "ant"}
    rows = [[image, other.get(name, name) if image in swapped else name] for image, name in rows]
    (folder / "data" / "labels.csv").write_text("\n".join(map(",".join, rows)) + "\n")
    plugin = Path(write_plugin(folder, facts="metric='log_loss', known_test_labels=True", call=SPLIT))
    known = {f"t{number}": answers for number in range(4)}
    plugin.write_text(f"ANSWERS = {known!r}\n{plugin.read_text()}")
    return folder


def run_in(place: Path, name: str, *options: object) -> tuple[Run, str]:
    """Run the tiny competition; return the run and what was printed."""
    given = ("--data", place / "data", "--out", place / "out", "--name", name)
    done = ask("run", place / "tiny.py", *given, *TINY, *options)
    assert done.exit_code == 0, done.output
    return all_runs(place / "out")[-1], " ".join(done.output.split())


def refused(place: Path, *options: object) -> str:
    """Return why a run is refused, which leaves no new run behind."""
    before = all_runs(place / "out")
    done = ask("run", place / "tiny.py", "--data", place / "data", "--out", place / "out", *TINY, *options)
    assert done.exit_code in (1, 2), done.output
    assert all_runs(place / "out") == before
    return " ".join(done.output.split())


def taught(name: str, teacher: Run, **options: object) -> tuple[object, ...]:
    """Return the options of a run with targets."""
    given = {"targets": name, "teacher": teacher.folder, **{f"options.{key}": v for key, v in options.items()}}
    return tuple(part for key, value in given.items() for part in ("--set", f"{key}={value}"))


def table(run: Run, split: str = "test", member: str = "ensemble") -> pd.DataFrame:
    return load_predictions(run.predictions(member, split))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return place_of(tmp_path_factory.mktemp("taught"))


@pytest.fixture(scope="module")
def teacher(place: Path) -> Run:
    return run_in(place, "teacher")[0]


SURE = {"pseudo_confidence": 0}
TWO = (("distil", {}), ("pseudo", SURE))


@pytest.fixture(scope="module")
def students(place: Path, teacher: Run) -> dict[str, tuple[Run, str]]:
    return {name: run_in(place, name, *taught(name, teacher, **options)) for name, options in TWO}


def test_students_learn_from_the_teacher(teacher, students):
    said = {name: text for name, (_, text) in students.items()}
    assert "16 of 16 training images learn from" in said["distil"]
    assert "4 of 4 test images join with soft pseudo-labels from" in said["pseudo"]
    for run, _ in students.values():
        assert not table(run).equals(table(teacher))
        assert json.loads(run.info_file.read_text())["targets"] in run.report.read_text()
        assert [row["id"] for row in run.valid()] == [row["id"] for row in teacher.valid()]
        assert list(table(run).index) == list(table(teacher).index)
    images = {name: json.loads(run.info_file.read_text())["images"] for name, (run, _) in students.items()}
    assert [images[name].get("added", 0) for name, _ in TWO] == [0, 4]
    assert [images[name]["train"] for name, _ in TWO] == [16, 16]
    head = [run.log_rows()[0] for run in (teacher, students["pseudo"][0])]
    assert head[0]["valid_loss"] == head[1]["valid_loss"]  # found by regression, on labels alone


@pytest.mark.parametrize("leak", ["valid labels", "test answers"])
def test_neither_a_valid_images_label_nor_a_test_answer_reaches_a_student(leak, students, tmp_path):
    changed = place_of(tmp_path, *((VALID,) if leak == "valid labels" else ((), "bee")))
    other, _ = run_in(changed, "teacher")
    for name, options in TWO:
        run, before = run_in(changed, name, *taught(name, other, **options))[0], students[name][0]
        assert table(run).equals(table(before))
        assert table(run, "valid").equals(table(before, "valid"))
        scores = [json.loads(each.info_file.read_text())["scores"][-1] for each in (run, before)]
        key = "valid_log_loss" if leak == "valid labels" else "test_log_loss"
        assert scores[0][key] != scores[1][key]  # the change is one that scores see


def test_heads_of_a_teacher_that_have_seen_valid_images_teach_nothing(place, tmp_path):
    stack, tables = ("--set", "stage.1.solver=stack"), []
    for where in (place, place_of(tmp_path, VALID)):
        other, _ = run_in(where, "stacked", *stack)
        assert other.info().members[0].name == "head-cycle1"
        runs = [run_in(where, f"{name}-of-heads", *taught(name, other, **options))[0] for name, options in TWO]
        tables.append([table(other), *(table(run, split) for run in runs for split in ("valid", "test"))])
    same = [one.equals(changed) for one, changed in zip(*tables, strict=True)]
    assert same == [False, True, True, True, True]  # only the teacher's own test predictions know those labels


def test_a_training_images_label_does_reach_a_student(students, tmp_path):
    changed = place_of(tmp_path, ("im0_3",))
    other, _ = run_in(changed, "teacher")
    assert not table(run_in(changed, "distil", *taught("distil", other))[0]).equals(table(students["distil"][0]))


def test_a_teacher_that_was_trained_on_valid_images_is_refused(place, teacher):
    folds, _ = run_in(place, "folds", "--folds", 2)
    text = refused(place, *taught("distil", folds))
    assert "did not hold out" in text
    assert "of this run's 4 valid images" in text
    assert "did not hold out" in refused(place, *taught("pseudo", teacher, **SURE), "--folds", 2)


@pytest.mark.slow
def test_each_fold_learns_from_the_teachers_fold_that_held_out_the_same_images(place):
    folds, _ = run_in(place, "folds", "--folds", 2)
    student, said = run_in(place, "in-folds", *taught("pseudo", folds, **SURE), "--folds", 2)
    assert said.count("4 of 4 test images join") == 1  # said by the first fold
    alone = Run(student.folder / "fold-1")
    wrong = Run(folds.folder / "fold-2")
    for file in (wrong.folder / "predictions").glob("*-test.npz"):
        file.unlink()  # the first fold needs nothing of the other
    again, _ = run_in(place, "one", *taught("pseudo", folds, **SURE), "--folds", 2, "--only-fold", 1)
    assert table(Run(again.folder / "fold-1")).equals(table(alone))
    for file in (wrong.folder / "snapshots").iterdir():
        file.unlink()
    _, said = run_in(place, "distilled", *taught("distil", folds), "--folds", 2, "--only-fold", 1)
    assert "10 of 10 training images learn from" in said


def test_an_image_that_cannot_be_decoded_does_not_make_a_teacher_of_the_same_split_unsafe(tmp_path):
    place = place_of(tmp_path)
    (place / "data" / "train" / "im0_9.jpg").write_bytes(b"no image")
    before, _ = run_in(place, "teacher", "--skip-bad-images")
    assert len(before.valid()) == 3
    _, said = run_in(place, "distil", *taught("distil", before), "--skip-bad-images")
    assert "16 of 16 training images learn from" in said


def test_doubtful_labels_are_left_out_by_models_that_saw_no_valid_image(tmp_path):
    noisy = ("im0_4", "im1_5")
    place = place_of(tmp_path, noisy)
    single, _ = run_in(place, "single")
    assert "it repeats their labels" in refused(place, *taught("weights", single))
    folds, _ = run_in(place, "folds", "--folds", 4, "--drop", single.valid_file, "--stages", 1)
    run, said = run_in(place, "weights", *taught("weights", folds))
    assert "of 16 training images that" in said
    assert "confidently predicts otherwise left out" in said
    left = json.loads(run.info_file.read_text())["images"]["train"]
    assert 8 <= left <= 14
    lighter, said = run_in(place, "lighter", *taught("weights", folds, noise_weight=0.5))
    assert "given a weight of 0.5" in said
    assert json.loads(lighter.info_file.read_text())["images"]["train"] == 16
    assert not table(lighter).equals(table(run))


@pytest.mark.slow
def test_targets_work_with_resuming_all_images_blends_and_a_dry_run(place, teacher, students):
    student = students["pseudo"][0]
    info = json.loads(student.info_file.read_text())
    before = table(student)
    student.info_file.write_text(json.dumps({**info, "status": "interrupted"}))
    done = ask("resume", student.folder)
    assert done.exit_code == 0, done.output
    assert table(student).equals(before)
    done = ask("run", "--full", student.folder, "--out", place / "out", "--precision", "fp32", "--name", "full")
    assert done.exit_code == 0, done.output
    full = all_runs(place / "out")[-1]
    assert json.loads(full.info_file.read_text())["images"]["train"] == 20
    text = refused(place, *taught("distil", full))
    assert "did not hold out 4 of this run's 4 valid images" in text
    done = ask("blend", student.folder, students["distil"][0].folder, "--out", place / "out", "--ensemble", "mean")
    assert done.exit_code == 0, done.output
    mixed = all_runs(place / "out")[-1]
    _, said = run_in(place, "of-blend", *taught("distil", mixed))
    assert "16 of 16 training images learn" in said
    done = ask("run", place / "tiny.py", "--data", place / "data", "--out", place / "out", *TINY, "--dry-run",
               *taught("distil", teacher))  # fmt: skip
    assert done.exit_code == 0, done.output


def test_unsuitable_teachers_are_refused_before_anything_is_read(place, teacher, tmp_path):
    assert "targets=distil needs a teacher: --set teacher=RUN" in refused(place, "--set", "targets=distil")
    assert "needs targets: --set targets=distil" in refused(place, "--set", f"teacher={teacher.folder}")
    assert "unknown targets 'distill'" in refused(place, "--set", "targets=distill", "--set", "teacher=x")
    other = place_of(tmp_path / "other")
    (other / "tiny.py").rename(other / "large.py")
    done = ask(
        "run", other / "large.py", "--data", tmp_path / "other" / "data" / "test", *TINY, *taught("distil", teacher)
    )
    assert "is a run of tiny, not of large" in " ".join(done.output.split())  # not that there are no labels
    info = json.loads(teacher.info_file.read_text())
    copy = Run(tmp_path / "copy")
    copy.folder.mkdir()
    for file in (teacher.info_file, teacher.recipe_file):
        (copy.folder / file.name).write_text(file.read_text())
    copy.info_file.write_text(json.dumps({**info, "status": "failed"}))
    assert "is not finished (status: failed)" in refused(place, *taught("distil", copy))
    copy.info_file.write_text(json.dumps({**info, "classes": ["ant", "wasp"]}))
    assert "was trained on other classes" in refused(place, *taught("distil", copy))
