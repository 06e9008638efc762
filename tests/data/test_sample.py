"""The sample submission is found under whatever name a competition ships it, and never guessed among several."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd
import pytest
from samples import sample_rows

from kagglekit import UserError
from kagglekit.data.sample import is_sample_name, sample_for

CLASSES = ("ant", "bee", "cow")
LABELS = "id,species\na0,ant\na1,ant\nb0,bee\nc0,cow\n"
FORM = "image,species_id\nt0,ant\nt1,ant\n"


def table_in(data: Path) -> pd.DataFrame:
    """Four labelled images and two test images; labels.csv says which is which."""
    (data / "labels.csv").write_text(LABELS)
    known = [line.split(",") for line in LABELS.splitlines()[1:]]
    rows = [(image, str(data / "train" / f"{image}.jpg"), label, "train") for image, label in known]
    rows += [(image, str(data / "test" / f"{image}.jpg"), None, "test") for image in ("t0", "t1")]
    return pd.DataFrame(rows, columns=["id", "path", "label", "split"], dtype=object)


def found(data: Path, asked: Path | None = None) -> str | None:
    sample = sample_for(table_in(data), data, CLASSES, asked)
    return sample.file.name if sample else None


@pytest.mark.parametrize(
    "name",
    ["Sample_Submission.csv", "sample_submission_stg1.csv", "SampleSubmissionFile.csv", "sample-sub.csv", "form.CSV"],
)
def test_a_csv_of_the_test_images_and_classes_is_the_sample_under_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FORM)
    assert found(tmp_path) == name


@pytest.mark.parametrize(
    "text",
    [
        "id,ant,bee,cow\nt0,1,0,0\nt1,1,0,0\n",  # columns of the classes
        "id,x\nt0,ant bee\nt1,ant cow\n",  # values of the classes
        "id,species\nt0,0\nt1,0\n",  # the target's name, by labels.csv
        "file,species\nt0.jpg,0\nt1.jpg,0\n",  # file names for ids: a misfit that is reported, not passed over
        "file,species\ntest/t0.jpg,0\ntest/t1.jpg,0\n",
    ],
)
def test_what_is_to_be_predicted_is_known_by_columns_by_values_or_by_the_targets_name(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "baseline.csv").write_text(text)
    assert found(tmp_path) == "baseline.csv"


@pytest.mark.parametrize(
    "text",
    [
        "id,width,height\nt0,8,8\nt1,8,8\n",  # test.csv with its metadata
        "id,site\nt0,north\nt1,south\n",
        "id,is_male\nt0,ant\nt1,bee\n",  # beside the training images, too: metadata, whatever its values
        "id,x\na0,ant\na1,bee\n",  # of training images
        "id,x\nt0,ant\n",  # of one test image of two
        "id\nt0\nt1\n",
        "",
    ],
)
def test_a_csv_about_something_else_is_no_sample(tmp_path: Path, text: str) -> None:
    (tmp_path / "test.csv").write_text(text)
    (tmp_path / "train.csv").write_text("id,species,is_male\na0,ant,1\na1,ant,0\nb0,bee,0\nc0,cow,1\n")
    assert found(tmp_path) is None


def test_a_zipped_sample_counts_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "form.csv.zip", "w") as archive:
        archive.writestr("form.csv", FORM)
    assert found(tmp_path) == "form.csv.zip"
    (tmp_path / "form.csv").write_text(FORM)
    assert found(tmp_path) == "form.csv"


def test_several_candidates_are_named_and_the_user_chooses(tmp_path: Path) -> None:
    for name in ("one.csv", "sample_sub.csv"):
        (tmp_path / name).write_text(FORM)
    with pytest.raises(UserError, match=r"several files in .*: one.csv, sample_sub.csv\nname .* --sample FILE"):
        found(tmp_path)
    assert found(tmp_path, tmp_path / "one.csv") == "one.csv"
    assert found(tmp_path, Path("sample_sub.csv")) == "sample_sub.csv"  # by its name in the data folder
    with pytest.raises(UserError, match=r"no sample submission two.csv\nCSV files in .*: labels.csv, one.csv, sample"):
        found(tmp_path, Path("two.csv"))


def test_the_usual_name_comes_before_all_others(tmp_path: Path) -> None:
    for name in ("one.csv", "sample_submission.csv"):
        (tmp_path / name).write_text(FORM)
    assert found(tmp_path) == "sample_submission.csv"


def test_a_sample_in_name_only_is_taken_so_that_its_misfit_is_reported(tmp_path: Path) -> None:
    (tmp_path / "Sample_Submission_v2.csv").write_text("id,x\nz0,1\nz1,1\n")
    assert found(tmp_path) == "Sample_Submission_v2.csv"


def test_columns_that_occur_twice_are_named(tmp_path: Path) -> None:
    (tmp_path / "sample_submission.csv").write_text("id,ant,bee,ant\nt0,1,0,0\nt1,1,0,0\n")
    with pytest.raises(UserError, match=r"sample_submission.csv has duplicate columns: ant"):
        found(tmp_path)


@pytest.mark.parametrize(
    ("name", "says"), [("sample_submission.zip", True), ("samples.csv", False), ("sample_submission.txt", False)]
)
def test_what_a_name_says(name: str, says: bool) -> None:
    assert is_sample_name(name) is says


def test_without_labels_the_name_alone_counts(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(LABELS)
    (tmp_path / "SampleSub.csv").write_text(FORM)
    sample = sample_rows(tmp_path)
    assert sample is not None
    assert list(sample.columns) == ["image", "species_id"]
