"""Odd names, odd settings, and secrets: what a run makes of what it is given."""

from __future__ import annotations

import csv
import re
import shutil
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import layouts
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from places import DOCS, TESTS
from plugin_site import Site
from privileges import as_ordinary_user
from safetensors.torch import load_file, save_file

from kagglekit import Recipe, labels_from_csv, progressive_stages
from kagglekit.cli import cli
from kagglekit.planning.overrides import apply_overrides
from kagglekit.system.errors import UsageError

TINY = (
    *("--arch", "test_efficientnet.r160_in1k", "--set", "pretrained=false", "--size", "32", "--set", "tta=0"),
    *("--set", "stage.*.batch_size=8", "--preset", "quick", "--precision", "fp32", "--device", "cpu", "--stages", "1"),
    *("--set", "stage.1.solver=regression"),
)
ODD = [
    "a b",
    " leading",
    "it's",
    'q"uote',
    "new\nline",
    "ümläut-日本",
    "100%",
    "comma,name",
    "-dash",
    "#hash",
    "a=b",
    "[x]",
]
KINDS = ["plain", 'with "quotes", and commas', "zweiter Ü"]
NAMED = """
@hookimpl
def kagglekit_competition(): return Competition(title='Odd', metric='log_loss')

@hookimpl
def kagglekit_labels(data):
    return labels_from_csv(data / 'labels.csv', images=data / 'train', suffix='.jpg', test=data / 'test')
"""
SECRET = "planted0123456789abcdef"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def write_odd(data: Path) -> list[str]:
    """Write images with odd names of classes with odd names; return the test images' ids."""
    rows = [("id", "kind")]
    for turn in range(3):
        for number, name in enumerate(ODD):
            image = f"{name}{turn}"
            kind = (number + turn) % len(KINDS)
            draw(data / "train", image, kind)
            rows.append((image, KINDS[kind]))
    for name in ODD:
        draw(data / "test", name, 0)
    with (data / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return ODD


def draw(folder: Path, name: str, kind: int) -> None:
    layouts.write_picture(folder / "picture.jpg", kind, name)
    (folder / "picture.jpg").rename(folder / f"{name}.jpg")


def test_names_with_spaces_quotes_newlines_and_letters_of_all_kinds_go_through_a_run(
    tmp_path: Path, here: None
) -> None:
    ids = write_odd(tmp_path / "data folder é")
    plugin = Site(tmp_path).write("odd.py", NAMED)
    done = ask("run", plugin, "--data", "data folder é", *TINY)
    assert done.exit_code == 0, done.output
    (file,) = tmp_path.glob("submissions/odd/*/submission.csv")
    rows = pd.read_csv(file, dtype={"id": str})
    assert sorted(rows["id"]) == sorted(ids)
    assert list(rows.columns) == ["id", *sorted(KINDS)]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "dogs"
    layouts.write_dog_breed(folder, per_class=4, test=3)
    return folder


def without_a_row(data: Path) -> None:
    lines = (data / "labels.csv").read_text().splitlines()
    (data / "labels.csv").write_text("\n".join(lines[:-2]) + "\n")


def two_labels(data: Path) -> None:
    lines = (data / "labels.csv").read_text().splitlines()
    first, other = lines[1].partition(",")[0], lines[2].partition(",")[2]
    (data / "labels.csv").write_text("\n".join([*lines, f"{first},{other}"]) + "\n")


def without_an_image(data: Path) -> None:
    (data / "train" / "00000001.jpg").unlink()


def folder_for_a_file(data: Path) -> None:
    (data / "labels.csv").unlink()
    (data / "labels.csv").mkdir()


def folder_for_an_image(data: Path) -> None:
    without_an_image(data)
    (data / "train" / "00000001.jpg").mkdir()


def dangling_link(data: Path) -> None:
    without_an_image(data)
    (data / "train" / "00000001.jpg").symlink_to(data / "nowhere.jpg")


def empty_table(data: Path) -> None:
    (data / "labels.csv").write_text("")


def empty_image(data: Path) -> None:
    (data / "train" / "00000001.jpg").write_bytes(b"")


def truncated(data: Path) -> None:
    file = data / "train" / "00000001.jpg"
    file.write_bytes(file.read_bytes()[:-200])


def bomb(data: Path) -> None:
    file = data / "train" / "00000001.jpg"
    Image.new("L", (1, 1)).save(file, "PNG")
    content = file.read_bytes()
    header = b"IHDR" + struct.pack(">II", 60_000, 60_000) + content[24:29]  # after the signature and a length
    file.write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])


