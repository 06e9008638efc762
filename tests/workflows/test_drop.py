"""Labelled images left out of training: ``--drop``, and the CSV that the report exports for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tiny_competitions import TINY, ask, write_plugin, write_table

from kagglekit import Run
from kagglekit.planning.identity import request_of
from kagglekit.runs.lookup import all_runs
from kagglekit.types.predictions import load_predictions


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drop")
    write_table(folder / "data", n=10)
    write_plugin(folder, call=HELD_OUT)
    return folder


HELD_OUT = (
    "(lambda table: table.assign(split=table['split'].where(~table['id'].str.endswith(('_0', '_9')), 'valid')))"
    "(labels_from_csv(data / 'labels.csv', images=data / 'train', suffix='.jpg', test=data / 'test'))"
)  # a split that does not depend on labels


PLAIN = ("--set", "finish=plain", "--set", "ensemble=mean")  # others choose by the valid images


def started(place: Path, out: str, *options: object) -> tuple[Run, str]:
    """Run the tiny competition; return the run and what was printed."""
    given = ("--data", place / "data", "--out", place / out, *TINY, *PLAIN, *options)
    done = ask("run", place / "tiny.py", *given)
    assert done.exit_code == 0, done.output
    return all_runs(place / out)[-1], " ".join(done.output.split())


def mislabelled(place: Path, *names: str) -> Path:
    """Draw the data again with the labels of some images swapped; return the new place."""
    copy = place / f"wrong-{len(names)}"
    write_table(copy / "data", n=10)
    rows = (copy / "data" / "labels.csv").read_text().splitlines()
    swapped = {"ant": "bee", "bee": "ant"}
    rows = [f"{i},{swapped[c]}" if i in names else f"{i},{c}" for i, c in (row.split(",") for row in rows)]
    (copy / "data" / "labels.csv").write_text("\n".join(rows) + "\n")
    write_plugin(copy, call=HELD_OUT)
    return copy


@pytest.fixture(scope="module")
def plain(place: Path) -> Run:
    return started(place, "plain")[0]


def test_a_dropped_image_is_not_trained_on_and_its_label_reaches_nothing(place, plain):
    train = ["im0_1", "im1_1"]
    drop = place / "drop.csv"
    drop.write_text("id\n" + "\n".join(train) + "\n")
    run, said = started(place, "dropped", "--drop", drop)
    assert "dropped 2 of 16 training images" in said
    info = json.loads(run.info_file.read_text())
    assert info["dropped"] == 2
    assert info["images"]["train"] == 14
    assert run.dropped() == train
    assert "dropped" not in json.loads(plain.info_file.read_text())
    wrong, _ = started(mislabelled(place, *train), "out", "--drop", drop)
    for split in ("valid", "test"):
        own, other = (load_predictions(each.predictions("ensemble", split)) for each in (run, wrong))
        assert own.equals(other)
        assert not own.equals(load_predictions(plain.predictions("ensemble", split)))


def test_a_valid_image_stays_valid(place, plain):
    ids = [row["id"] for row in plain.valid()]
    (place / "valid.csv").write_text(f"note,id\nodd,{ids[0]}\nodd,im0_1\n")
    run, said = started(place, "valid", "--drop", place / "valid.csv")
    assert "1 of the 2 ids are valid images, which stay valid" in said
    assert [row["id"] for row in run.valid()] == ids


@pytest.mark.slow
def test_in_folds_dropped_images_are_predicted_but_train_nothing(place):
    drop = place / "folds.csv"
    drop.write_text("id\nim0_1\nim1_2\n")
    options = ("--folds", 2, "--threads", 2, "--set", "stage.1.solver=stack")  # its heads learn from valid images, too
    run, said = started(place, "folds", "--drop", drop, *options)
    assert [run.fold(number).info().device for number in (1, 2)] == ["cpu (2 threads)"] * 2
    assert (request_of(run, run.info(), None, fresh=False).threads, run.fold(2).info().threads) == (2, 2)
    assert "dropped 1 of" in said or "dropped 2 of" in said
    assert json.loads(run.info_file.read_text())["dropped"] == 2
    assert len(load_predictions(run.predictions("ensemble", "valid"))) == 20
    other = place / "other-pixels"
    write_table(other / "data", n=10)
    write_plugin(other, call=HELD_OUT)
    for name in ("im0_1", "im1_2"):
        Image.new("RGB", (40, 36), "white").save(other / "data" / "train" / f"{name}.jpg")
    unlike = [started(other, f"folds-{len(more)}", *more, *options)[0] for more in (("--drop", drop), ())]
    tests = [load_predictions(each.predictions("ensemble", "test")) for each in (run, *unlike)]
    assert tests[0].equals(tests[1])
    assert not tests[0].equals(tests[2])
    refused = ask("run", place / "tiny.py", "--data", place / "data", "--out", place / "folds", *TINY, *PLAIN,
                  *options, "--into", run.folder)  # fmt: skip
    assert refused.exit_code == 1
    assert "were trained with other images dropped" in " ".join(refused.output.split())


def test_a_run_is_resumed_and_repeated_without_the_file(place, plain):
    drop = place / "gone.csv"
    drop.write_text("id\n" + "\n".join(f"im0_{n}" for n in range(4)) + "\n")
    run, _ = started(place, "again", "--drop", drop)
    drop.unlink()
    info = json.loads(run.info_file.read_text())
    began = ["kagglekit", "run", "tiny.py"]
    run.info_file.write_text(json.dumps({**info, "status": "interrupted", "command": began}))
    before = load_predictions(run.predictions("ensemble", "test"))
    done = ask("resume", run.folder)
    assert done.exit_code == 0, done.output
    assert load_predictions(run.predictions("ensemble", "test")).equals(before)
    assert json.loads(run.info_file.read_text())["command"] == began  # not that of resuming it
    done = ask("run", "--full", run.folder, "--out", place / "again", "--precision", "fp32")
    assert done.exit_code == 0, done.output
    assert "dropped 4 of 20 training images" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id\nim0_1\nnobody\n", "--drop: 1 of 2 ids are not labelled images of"),
        ("image\nim0_1\n", "no column id"),
        ("id\n", "has no ids"),
        ("id\n" + "\n".join(f"im0_{n}" for n in range(10)) + "\n", "--drop leaves no training image of ant"),
    ],
)
def test_files_that_cannot_be_meant_are_refused_before_anything_is_written(place, tmp_path, content, said):
    (tmp_path / "drop.csv").write_text(content)
    done = ask("run", place / "tiny.py", "--data", place / "data", "--out", tmp_path / "out", *TINY, "--drop",
               tmp_path / "drop.csv")  # fmt: skip
    assert done.exit_code == 1
    assert said in " ".join(done.output.split())
    assert not list((tmp_path / "out").glob("*/*")) if (tmp_path / "out").exists() else True


def test_the_report_exports_probable_label_errors_as_such_a_file(place, tmp_path):
    names = ("im0_3", "im1_7")
    wrong = mislabelled(place, *names)
    size = ("--size", 32, "--set", "tta=0", "--set", "stage.1.solver=regression", "--set", "pretrained=false")
    options = ("--data", wrong / "data", "--out", tmp_path, "--preset", "features", "--arch", "test_resnet", *size)
    done = ask("run", wrong / "tiny.py", *options, "--folds", 3, "--precision", "fp32")
    assert done.exit_code == 0, done.output
    run = all_runs(tmp_path)[-1]
    rows = run.label_errors_file.read_text().splitlines()
    assert rows[0] == "id,label,predicted,p_label,p_predicted"
    assert {row.split(",")[0] for row in rows[1:]} >= set(names)
    assert "label-errors.csv" in run.report.read_text()
    done = ask("run", wrong / "tiny.py", *options, "--precision", "fp32", "--drop", run.label_errors_file, "--dry-run")
    assert done.exit_code == 0, done.output
