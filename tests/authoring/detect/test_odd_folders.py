"""Data folders as people really have them: tables of other kinds, mixed suffixes, links that lead back, 0/1 columns."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import layouts
import numpy as np
import pytest
from click.testing import CliRunner
from odd_layouts import LEAVES, class_folders, pictures, sample
from PIL import Image
from samples import sample_rows

from kagglekit import SingleLabel
from kagglekit.authoring.detect.data_folder import detect_layout
from kagglekit.authoring.plugin_facts import Facts
from kagglekit.authoring.scaffold import plugin_text
from kagglekit.cli import cli
from kagglekit.data.submission import check_submission
from kagglekit.data.table import check_table
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.system.errors import UserError
from kagglekit.types.predictions import make_predictions

ROWS = [("id", "label"), *((f"IMG_{i}", LEAVES[i % 3]) for i in range(12))]
TEXT = "\n".join(",".join(row) for row in ROWS) + "\n"


def camera_names(data: Path) -> None:
    """Images whose names look like two classes, and are none."""
    pictures(data, [f"train/{'IMG' if i % 2 else 'DSC'}_{i}.jpg" for i in range(12)])


UNREAD: dict[str, tuple[str, bytes, str]] = {
    "semicolons": (
        "labels.csv",
        TEXT.replace(",", ";").encode(),
        "labels.csv is not used: it has a single column, 'id;label'; it looks separated by semicolons",
    ),
    "tabs": ("labels.csv", TEXT.replace(",", "\t").encode(), "it looks separated by tabs"),
    "one column": ("labels.csv", b"IMG_0\nIMG_1\n", "labels.csv is not used: it has a single column, 'IMG_0'"),
    "Latin-1": (
        "labels.csv",
        TEXT.replace("Fagus", "Hêtre").encode("latin-1"),
        "labels.csv is not used: it is not UTF",
    ),
    "UTF-16": ("labels.csv", TEXT.encode("utf-16"), "labels.csv is not used: it is not UTF-8"),
    "nothing": ("labels.csv", b"", "labels.csv is not used: it is empty"),
    "a header alone": ("labels.csv", b"id,label\n", "labels.csv is not used: it has no rows"),
    "rows longer than the header": ("labels.csv", TEXT.encode() + b"IMG_99,a,b\n", "rows with more fields than its"),
    "an archive that is none": ("labels.csv.zip", b"PK\x03\x04", "labels.csv.zip is not used: "),
    "a table of tabs": ("labels.tsv", TEXT.replace(",", "\t").encode(), "labels.tsv is not used: it is not a CSV file"),
    "a spreadsheet": ("meta/labels.xlsx", b"PK\x03\x04", "meta/labels.xlsx is not used: it is not a CSV file"),
    "several rows for an image": ("labels.csv", (TEXT + "IMG_1,x\n").encode(), "has several rows for one image"),
}


@pytest.mark.parametrize(("name", "content", "said"), UNREAD.values(), ids=UNREAD)
def test_a_table_that_is_not_used_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    class_folders(tmp_path / "data" / "train") if "several" in said else camera_names(tmp_path / "data")
    if "several" in said:
        pictures(tmp_path / "data" / "all", [f"IMG_{i}.jpg" for i in range(12)])
    (tmp_path / "data" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "data" / name).write_bytes(content)
    done = CliRunner().invoke(cli, ["new", "leaves", "--from-data", "data"])
    assert done.exit_code == 0, done.output
    assert said in done.output
    assert said[:30] in (tmp_path / "leaves.py").read_text().replace("\n# ", " ")


def test_where_there_are_no_labels_the_message_names_the_tables_that_were_not_used(tmp_path: Path) -> None:
    pictures(tmp_path, [f"train/{i}.jpg" for i in range(12)])
    (tmp_path / "labels.csv").write_text(TEXT.replace(",", ";"))
    with pytest.raises(UserError, match=r"no labels detected .*labels.csv is not used: it has a single column"):
        detect_layout(tmp_path)


def zipped(data: Path) -> None:
    with zipfile.ZipFile(data / "labels.csv.zip", "w") as archive:
        archive.writestr("labels.csv", TEXT)
        archive.writestr("__MACOSX/._labels.csv", "\0\5\x16\7")


def in_upper_case(data: Path) -> None:
    (data / "LABELS.CSV").write_text(TEXT)


def with_a_column_twice(data: Path) -> None:
    rows = [("id", "note", "label", "note"), *((name, "x", label, "y") for name, label in ROWS[1:])]
    layouts.write_csv(data / "labels.csv", rows)


@pytest.mark.parametrize("write", [zipped, in_upper_case, with_a_column_twice], ids=lambda write: write.__name__)
def test_labels_in_a_csv_of_another_kind_are_read(tmp_path: Path, write: Callable[[Path], None]) -> None:
    data = tmp_path / "data"
    pictures(data, [f"train/IMG_{i}.jpg" for i in range(12)])
    write(data)
    table = table_of(tmp_path)
    assert table["label"].tolist() == [label for _, label in ROWS[1:]]


def table_of(folder: Path, metric: str = ""):
    """Write a plugin for ``folder/data`` and return its checked image table."""
    return hooks_of(folder, metric)[1]


def hooks_of(folder: Path, metric: str = ""):
    text = plugin_text(Facts("leaves", metric=metric), detect_layout(folder / "data", metric))
    (folder / "leaves.py").write_text(text)
    hooks = Hooks(load(str(folder / "leaves.py")))
    return hooks, check_table(hooks.labels(folder / "data"), folder / "data")[0], text


def change_suffix(file: Path, suffix: str) -> None:
    with Image.open(file) as image:
        image.save(file.with_suffix(suffix))
    file.unlink()


@pytest.mark.parametrize("written", ["", ".jpg", ".JPG"], ids=["ids without suffix", "with one", "in another case"])
def test_images_of_several_suffixes_are_all_train_or_test_images(tmp_path: Path, written: str) -> None:
    data = tmp_path / "data"
    pictures(data, [f"train/{i}.jpg" for i in range(12)] + [f"test/t{i}.jpg" for i in range(6)])
    for i in range(5):
        change_suffix(data / "train" / f"{i}.jpg", (".png", ".JPEG", ".webp")[i % 3])
    for i in range(3):
        change_suffix(data / "test" / f"t{i}.jpg", ".png")
    rows = [("image", "label"), *((f"{i}{written}", LEAVES[i % 3]) for i in range(12))]
    layouts.write_csv(data / "train.csv", rows)
    sample(data, [f"t{i}" for i in range(6)], ("id", "label"), "Fagus")
    _, table, text = hooks_of(tmp_path)
    assert table["split"].value_counts().to_dict() == {"train": 12, "test": 6}
    labels = {Path(path).stem: label for path, label in zip(table["path"], table["label"], strict=True)}
    assert [labels[str(i)] for i in range(12)] == [LEAVES[i % 3] for i in range(12)]
    assert sorted(table.loc[table["split"] == "test", "id"]) == [f"t{i}" for i in range(6)]
    assert "left out" not in text
    assert "not in train" not in text


def test_links_that_lead_back_are_followed_once(tmp_path: Path) -> None:
    class_folders(tmp_path / "data" / "train")
    for name in LEAVES:
        (tmp_path / "data" / "train" / name / "up").symlink_to("..")
        (tmp_path / "data" / "train" / name / "top").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "train" / "self").symlink_to(".")
    (tmp_path / "data" / "loop").symlink_to("loop")
    layout = detect_layout(tmp_path / "data")
    assert (layout.labels.classes, dict(layout.labels.counts)) == (LEAVES, dict.fromkeys(LEAVES, 4))


def test_folders_nested_too_deep_are_one_message(tmp_path: Path) -> None:
    class_folders(tmp_path / "data" / "train")
    (tmp_path / "data" / "/".join("d" * 120)).mkdir(parents=True)
    with pytest.raises(UserError, match="nested more than 100 deep"):
        detect_layout(tmp_path / "data")


def zeros_and_ones(data: Path, classes: tuple[str, str], values: tuple[str, ...]) -> None:
    pictures(data, [f"train/{i}.jpg" for i in range(12)] + [f"test/t{i}.jpg" for i in range(4)])
    layouts.write_csv(data / "train.csv", [("id", "has_cactus"), *((str(i), classes[i % 2]) for i in range(12))])
    rows = [("id", "has_cactus"), *((f"t{i}", values[i % len(values)]) for i in range(4))]
    layouts.write_csv(data / "sample_submission.csv", rows)


@pytest.mark.parametrize(
    ("classes", "values", "metric", "positive", "doubt"),
    [
        (("0", "1"), ("0",), "", "1", "hold the probability of '1' or class names?"),
        (("0", "1"), ("1",), "", "1", "hold the probability of '1' or class names?"),
        (("0", "1"), ("0", "1"), "", None, "hold class names or the probability of 1?"),
        (("0", "1"), ("0.5",), "", "1", ""),
        (("0.0", "1.0"), ("0.0",), "", "1.0", "hold the probability of '1.0' or class names?"),
        (("False", "True"), ("False",), "", "True", "hold the probability of 'True' or class names?"),
        (("0", "1"), ("0",), "roc_auc", "1", ""),
        (("0", "1"), ("0", "1"), "log_loss", "1", ""),
        (("0", "1"), ("0",), "accuracy", None, ""),
        (("1", "2"), ("1",), "", None, ""),  # names of classes, as far as anybody can tell
    ],
)
def test_of_a_column_of_zeros_and_ones_the_metric_decides_or_a_doubt_is_noted(
    tmp_path: Path, classes: tuple[str, str], values: tuple[str, ...], metric: str, positive: str | None, doubt: str
) -> None:
    zeros_and_ones(tmp_path / "data", classes, values)
    hooks, table, text = hooks_of(tmp_path, metric)
    facts = hooks.competition()
    assert facts.positive == positive
    assert (doubt in text.replace("\n# ", " ")) if doubt else ("class names?" not in text)
    tests, given = table[table["split"] == "test"], sample_rows(tmp_path / "data")
    task = SingleLabel.fit(table["label"].dropna().tolist(), facts)
    drawn = np.random.default_rng(0).dirichlet(np.ones(2), len(tests))
    predictions = make_predictions(tests["id"], task.columns, drawn)
    rows = hooks.submission(facts, predictions, given, task)
    check_submission(rows, given, predictions, facts, task)
    if positive:
        assert rows.iloc[:, 1].tolist() == pytest.approx(predictions[positive].tolist())
    else:
        assert rows.iloc[:, 1].tolist() == predictions.idxmax(axis=1).tolist()


@pytest.mark.parametrize(("metric", "chosen", "names"), [("", "map_at_2", 2), ("map_at_5", "map_at_5", 3)])
def test_ranked_names_in_a_cell_are_detected_and_written(tmp_path: Path, metric: str, chosen: str, names: int) -> None:
    data, classes = tmp_path / "data", ("w_1", "w_2", "new_whale")
    pictures(data, [f"train/{i}.jpg" for i in range(12)] + [f"test/t{i}.jpg" for i in range(4)])
    layouts.write_csv(data / "train.csv", [("Image", "Id"), *((str(i), classes[i % 3]) for i in range(12))])
    rows = [("Image", "Id"), *((f"t{i}", "new_whale w_1") for i in range(4))]
    layouts.write_csv(data / "sample_submission.csv", rows)
    hooks, table, text = hooks_of(tmp_path, metric)
    facts = hooks.competition()
    assert facts.metric == chosen
    assert "asks for the names of the 2 likeliest classes" in text.replace("\n    # ", " ")
    tests, given = table[table["split"] == "test"], sample_rows(data)
    task = SingleLabel.fit(table["label"].dropna().tolist(), facts)
    predictions = make_predictions(tests["id"], task.columns, np.tile([0.2, 0.3, 0.5], (4, 1)))
    rows = hooks.submission(facts, predictions, given, task)
    check_submission(rows, given, predictions, facts, task)
    assert rows["Id"].tolist() == [" ".join(["w_2", "w_1", "new_whale"][:names])] * 4


def test_of_two_named_classes_a_metric_of_probabilities_asks_for_one_of_them(tmp_path: Path) -> None:
    zeros_and_ones(tmp_path / "data", ("cat", "dog"), ("cat",))
    hooks, _, text = hooks_of(tmp_path, "roc_auc")
    assert hooks.competition().positive == "dog"
    assert "does 'has_cactus' hold the probability of 'cat' or of 'dog'?" in text.replace("\n# ", " ")
