"""Data folders whose images are members of files: what `kagglekit new` writes reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from container_files import drawn, jpeg, write_tfrecord
from odd_layouts import begun

from kagglekit.authoring.detect.container_labels import Containers
from kagglekit.authoring.detect.data_folder import detect_layout
from kagglekit.authoring.detect.tables.sources import read_sources
from kagglekit.authoring.evidence import evidence
from kagglekit.authoring.tiny_data import tiny_data
from kagglekit.data.table import check_table
from kagglekit.system.errors import UserError
from kagglekit.system.members import member_of

N, TESTS = 12, 5


def pixels(data: Path) -> None:
    """Rows of pixels; the sample numbers the test images from 1."""
    rows = pd.DataFrame(np.stack([drawn(i)[..., 0].ravel() for i in range(N + TESTS)])).add_prefix("pixel")
    rows[:N].assign(label=[i % 3 for i in range(N)]).to_csv(data / "train.csv", index=False)
    rows[N:].to_csv(data / "test.csv", index=False)
    sample = pd.DataFrame({"ImageId": range(1, TESTS + 1), "Label": 0})
    sample.to_csv(data / "sample_submission.csv", index=False)


def records(data: Path) -> None:
    """TFRecords in two sizes, in folders of train, val and test."""
    for side in (24, 32):
        rows = [{"image": jpeg(drawn(i, side)), "id": f"f{i}".encode(), "class": i % 3} for i in range(N + TESTS)]
        for part, some in (("train", rows[:6]), ("train", rows[6:9]), ("val", rows[9:N]), ("test", rows[N:])):
            folder = data / f"tfrecords-{side}x{side}" / part
            folder.mkdir(parents=True, exist_ok=True)
            kept = [{k: v for k, v in row.items() if part != "test" or k != "class"} for row in some]
            write_tfrecord(folder / f"{len(list(folder.iterdir())):02}-{side}x{side}-{len(some)}.tfrec", kept)
    pd.DataFrame({"id": [f"f{i}" for i in range(N, N + TESTS)], "label": 0}).to_csv(
        data / "sample_submission.csv", index=False
    )


def bands(data: Path) -> None:
    """JSON of two bands; the angle is a fact that the test images have, too."""
    rows = [
        {
            "id": f"a{i:02}",
            "band_1": (drawn(i)[..., 0] / 9).ravel().tolist(),
            "band_2": [0.5] * 576,
            "angle": i % 2 + 0.5,
        }
        for i in range(N + TESTS)
    ]
    labelled = [{**row, "is_ice": int(i % 4 == 0)} for i, row in enumerate(rows[:N])]
    (data / "processed").mkdir()
    (data / "processed" / "train.json").write_text(json.dumps(labelled))
    (data / "processed" / "test.json").write_text(json.dumps(rows[N:]))
    sample = pd.DataFrame({"id": [row["id"] for row in rows[N:]], "is_ice": 0.5})
    sample.to_csv(data / "sample_submission.csv", index=False)


def labels_beside(data: Path) -> None:
    """All images in two HDF5 files, labels in a CSV."""
    hdf5_tests(data)
    for image in (data / "train-image").iterdir():
        image.unlink()
    (data / "train-image").rmdir()


def hdf5_tests(data: Path) -> None:
    """Train images as files, labels in a CSV, test images as members of an HDF5 file."""
    (data / "train-image").mkdir()
    for i in range(N):
        (data / "train-image" / f"IM_{i}.jpg").write_bytes(jpeg(drawn(i)))
    for part, numbers in (("train", range(N)), ("test", range(N, N + TESTS))):
        with h5py.File(data / f"{part}-image.hdf5", "w") as file:
            for i in numbers:
                file[f"IM_{i}"] = np.void(jpeg(drawn(i)))
    pd.DataFrame({"isic_id": [f"IM_{i}" for i in range(N)], "target": [int(i % 3 == 0) for i in range(N)]}).to_csv(
        data / "train-metadata.csv", index=False
    )
    sample = pd.DataFrame({"isic_id": [f"IM_{i}" for i in range(N, N + TESTS)], "target": 0.3})
    sample.to_csv(data / "sample_submission.csv", index=False)


@pytest.mark.parametrize("write", [pixels, records, bands, hdf5_tests, labels_beside], ids=lambda write: write.__name__)
def test_the_plugin_reads_every_image_of_the_containers(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "data").mkdir()
    layout, hooks, _ = begun(tmp_path, write)
    data = tmp_path / "data"
    table, _ = check_table(hooks.labels(data), data)
    splits = table["split"].value_counts().to_dict()
    assert splits == ({"train": 9, "valid": 3, "test": 5} if write is records else {"train": 12, "test": 5})
    sample = pd.read_csv(data / "sample_submission.csv", dtype=str)
    tests = table[table["split"] == "test"]
    assert tests["id"].tolist() == sample.iloc[:, 0].tolist()
    assert all(member_of(Path(path)) for path in tests["path"])
    assert {hooks.read_image(Path(path), 8).shape for path in table["path"]} == {(24, 24, 3)}
    wanted = {pixels: ("0", "1", "2"), records: ("0", "1", "2")}.get(write, ("0", "1"))
    assert layout.labels.classes == wanted
    assert layout.side == 24
    with pytest.raises(UserError, match="a package's test cannot draw images in containers"):
        tiny_data(layout)


def test_check_says_which_members_are_used_and_where_their_labels_are(tmp_path: Path) -> None:
    _, hooks, _ = begun(tmp_path, records)
    data = tmp_path / "data"
    table, _ = check_table(hooks.labels(data), data)
    said = [(fact.status, fact.what) for fact in evidence(table, data, None, False)]
    assert said == [
        (
            "ok",
            "17 of 17 images in 4 files (00-24x24-6.tfrec, 01-24x24-3.tfrec, 00-24x24-3.tfrec ... (4 in all)) are used",
        ),
        ("ok", "their labels are in class"),
    ]
    less = [(fact.status, fact.what) for fact in evidence(table[1:], data, None, False)]
    assert less[0][0] == "note"
    assert less[0][1].startswith("16 of 17 images")
    wrong = table.assign(path=table["path"].replace(r"/2$", "/99", regex=True))
    (problem,) = evidence(wrong, data, None, False)
    assert problem.status == "problem"
    assert problem.what.startswith("images that are not in their files: 00-24x24-6.tfrec/99, 01-24x24-3.tfrec/99")


def test_files_of_one_pattern_are_one_line_of_the_plugin(tmp_path: Path) -> None:
    _, _, text = begun(tmp_path, records)
    assert 'sorted((data / "tfrecords-24x24/train").glob("*.tfrec"))' in text
    assert "another reading, not used: tfrecords-32x32/train/00-32x32-6.tfrec labels images, too" in text


@pytest.mark.parametrize("write", [pixels, bands])
def test_tables_of_pixels_are_not_read_as_text(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    coco = {"images": [{"id": 1}], "annotations": [{"image_id": 1, "segmentation": list(range(100))}]}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    (tmp_path / "labels.csv").write_text("id,label\n1,a\n2,b\n")
    sources, unread = read_sources(tmp_path)
    assert {source.name for source in sources} <= {"coco.json", "labels.csv"}
    assert "labels.csv" in {source.name for source in sources}
    assert not any("train" in each or "test" in each for each in unread)


def test_a_column_of_splits_is_no_label(tmp_path: Path) -> None:
    lines = ["emotion,pixels,Usage"]
    lines += [
        f"{i % 7},{' '.join(map(str, drawn(i)[..., 0].ravel()))},{'Training' if i % 3 else 'PublicTest'}"
        for i in range(28)
    ]
    (tmp_path / "fer2013.csv").write_text("\n".join(lines))
    layout = detect_layout(tmp_path)
    assert isinstance(layout.labels, Containers)
    assert (layout.labels.label_column, layout.labels.classes) == ("emotion", tuple("0123456"))


def test_containers_that_the_sample_contradicts_are_no_success(tmp_path: Path) -> None:
    pixels(tmp_path)
    sample = pd.DataFrame({"ImageId": [f"x{i}" for i in range(TESTS)], "Label": 0})
    sample.to_csv(tmp_path / "sample_submission.csv", index=False)
    with pytest.raises(UserError, match=r"the 5 ids in sample_submission\.csv \(x0, x1, x2 .* are none of the images"):
        detect_layout(tmp_path)


def test_a_table_of_numbers_is_no_container(tmp_path: Path) -> None:
    pd.DataFrame({"id": [1, 2], "weight": [0.5, 0.7]}).to_csv(tmp_path / "train.csv", index=False)
    with pytest.raises(UserError, match="no images in"):
        detect_layout(tmp_path)
