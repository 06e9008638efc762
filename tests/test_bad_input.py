"""Odd names, odd settings, and secrets: what a run makes of what it is given."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import layouts
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from plugin_site import Site

from kagglekit import Recipe, labels_from_csv, progressive_stages
from kagglekit.cli import cli
from kagglekit.errors import UsageError
from kagglekit.overrides import apply_overrides

TINY = (
    *("--arch", "test_efficientnet.r160_in1k", "--set", "pretrained=false", "--size", "32", "--set", "tta=0"),
    *("--set", "stage.*.batch_size=8", "--preset", "quick", "--precision", "fp32", "--device", "cpu", "--stages", "1"),
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


@pytest.mark.parametrize("damaged", [False, True], ids=["finished", "failed"])
def test_no_secret_gets_into_what_a_run_writes_or_says(
    tmp_path: Path, here: None, damaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts.write_dog_breed(tmp_path / "dogs", per_class=4, test=3)
    if damaged:
        next((tmp_path / "dogs" / "train").iterdir()).write_bytes(b"no image")
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_KEY", "KAGGLE_USERNAME", "HF_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    (tmp_path / "home" / ".kaggle").mkdir(parents=True)
    (tmp_path / "home" / ".kaggle" / "kaggle.json").write_text(f'{{"username": "me", "key": "{SECRET}"}}')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    done = ask("run", "dog-breed", "--data", "dogs", *TINY)
    assert done.exit_code == int(damaged), done.output
    written = [path for part in ("submissions", "cache") for path in (tmp_path / part).rglob("*") if path.is_file()]
    assert written
    assert SECRET not in done.output
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


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
        assert Recipe.from_json(changed.to_json()) == changed


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
    assert "the test images' ids are not those of sample_submission.csv: missing test/00000020" in done.output
    assert not Path("submissions").exists()
