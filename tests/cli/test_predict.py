"""`kagglekit predict`: new images, and the test folder of a code competition, where there is no network."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import forks
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from command_line import surroundings
from PIL import Image

import kagglekit
from kagglekit import Run, SingleLabel, UserError
from kagglekit.cli import cli
from kagglekit.compute import memory
from kagglekit.prediction.answers import answer
from kagglekit.prediction.test_folder import find_test_images
from kagglekit.system.offline import offline

OFFLINE = """
import socket, sys
def refuse(*arguments, **options):
    raise SystemExit("a network was asked for")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from kagglekit.cli import cli
cli()
"""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path_factory.getbasetemp() / "predict-cache"))


def predict(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["predict", *map(str, arguments), "--device", "cpu"])


@pytest.fixture
def test_only(dogs, tmp_path) -> Path:
    """The test images and the sample, and nothing to train with."""
    shutil.copytree(dogs.data / "test", tmp_path / "hidden" / "test")
    shutil.copy(dogs.data / "sample_submission.csv", tmp_path / "hidden")
    return tmp_path / "hidden"


def test_predicting_leaves_no_freed_memory_kept(dogs, monkeypatch):
    kept, real = [], memory.keep_freed_memory
    monkeypatch.setattr("kagglekit.compute.device.keep_freed_memory", lambda: kept.append(1) or real())
    kagglekit.predict(dogs.run, sorted((dogs.data / "test").glob("*.jpg"))[:2], device="cpu")
    assert kept
    assert not memory._keeping


def test_a_folder_and_a_file_are_predicted_as_a_table(dogs):
    files = sorted((dogs.data / "test").glob("*.jpg"))
    done = predict(dogs.run.folder, dogs.data / "test")
    assert done.exit_code == 0, done.output
    table = kagglekit.predict(dogs.run, files, device="cpu")
    said, *lines = done.stdout.splitlines()
    assert said == f"predicting with {dogs.run.name}, a run of dog-breed (Dog Breed Identification)"
    assert lines[0].split() == ["image", "class", "probability", "next"]
    assert [line.split()[:3] for line in lines[1:]] == [
        [str(file), row.idxmax(), f"{row.max():.4f}"] for file, (_, row) in zip(files, table.iterrows(), strict=True)
    ]
    best = table.iloc[0].sort_values(ascending=False, kind="stable")
    assert lines[1].endswith(", ".join(f"{name} {p:.4f}" for name, p in best.iloc[1:5].items()))
    only = predict(dogs.run.folder, *files[:2], "--top", 1).stdout.splitlines()[1:]
    assert [line.split() for line in only] == [line.split()[:3] for line in lines[:3]]


def test_the_best_classes_of_one_image_stand_below_each_other(dogs):
    file = min((dogs.data / "test").glob("*.jpg"))
    best = kagglekit.predict(dogs.run, file, device="cpu").iloc[0].sort_values(ascending=False, kind="stable")
    said = predict("latest", file, "--out", dogs.run.folder.parents[1], "--top", 3).stdout.splitlines()[1:]
    assert said[:2] == [str(file), "probability  class"]
    assert [line.split() for line in said[2:]] == [[f"{p:.4f}", name] for name, p in best.iloc[:3].items()]


def test_a_tie_is_said():
    task = SingleLabel(("ant", "bee", "cat"))
    p = np.array([0.40001, 0.40004, 0.19995], np.float32)
    assert answer(task, p, p).tie == "a tie: ant, bee are equally probable (0.4000 each)"
    assert answer(task, p[[2, 0, 1]], p[[2, 0, 1]]).tie != ""
    clear = np.array([0.3999, 0.4001, 0.2], np.float32)
    assert answer(task, clear, clear).tie == ""
    assert answer(task, clear, clear).best[0] == ("bee", pytest.approx(0.4001))


def test_images_in_memory_are_predicted_like_their_files(dogs, tmp_path):
    Image.open(min((dogs.data / "test").glob("*.jpg"))).save(tmp_path / "one.png")
    opened = Image.open(tmp_path / "one.png")
    once = kagglekit.predict(dogs.run, str(tmp_path / "one.png"), device="cpu")
    given = [opened, np.asarray(opened), tmp_path / "one.png", Image.fromarray(np.asarray(opened))]
    several = kagglekit.predict(dogs.run, given, device="cpu")
    assert several.index.tolist() == [str(tmp_path / "one.png"), "image 2", str(tmp_path / "one.png"), "image 4"]
    np.testing.assert_array_equal(several.to_numpy(), np.repeat(once.to_numpy(), 4, axis=0))
    folder = kagglekit.predict(dogs.run, tmp_path, device="cpu")
    np.testing.assert_array_equal(folder.to_numpy(), once.to_numpy())
    runs = dogs.run.folder.parents[1]
    found = kagglekit.predict(dogs.run.folder.name, tmp_path.glob("*.png"), out=runs, device="cpu")
    pd.testing.assert_frame_equal(pd.DataFrame(found), pd.DataFrame(folder))
    stack = kagglekit.predict(dogs.run, np.stack([np.asarray(opened)] * 2), device="cpu")
    np.testing.assert_array_equal(stack.to_numpy(), several.to_numpy()[:2])


def test_a_notebook_shows_the_image_beside_bars_of_its_best_classes(dogs, tmp_path):
    file = min((dogs.data / "test").glob("*.jpg"))
    table = kagglekit.predict(dogs.run, file, top=2, device="cpu")
    html = table._repr_html_()
    assert html.count('<img src="data:image/webp;base64,') == 1
    best = table.iloc[0].sort_values(ascending=False, kind="stable")
    rows = re.findall(r"<tr><td[^>]*>([^<]+)</td>.*?width:([\d.]+)%.*?>([\d.]+)</td></tr>", html)
    assert rows == [(name, f"{100 * p:.1f}", f"{p:.4f}") for name, p in best.iloc[:2].items()]
    assert table.answers[0]["class"] == best.index[0]
    assert type(table.head(1)) is pd.DataFrame
    assert pickle.loads(pickle.dumps(table)).equals(pd.DataFrame(table))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "no images to predict"),
        (3, "cannot predict a int"),
        ([{"a": 1}], "cannot predict a dict"),
        (np.zeros((8, 8, 3)), "shape \\(8, 8, 3\\) and type float64"),
        (np.zeros((2, 8, 8), np.uint8), "shape \\(2, 8, 8\\)"),
        ("nothing.jpg", "there is no file or folder nothing.jpg"),
    ],
)
def test_what_is_no_image_is_refused_with_what_can_be_given(dogs, given, words):
    with pytest.raises(UserError, match=words):
        kagglekit.predict(dogs.run, given, device="cpu")


def test_folders_are_searched_below_and_no_image_is_taken_twice(dogs):
    done = predict(dogs.run.folder, dogs.data, dogs.data / "test", "--json")
    paths = [record["path"] for record in json.loads(done.stdout)]
    assert sorted(paths) == sorted(map(str, dogs.data.rglob("*.jpg")))


def test_json_and_csv_hold_every_class(dogs, tmp_path):
    done = predict(dogs.run.folder, dogs.data / "test", "--json", "--csv", tmp_path / "all.csv", "--tta")
    assert done.exit_code == 0, done.output
    table = kagglekit.predict(dogs.run, sorted((dogs.data / "test").glob("*.jpg")), tta=True, device="cpu")
    records = json.loads(done.stdout)
    assert [record["class"] for record in records] == table.idxmax(axis=1).tolist()
    assert list(records[0]["probabilities"]) == list(table.columns)
    written = pd.read_csv(tmp_path / "all.csv", index_col="path", dtype={"path": str})
    assert np.array_equal(written.to_numpy(np.float32), table.to_numpy())
    plain = json.loads(predict(dogs.run.folder, dogs.data / "test", "--json").stdout)
    assert plain[0]["probability"] != records[0]["probability"]


def test_a_file_of_other_columns_is_not_replaced(dogs, test_only, tmp_path, monkeypatch):
    image, table = next((dogs.data / "test").glob("*.jpg")), tmp_path / "all.csv"
    for _ in range(2):  # the second time it replaces what it wrote
        assert predict(dogs.run.folder, image, "--csv", table).exit_code == 0
    mine = tmp_path / "labels.csv"
    mine.write_text("id,breed\n1,pug\n")
    page = tmp_path / "notes.txt"
    page.write_text("keep me")
    monkeypatch.setattr("kagglekit.prediction.load.predict_at_sizes", None)  # refused before anything is predicted
    for option in (("--csv",), ("--data", test_only, "--submission")):
        for file, what in ((mine, "has the columns id, breed"), (page, "is no CSV of predictions")):
            before, paths = file.read_text(), [image] if option == ("--csv",) else []
            done = predict(dogs.run.folder, *paths, *option, file)
            assert done.exit_code == 1
            assert f"error: {file} exists and {what}" in done.stderr
            assert "hint: choose another name, or remove the file" in done.stderr
            assert file.read_text() == before
    sample = test_only / "sample_submission.csv"
    done = predict(dogs.run.folder, "--data", test_only, "--submission", sample)
    assert f"error: {sample} is the sample submission, which must stay as it is" in done.stderr


def test_a_submission_needs_neither_training_images_nor_a_network(dogs, test_only, tmp_path):
    file = tmp_path / "submission.csv"
    arguments = ("predict", dogs.run.folder, "--submission", file, "--data", test_only, "--device", "cpu")
    done = forks.run(["-c", OFFLINE, *arguments], tmp_path, surroundings(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"submission: {file} with 10 rows, checked" in done.stdout
    mine, runs = (pd.read_csv(path, index_col="id") for path in (file, dogs.run.submission))
    pd.testing.assert_frame_equal(mine, runs, atol=1e-5)


def test_a_submission_is_for_the_test_images_of_the_sample(dogs, test_only, tmp_path):
    sample = pd.read_csv(test_only / "sample_submission.csv", dtype=str)
    (test_only / "test" / f"{sample.id[0]}.jpg").rename(test_only / "test" / "a-new-one.jpg")
    (test_only / "test").rename(test_only / "test_images")
    sample.loc[0, "id"] = "a-new-one"
    sample.iloc[:4].to_csv(test_only / "sample_submission.csv", index=False)
    done = predict(dogs.run.folder, "--submission", tmp_path / "s.csv", "--data", test_only)
    assert done.exit_code == 0, done.output
    assert pd.read_csv(tmp_path / "s.csv")["id"].tolist() == sample.id[:4].tolist()


def test_a_test_image_that_cannot_be_read_gets_the_mean_prediction(dogs, test_only, tmp_path):
    broken = min((test_only / "test").glob("*.jpg"))
    broken.write_bytes(b"no picture")
    done = predict(dogs.run.folder, "--submission", tmp_path / "s.csv", "--data", test_only)
    assert done.exit_code == 0, done.output
    assert f"1 test images cannot be decoded and get the mean prediction: {broken.stem}" in done.output
    table = pd.read_csv(tmp_path / "s.csv", index_col="id", dtype={"id": str})
    np.testing.assert_allclose(table.loc[broken.stem], table.drop(index=broken.stem).mean(), atol=1e-6)


def test_test_images_that_do_not_fit_the_sample_are_refused_and_nothing_is_written(dogs, test_only, tmp_path):
    next((test_only / "test").glob("*.jpg")).unlink()
    done = predict(dogs.run.folder, "--submission", tmp_path / "s.csv", "--data", test_only)
    assert isinstance(done.exception, SystemExit)
    assert done.exit_code == 1
    assert "cannot be identified" in done.output
    assert not (tmp_path / "s.csv").exists()


def test_a_run_without_its_members_cannot_submit(dogs, test_only, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(dogs.run.folder, copy)
    Run(copy).snapshot("all-2-cycle1").unlink()
    done = predict(copy, "--submission", tmp_path / "s.csv", "--data", test_only)
    assert done.exit_code == 1
    assert "snapshots/all-2-cycle1.safetensors" in done.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "no images to predict"),
        (("nothing.jpg",), 1, "there is no file or folder nothing.jpg"),
        (("EMPTY",), 1, "no images in"),
        (("--submission", "s.csv"), 2, "--submission needs --data DIR"),
        (("--submission", "s.csv", "--data", "nowhere"), 1, "the folder nowhere does not exist"),
        (("--submission", "s.csv", "--data", "EMPTY"), 1, "no images in"),
        (("--submission", "s.csv", "--data", "EMPTY", "--tta"), 2, "it takes no PATH, --tta, --json or --csv"),
        (("--data", "EMPTY"), 2, "--data and --sample need --submission FILE"),
    ],
)
def test_usage_errors_name_the_mistake(dogs, tmp_path, arguments, code, words):
    done = predict(dogs.run.folder, *(tmp_path if word == "EMPTY" else word for word in arguments))
    assert done.exit_code == code
    assert words in done.output


def test_a_plugin_that_asks_for_the_network_is_refused(dogs, test_only, tmp_path, monkeypatch):
    def find(*_):
        socket.create_connection(("example.org", 443))

    monkeypatch.setattr("kagglekit.prediction.test_folder.find_test_images", find)
    done = predict(dogs.run.folder, "--submission", tmp_path / "s.csv", "--data", test_only)
    assert done.exit_code == 1
    assert "network access refused (example.org): code competitions run offline" in done.output
    assert not (tmp_path / "s.csv").exists()


def test_offline_lasts_as_long_as_its_block():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with offline():
            for connect in (socket.socket.connect, socket.socket.connect_ex):
                with socket.socket() as own, pytest.raises(UserError, match="network access refused"):
                    connect(own, address)
            near, far = socket.socketpair()
            near.close()
            far.close()
        socket.create_connection(address).close()


def test_relative_paths_of_a_plugin_are_below_the_data_folder(test_only, monkeypatch, tmp_path):
    names = sorted(path.name for path in (test_only / "test").glob("*.jpg"))
    table = pd.DataFrame({"id": names, "path": [f"test/{name}" for name in names], "label": None, "split": "test"})
    monkeypatch.chdir(tmp_path)
    found = find_test_images(SimpleNamespace(labels=lambda data: table), Path("hidden"), None)
    assert list(found) == names
    assert all(path.is_absolute() and path.exists() for path in found.values())
