from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import layouts
import pandas as pd
import pytest
from layouts import NAMES, WRITERS
from places import SHARED
from samples import sample_rows
from single_labels import classes_of

from kagglekit import Recipe, UserError
from kagglekit.data.splits import split_valid
from kagglekit.data.table import check_table
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load

DATA = SHARED / "data"
PRESETS = ("quick", "standard", "best", "lesson")
EVERY_RECIPE = [(name, preset) for name in NAMES for preset in PRESETS]
# classes, train, test images of the four data sets beside the repository, as their README has them
REAL = {
    "dog-breed": ("dog-breed-identification", 120, 1000, 1000),
    "dogs-vs-cats": ("dogs-vs-cats-redux-kernels-edition", 2, 3000, 1000),
    "pets": ("oxford-iiit-pet", 37, 3655, 3664),
    "flowers-102": ("flowers-102", 102, 2040, 6149),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))


def hooks_of(name: str) -> Hooks:
    return Hooks(load(name))


def labelled(name: str, data: Path) -> tuple[pd.DataFrame, list[str]]:
    return check_table(hooks_of(name).labels(data), data)


def written(name: str, folder: Path) -> Path:
    WRITERS[name](folder)
    return folder


def facts_of(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    return sorted(table[["id", "label", "split"]].fillna("?").itertuples(index=False, name=None))


@pytest.mark.parametrize("name", NAMES)
def test_its_own_layout_makes_a_table_without_warnings(name: str, tmp_path: Path) -> None:
    data = written(name, tmp_path / "data")
    table, warnings = labelled(name, data)
    assert warnings == (["not used, in the folders of the images: 1 other file (.mat 1)"] if name == "pets" else [])
    assert len(classes_of(table)) == (2 if name == "dogs-vs-cats" else 4)
    assert set(table["split"]) == {"train", "test"}
    assert set(split_valid(table, 0.2, 0)["split"]) == {"train", "valid", "test"}
    test_labels = table.loc[table["split"] == "test", "label"]
    assert test_labels.notna().all() == hooks_of(name).competition().known_test_labels
    assert test_labels.notna().any() == hooks_of(name).competition().known_test_labels


@pytest.mark.parametrize("name", ["dog-breed", "dogs-vs-cats"])
def test_test_images_are_those_of_the_sample_submission_in_its_order(name: str, tmp_path: Path) -> None:
    data = written(name, tmp_path / "data")
    table, _ = labelled(name, data)
    sample = sample_rows(data)
    assert sample is not None
    assert table.loc[table["split"] == "test", "id"].tolist() == sample.iloc[:, 0].tolist()


def test_dog_breeds_are_the_columns_of_the_sample_submission(tmp_path: Path) -> None:
    data = written("dog-breed", tmp_path / "data")
    sample = sample_rows(data)
    assert sample is not None
    assert tuple(sample.columns[1:]) == classes_of(labelled("dog-breed", data)[0])


def test_dogs_and_cats_may_still_be_zipped(tmp_path: Path) -> None:
    layouts.write_dogs_vs_cats(tmp_path / "open")
    layouts.write_dogs_vs_cats(tmp_path / "zipped", zipped=True)
    assert sorted(path.name for path in (tmp_path / "zipped").iterdir()) == [
        "sample_submission.csv",
        "test.zip",
        "train.zip",
    ]
    unzipped, zipped = (labelled("dogs-vs-cats", tmp_path / kind)[0] for kind in ("open", "zipped"))
    assert facts_of(unzipped) == facts_of(zipped)
    assert unzipped["id"].tolist() == zipped["id"].tolist()
    assert len(list((tmp_path / "zipped").iterdir())) == 3  # nothing was written beside the archives


@pytest.mark.parametrize("where", ["test", "test1"])
def test_dogs_and_cats_may_be_in_class_folders(where: str, tmp_path: Path) -> None:
    layouts.write_dogs_vs_cats_folders(tmp_path, where=where)
    table, warnings = labelled("dogs-vs-cats", tmp_path)
    assert warnings == []
    assert classes_of(table) == ("cat", "dog")
    assert Counter(table["split"]) == {"train": 18, "valid": 6, "test": 12}
    assert table.loc[table["split"] == "test", "id"].tolist() == [str(number) for number in range(1, 13)]


def test_pets_without_lists_are_split_in_halves_by_breed(tmp_path: Path) -> None:
    layouts.write_pets(tmp_path, lists=False)
    table, _ = labelled("pets", tmp_path)
    assert set(Counter(zip(table["split"], table["label"], strict=True)).values()) == {6}
    assert facts_of(labelled("pets", tmp_path)[0]) == facts_of(table)


def test_pets_with_lists_follow_them(tmp_path: Path) -> None:
    layouts.write_pets(tmp_path)
    table, _ = labelled("pets", tmp_path)
    odd = table["id"].str.rpartition("_")[2].astype(int) % 2 == 1
    assert (table["split"] == "test").tolist() == odd.tolist()
    assert classes_of(table) == tuple(sorted(layouts.PETS))


def test_flowers_are_called_by_name_or_number(tmp_path: Path) -> None:
    layouts.write_flowers_102(tmp_path / "named")
    layouts.write_flowers_102(tmp_path / "numbered", names=False)
    assert classes_of(labelled("flowers-102", tmp_path / "named")[0]) == tuple(sorted(layouts.FLOWERS))
    assert classes_of(labelled("flowers-102", tmp_path / "numbered")[0]) == ("1", "2", "3", "4")


DAMAGED_NAMES = {
    "cut": b'{"1": "fire',
    "empty": b"",
    "not Unicode": b'{"1": "\xff"}',
    "nested": b"[" * 100_000,
    "a list": b'["fire lily"]',
    "numbers": b'{"1": 5}',
    "objects in objects": b'{"1": {"name": "fire lily"}}',
}


@pytest.mark.parametrize("content", DAMAGED_NAMES.values(), ids=DAMAGED_NAMES)
def test_damaged_names_of_flowers_are_one_message(tmp_path: Path, content: bytes) -> None:
    layouts.write_flowers_102(tmp_path)
    (tmp_path / "cat_to_name.json").write_bytes(content)
    with pytest.raises(UserError, match=r"cat_to_name\.json") as raised:
        labelled("flowers-102", tmp_path)
    assert type(raised.value) is UserError  # no plugin is blamed
    assert "remove it to name the classes by number" in raised.value.hint


def test_names_of_flowers_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    layouts.write_flowers_102(tmp_path)
    file = tmp_path / "cat_to_name.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert classes_of(labelled("flowers-102", tmp_path)[0]) == tuple(sorted(layouts.FLOWERS))


@pytest.mark.parametrize("name", NAMES)
def test_the_real_images_are_all_found(name: str) -> None:
    folder, classes, train, test = REAL[name]
    if not (DATA / folder).is_dir():
        pytest.skip(f"{folder} is not beside the repository")
    table, warnings = labelled(name, DATA / folder)
    assert warnings == []
    assert len(classes_of(table)) == classes
    assert Counter(table["split"]) == {"train": train, "test": test}
    sample = sample_rows(DATA / folder)
    if sample is not None:
        assert table.loc[table["split"] == "test", "id"].tolist() == sample.iloc[:, 0].tolist()


@pytest.mark.parametrize(("name", "preset"), EVERY_RECIPE)
def test_a_recipe_is_the_lessons_steps(name: str, preset: str) -> None:
    recipe = hooks_of(name).recipe(preset)
    check_steps(recipe)
    if preset == "quick":  # what the others do more gained nothing in minutes on a CPU (docs/results.md)
        return
    assert len({stage.size for stage in recipe.stages}) >= 2
    augmented = next(stage for stage in recipe.stages if stage.name == "head-augmented")
    assert (augmented.freeze_to, augmented.precompute, augmented.cycle_len) == (-1, False, 1)
    assert augmented.views != "none"
    assert recipe.stages[-1].freeze_to == 0
    assert sum(stage.cycles for stage in recipe.stages if stage.snapshots) >= 2
    assert (recipe.tta, recipe.tta_views) in ((4, ""), (1, "flip"))


def check_steps(recipe: Recipe) -> None:
    """Assert: a cached head, then more layers at growing sizes, snapshots of the last stage, an ensemble."""
    cached = recipe.stages[0]
    assert cached.precompute
    assert cached.freeze_to == -1
    frozen = [stage.freeze_to == -1 for stage in recipe.stages]
    assert frozen == sorted(frozen, reverse=True)
    last = recipe.stages[-1]
    for stage in (stage for stage in recipe.stages if stage.freeze_to >= 0):
        assert stage.group_lrs is not None or stage.body_factor > 1
        assert stage.group_lrs is None or list(stage.group_lrs) == sorted(set(stage.group_lrs))
        assert stage.schedule in ("one-cycle", "sgdr")
        assert stage.schedule == "one-cycle" or stage.cycles == 1 or stage.cycle_mult == 2
    assert last.snapshots
    growing = [stage.size for stage in recipe.stages if stage.freeze_to >= 0]
    assert growing == sorted(growing)
    assert recipe.ensemble != "last"


@pytest.mark.parametrize(("name", "preset"), EVERY_RECIPE)
def test_a_recipe_says_what_its_weights_have_seen_and_that_nothing_was_measured(name: str, preset: str) -> None:
    recipe = hooks_of(name).recipe(preset)
    assert "ImageNet" in recipe.exposure
    assert recipe.licence
    assert recipe.measured == "none"
    assert ("Not measured here" in recipe.source) == (preset == "lesson")


LESSONS = {  # largest size, figures of the source
    "dog-breed": ("resnext101_64x4d", 299, ("92 %",)),
    "dogs-vs-cats": ("resnet34", 224, ("99.27 %", "20 s", "99.25 %")),
    "pets": ("resnet34", 224, ("93.5 %",)),
    "flowers-102": ("resnet50", 224, ("98.11 %", "460")),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_carries_its_sources_model_size_and_figures(name: str) -> None:
    recipe = hooks_of(name).recipe("lesson")
    arch, size, figures = LESSONS[name]
    assert recipe.arch.partition(".")[0] == arch
    assert recipe.sizes[-1] == size
    assert [figure for figure in figures if figure not in recipe.source] == []


def test_the_standard_dog_breed_recipe_grows_from_64_to_299_px() -> None:
    assert hooks_of("dog-breed").recipe("standard").sizes == (64, 224, 299)


def test_a_plugin_without_recipes_gets_the_default_ones_but_no_lesson(tmp_path: Path) -> None:
    plugin = tmp_path / "cassava.py"
    plugin.write_text(
        "from kagglekit import Competition, hookimpl\n"
        "@hookimpl\ndef kagglekit_competition():\n    return Competition(title='Cassava')\n"
    )
    hooks = hooks_of(str(plugin))
    for preset in PRESETS[:3]:
        check_steps(hooks.recipe(preset))
        assert hooks.answered["kagglekit_recipe"].startswith("recipes")
    with pytest.raises(Exception, match="no recipe for the preset 'lesson'"):
        hooks.recipe("lesson")


def test_every_model_exists_with_pretrained_weights_under_the_licence_named() -> None:
    import timm
    from timm.models import get_pretrained_cfg

    import kagglekit_recipes

    recipes = [hooks_of(name).recipe(preset) for name, preset in EVERY_RECIPE] + list(
        kagglekit_recipes.RECIPES.values()
    )
    pretrained = set(timm.list_pretrained())
    for recipe in recipes:
        assert recipe.arch in pretrained
        weights = get_pretrained_cfg(recipe.arch)
        assert recipe.licence.lower() == weights.license
        patch = 14 if "patch14" in recipe.arch else 1
        assert [size for size in recipe.sizes if size % patch] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_quick_recipe_is_a_small_convnet_at_the_size_of_its_pretraining(name: str) -> None:
    recipe = hooks_of(name).recipe("quick")
    assert "_conv_" in recipe.arch
    assert f"_r{recipe.sizes[-1]}_" in recipe.arch


@pytest.mark.parametrize("name", NAMES)
def test_a_competition_is_loaded_without_heavy_imports(name: str) -> None:
    module = f"kagglekit_{name.replace('-', '_')}"
    code = f"import {module}, sys; print([m for m in ('torch', 'timm', 'pandas', 'scipy', 'cv2') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