def class_of_its_own(data: Path) -> None:
    text = (data / "sample_submission.csv").read_text()
    (data / "sample_submission.csv").write_text(text.replace("beagle", "wolf"))


def empty_sample(data: Path) -> None:
    (data / "sample_submission.csv").write_text("")


def one_class(data: Path) -> None:
    lines = (data / "labels.csv").read_text().splitlines()
    (data / "labels.csv").write_text("\n".join([lines[0], *(f"{line.split(',')[0]},pug" for line in lines[1:])]) + "\n")


def one_image_a_class(data: Path) -> None:
    for file in sorted((data / "train").iterdir())[4:]:
        file.unlink()
    lines = (data / "labels.csv").read_text().splitlines()
    (data / "labels.csv").write_text("\n".join(lines[:5]) + "\n")


BAD = {
    without_a_row: r"labels.csv has no row for images in \S+train: 0000000e.jpg, 0000000f.jpg\nhint: its rows name",
    two_labels: r"1 problem:\n  - ids of more than one labelled image: 00000000\n",
    without_an_image: r"1 problem:\n  - missing files: \S+00000001.jpg\n",
    folder_for_a_file: r"labels.csv is a folder, not a file",
    folder_for_an_image: r"missing files: \S+00000001.jpg\n",
    dangling_link: r"missing files: \S+00000001.jpg\n",
    empty_table: r"cannot read \S+labels.csv: it is empty",
    empty_image: r"1 of 16 images cannot be decoded:\n.*00000001.jpg.*the file is empty",
    truncated: r"1 of 16 images cannot be decoded:\n.*00000001.jpg.*truncated",
    bomb: r"1 of 16 images cannot be decoded:\n.*00000001.jpg: 60000 x 60000 px are 3,600 million, more than the limit",
    class_of_its_own: r"missing beagle; not expected: wolf",
    empty_sample: r"cannot read \S+sample_submission.csv: it is empty",
    one_class: r"at least two classes are needed; the labelled images have pug",
    one_image_a_class: r"no image can be held out for valid: each class has only one image",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_bad_data_are_reported_in_one_message_before_anything_is_trained(
    tmp_path: Path, here: None, sound: Path, spoil: Callable[[Path], None]
) -> None:
    data = Path(shutil.copytree(sound, tmp_path / "dogs"))
    spoil(data)
    done = ask("run", "dog-breed", "--data", "dogs", *TINY)
    assert done.exit_code == 1
    assert re.match(rf"error: (.|\n)*{BAD[spoil]}", done.stderr), done.stderr
    assert not list(tmp_path.rglob("log.csv"))


@pytest.mark.skipif(sys.platform == "win32", reason="there are no modes of files")
@pytest.mark.parametrize("name", ["labels.csv", "train/00000001.jpg", "train", "sample_submission.csv"])
def test_an_unreadable_file_is_reported_by_its_name(tmp_path: Path, here: None, sound: Path, name: str) -> None:
    data = Path(shutil.copytree(sound, tmp_path / "dogs"))
    (data / name).chmod(0)
    done = as_ordinary_user(lambda: ask("run", "dog-breed", "--data", "dogs", *TINY))
    (data / name).chmod(0o755)
    assert done.exit_code == 1
    assert re.match(rf"error: (.|\n)*{name}(.|\n)*Permission denied", done.stderr), done.stderr


def test_images_and_their_folder_may_be_links(tmp_path: Path, here: None, sound: Path) -> None:
    (tmp_path / "dogs").mkdir()
    for name in ("labels.csv", "sample_submission.csv", "train"):
        (tmp_path / "dogs" / name).symlink_to(sound / name)
    (tmp_path / "dogs" / "test").mkdir()
    for file in (sound / "test").iterdir():
        (tmp_path / "dogs" / "test" / file.name).symlink_to(file)
    done = ask("run", "dog-breed", "--data", "dogs", *TINY)
    assert done.exit_code == 0, done.output
    assert "with 3 rows, checked" in done.output


def test_weights_of_another_number_of_classes_fill_the_body_and_a_run_of_others_is_refused(
    tmp_path: Path, here: None, sound: Path
) -> None:
    layouts.write_dog_breed(tmp_path / "three", classes=3, per_class=4, test=3)
    assert ask("run", "dog-breed", "--data", str(sound), *TINY).exit_code == 0
    (run,) = tmp_path.glob("submissions/dog-breed/*")
    weights = {
        name.removeprefix("body."): value for name, value in load_file(run / "snapshots/final.safetensors").items()
    }
    save_file(weights, "four-classes.safetensors")
    assert weights["head.weight"].shape[0] == 4
    ours = ("--set", "pretrained=true", "--set", "weights=four-classes.safetensors")
    done = ask("run", "dog-breed", "--data", "three", *TINY, *ours)
    assert done.exit_code == 0, done.output
    refused = ask("run", "dog-breed", "--data", "three", "--from", str(run), "--stages", "1")
    assert refused.exit_code == 1
    assert re.match(
        r"error: \S+ was trained on different classes or targets\nhint: start from a run of this competition",
        refused.stderr,
    )


def fails(*_: object) -> None:
    raise RuntimeError(f"401 Unauthorized for https://host/?token={SECRET}")


@pytest.mark.parametrize("end", ["finished", "failed", "broken"])
def test_no_secret_gets_into_what_a_run_writes_or_prints_or_into_a_traceback(
    tmp_path: Path, here: None, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts.write_dog_breed(tmp_path / "dogs", per_class=4, test=3)
    if end == "failed":
        next((tmp_path / "dogs" / "train").iterdir()).write_bytes(b"no image")
    if end == "broken":
        monkeypatch.setattr("kagglekit.workflows.single.finalize", fails)
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_KEY", "KAGGLE_USERNAME", "HF_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    (tmp_path / "home" / ".kaggle").mkdir(parents=True)
    (tmp_path / "home" / ".kaggle" / "kaggle.json").write_text(f'{{"username": "me", "key": "{SECRET}"}}')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    done = ask("run", "dog-breed", "--data", "dogs", *TINY)
    assert done.exit_code == int(end != "finished"), done.output
    assert ("Traceback" in done.output) == (end == "broken")
    assert ("token=***" in done.output) == (end == "broken")
    written = [path for part in ("submissions", "cache") for path in (tmp_path / part).rglob("*") if path.is_file()]
    assert written
    assert SECRET not in done.output
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


def test_the_page_names_tests_that_are_there() -> None:
    table = (DOCS / "reliability.md").read_text(encoding="utf-8").split("## Bad input")[1].split("##")[0]
    file, found = "", 0
    for name in re.findall(r"`([a-z0-9_.]+)`", table):
        file = name if name.endswith(".py") else file
        if name != file:
            assert f"def test_{name}" in next(TESTS.rglob(file)).read_text(encoding="utf-8"), (file, name)
            found += 1
    assert found > 20


RECIPE = Recipe(arch="resnet18", stages=progressive_stages((64, 96)))
KEYS = st.sampled_from([*Recipe.model_fields, *(f"stage.{n}.{f}" for n in (1, 4, "*", "head") for f in ("lr", "size"))])
VALUES = st.one_of(st.text(max_size=12), st.integers().map(str), st.floats().map(str), st.sampled_from(["true", "[]"]))


@given(setting=st.one_of(st.text(max_size=30), st.builds("{}={}".format, KEYS, VALUES)))
@settings(max_examples=300, deadline=None)
def test_any_setting_makes_a_recipe_or_one_clear_error(setting: str) -> None:
    try:
        changed = apply_overrides(RECIPE, [setting])
    except UsageError as error:
        assert str(error)  # noqa: PT017
    else:
        assert Recipe.model_validate_json(changed.to_json()) == changed


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\\r"), min_size=1, max_size=12)


@given(rows=st.dictionaries(NAMES, st.sampled_from(KINDS), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_ids_and_labels_are_read_back_from_a_csv(rows: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "labels.csv"
        with file.open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows([("id", "kind"), *rows.items()])
        table = labels_from_csv(file, images=Path(place), suffix=".jpg")
    assert dict(zip(table["id"], table["label"], strict=True)) == rows
    assert [Path(path).name for path in table["path"]] == [f"{image}.jpg" for image in rows]


def test_a_csv_that_would_not_fit_is_known_before_anything_is_trained(here: None) -> None:
    layouts.write_dog_breed(Path("data"))
    file = Path("data/sample_submission.csv")
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, *(f"test/{row}" for row in rows)]) + "\n")
    done = ask("run", "dog-breed", "--data", "data", *TINY)
    assert done.exit_code == 1
    assert "the test images' ids differ from those of the sample submission: missing test/00000020" in done.output
    assert not Path("submissions").exists()
