"""A run with columns beside the images, in the layout of a melanoma competition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_competitions import TINY, ask

from kagglekit import Run

PLUGIN = """
import pandas as pd
from kagglekit import Competition, hookimpl, labels_from_csv

COLUMNS = ("sex", "age_approx", "anatom_site_general_challenge")

@hookimpl
def kagglekit_competition():
    return Competition(title="Moles", metric="roc_auc", positive="1", metadata=COLUMNS)

@hookimpl
def kagglekit_labels(data):
    kept = dict(id_column="image_name", suffix=".jpg", group_column="patient_id", metadata=COLUMNS)
    tables = [labels_from_csv(data / "test.csv", images=data / "jpeg/test", split="test", **kept)]
    if (data / "train.csv").exists():
        tables.append(labels_from_csv(data / "train.csv", images=data / "jpeg/train", label_column="target", **kept))
    return pd.concat(tables)
"""


def write_moles(data: Path, n: int = 160, test: int = 12) -> pd.DataFrame:
    """Write noise in the form of siim-isic-melanoma-classification, where age and site decide; return test.csv."""
    rng = np.random.default_rng(0)
    for part, rows in (("train", n), ("test", test)):
        table = pd.DataFrame({"image_name": [f"ISIC_{number:07d}" for number in range(rows)]})  # equal ids in both
        table["patient_id"] = [f"IP_{number // 2:07d}" for number in range(rows)]
        table["sex"] = rng.choice(["male", "female", ""], rows)
        table["age_approx"] = rng.choice([20.0, 45.0, 60.0, 80.0], rows)
        table["anatom_site_general_challenge"] = rng.choice(["torso", "head/neck", ""], rows)
        if part == "train":
            table["target"] = (table["age_approx"] > 50).astype(int)
        (data / "jpeg" / part).mkdir(parents=True)
        table.to_csv(data / f"{part}.csv", index=False)
        for name in table["image_name"]:
            pixels = rng.integers(0, 255, (36, 36, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(data / "jpeg" / part / f"{name}.jpg")
    return table


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moles.py").write_text(PLUGIN)
    return tmp_path


def test_a_column_that_decides_is_found_and_new_images_are_predicted_with_it(place: Path) -> None:
    test = write_moles(place / "d")
    done = ask("run", "moles.py", "--data", "d", *TINY, "--set", "ensemble=tabular", "--set", "valid=0.5")
    assert done.exit_code == 0, done.output
    made = Run(next(Path("submissions/moles").iterdir()))
    info = made.info()
    assert info.ensemble_scores["valid_roc_auc"].value > 0.95  # the images are noise
    assert info.fitted["gain over the mean, in loss"] > 3 * info.fitted["standard error of the gain"]
    rows = pd.read_csv(made.submission)
    old = (test["age_approx"] > 50).to_numpy()
    assert rows.iloc[:, -1][old].min() > rows.iloc[:, -1][~old].max()
    assert "tabular" in made.report.read_text()

    (place / "d" / "train.csv").unlink()  # a finished run predicts without training data
    again = ask("predict", made.folder, "--data", "d", "--submission", "again.csv", "--device", "cpu")
    assert again.exit_code == 0, again.output
    np.testing.assert_allclose(pd.read_csv("again.csv").iloc[:, -1], rows.iloc[:, -1], atol=0.02)
    alone = ask("predict", made.folder, "d/jpeg/test", "--device", "cpu")
    assert alone.exit_code == 0, alone.output  # a single run's final weights need no columns


def test_what_columns_lack_is_refused_before_training(place: Path) -> None:
    test = write_moles(place / "d", n=16)
    test.assign(age_approx=None).to_csv(place / "d" / "test.csv", index=False)
    done = ask("run", "moles.py", "--data", "d", *TINY)
    assert done.exit_code == 1
    assert "age_approx: no test image has a value" in done.output
    (place / "moles.py").write_text(PLUGIN.replace(", metadata=COLUMNS)", ")", 1))
    done = ask("run", "moles.py", "--data", "d", *TINY, "--set", "ensemble=tabular")
    assert done.exit_code == 1
    assert "needs columns beside the images" in done.output
    assert not Path("submissions").exists()
