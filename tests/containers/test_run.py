"""Commands on a competition whose images are members of files."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
from container_files import jpeg, write_tfrecord
from tiny_competitions import TINY, ask

PLUGIN = """
import pandas as pd

from kagglekit import Competition, hookimpl, labels_from_containers, unlabelled_members

@hookimpl
def kagglekit_competition():
    return Competition(title="Tiny", slug="tiny", metric="log_loss")

@hookimpl
def kagglekit_labels(data):
    train = labels_from_containers(data / "train.tfrec", label_column="class", id_column="id")
    return pd.concat([train, unlabelled_members(data / "test.h5")], ignore_index=True)
"""


def write(folder: Path) -> Path:
    random = np.random.default_rng(0)
    images = [random.integers(0, 90, (36, 36, 3)).astype(np.uint8) for _ in range(16)]
    for i, image in enumerate(images):
        image[..., i % 2] += 150
    data = folder / "data"
    data.mkdir()
    rows = [
        {"image": jpeg(images[i]), "id": f"im{i}".encode(), "class": ("ant", "bee")[i % 2].encode()} for i in range(12)
    ]
    write_tfrecord(data / "train.tfrec", rows)
    with h5py.File(data / "test.h5", "w") as file:
        for i in range(12, 16):
            file[f"t{i}"] = np.void(jpeg(images[i]))
    (data / "sample_submission.csv").write_text("id,ant,bee\n" + "".join(f"t{i},0.5,0.5\n" for i in range(12, 16)))
    (folder / "tiny.py").write_text(PLUGIN)
    return data


def test_members_are_looked_at_trained_on_reported_and_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    data = write(tmp_path)
    looked = ask("look", "./tiny.py", "--data", data)
    assert looked.exit_code == 0, looked.output
    assert "formats: JPEG 16" in looked.output
    assert "not used" not in looked.output
    ran = ask("run", "./tiny.py", "--data", data, *TINY, "--epochs", "1")
    assert ran.exit_code == 0, ran.output
    run = next((tmp_path / "submissions/tiny").glob("2*"))
    with (run / "submission.csv").open() as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["t12", "t13", "t14", "t15"]
    assert "data:image/webp" in (run / "report.html").read_text()
    with (run / "valid.csv").open() as file:
        assert all(row["file"].startswith("train.tfrec/") for row in csv.DictReader(file))
    predicted = ask("predict", run, data / "test.h5" / "t13")
    assert predicted.exit_code == 0, predicted.output
    several = ask("predict", run, data / "test.h5", "--csv", tmp_path / "all.csv")
    assert several.exit_code == 0, several.output
    assert [line.split(",")[0].rpartition("/")[2] for line in (tmp_path / "all.csv").read_text().split()] == [
        *("path", "t12", "t13", "t14", "t15")
    ]
    again = ask("predict", run, "--data", data, "--submission", tmp_path / "again.csv")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again.csv").read_text().startswith("id,ant,bee\nt12,")
