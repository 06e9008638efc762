from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from single_labels import classes_of

import kagglekit
import kagglekit_shapes as shapes
import kagglekit_shapes.drawing as pictures
from kagglekit import DownloadOptions, UserError
from kagglekit.compute.network import head_module, input_of
from kagglekit.data.table import check_table
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.system.display.console import for_people
from kagglekit_shapes.network import ShapesNet, layer_groups


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes") / "drawn"
    options = DownloadOptions(for_people(json_output=True))
    return shapes.kagglekit_download(shapes.kagglekit_competition(), folder, options)


@pytest.fixture(scope="module")
def table(data: Path) -> pd.DataFrame:
    checked, warnings = check_table(shapes.kagglekit_labels(data), data)
    assert not warnings
    return checked


def part(table: pd.DataFrame, split: str, side: int) -> tuple[np.ndarray, np.ndarray]:
    rows = table[table["split"] == split]
    images = [np.asarray(Image.open(path).resize((side, side), Image.Resampling.BOX)) for path in rows["path"]]
    return np.stack(images), rows["label"].to_numpy(str)


def test_there_are_ten_kinds_with_as_many_pictures_each(table: pd.DataFrame) -> None:
    counts = Counter(zip(table["split"], table["label"], strict=True))
    assert len(classes_of(table)) == 10
    assert counts == {(split, kind): n for split, n in (("train", 100), ("test", 50)) for kind in classes_of(table)}
    assert table["id"].is_unique


def test_every_file_is_the_picture_that_draw_gives_of_its_name(table: pd.DataFrame) -> None:
    for row in table.iloc[::97].itertuples():
        picture = pictures.draw(row.label, row.id)
        assert picture.shape == (80, 80, 3)
        np.testing.assert_array_equal(picture, np.asarray(Image.open(row.path)))


def test_no_two_pictures_are_the_same(table: pd.DataFrame) -> None:
    assert len({Path(path).read_bytes() for path in table["path"]}) == len(table)


def test_the_pictures_are_those_that_the_recipe_was_measured_on(table: pd.DataFrame) -> None:
    rgb = np.stack([np.asarray(Image.open(path)) for path in table["path"][:20]]).mean(axis=(0, 1, 2))
    assert rgb == pytest.approx((85.446, 82.311, 83.636), abs=0.1), "measure again, then change these figures"


def test_another_download_leaves_the_pictures_as_they_are(data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    pictures.draw_all(data)
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


def test_shapes_lie_within_the_unit_circle_and_so_within_the_picture() -> None:
    for outlines in pictures.KINDS.values():
        assert 0.95 < np.hypot(*np.concatenate(outlines).T).max() < 1 + 1e-9


def test_a_full_disk_is_told_and_leaves_no_half_drawn_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(picture: object) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pictures, "_png", full)
    with pytest.raises(UserError, match="shapes: No space left"):
        pictures.draw_all(tmp_path / "shapes")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_else_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "PER_KIND", {"train": 1, "test": 1})
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="cannot write the drawn images to"):
        pictures.draw_all(tmp_path / "shapes")
    assert [path.name for path in tmp_path.rglob("*")] == ["shapes", "mine.txt"]


def test_logistic_regression_on_32_px_pixels_stays_below_60_percent(table: pd.DataFrame) -> None:
    from sklearn.linear_model import LogisticRegression

    (train, kinds), (test, truth) = part(table, "train", 32), part(table, "test", 32)
    best = max(
        LogisticRegression(C=strength, max_iter=1000, tol=1e-3)
        .fit(train.reshape(len(train), -1) / 255 - 0.5, kinds)
        .score(test.reshape(len(test), -1) / 255 - 0.5, truth)
        for strength in (1e-4, 1e-3, 1e-2)
    )
    assert 0.1 < best < 0.6


def test_the_network_learns_one_batch_by_heart(table: pd.DataFrame) -> None:
    torch.manual_seed(0)
    images, kinds = part(table, "train", 48)
    x = torch.from_numpy(images[:20]).permute(0, 3, 1, 2).float() / 127.5 - 1
    y = torch.from_numpy(np.unique(kinds[:20], return_inverse=True)[1])
    net = ShapesNet(10)
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02


@pytest.mark.parametrize("n", range(1, 7))
def test_layer_groups_hold_each_parameter_once_and_the_head_last(n: int) -> None:
    net = ShapesNet(10)
    groups = layer_groups(net, n)
    assert len(groups) == n
    assert all(groups)
    assert [name for group in groups for name in group] == [name for name, _ in net.named_parameters()]
    if n > 1:
        assert groups[-1] == ["head.1.weight", "head.1.bias"]


def test_more_layer_groups_than_layers_are_refused() -> None:
    with pytest.raises(UserError, match="7 layer groups are too many"):
        layer_groups(ShapesNet(10), 7)


def test_the_head_makes_the_logits_of_pooled_features() -> None:
    net = ShapesNet(10).eval()
    x = torch.rand(2, 3, 64, 64)
    name, head = head_module(net, layer_groups(net, 3))
    features = input_of(net, head, x)
    assert name == "head"
    assert features.shape == (2, 128)
    torch.testing.assert_close(head(features), net(x))


def test_dropout_before_the_last_layer_is_the_recipes() -> None:
    recipe = shapes.RECIPE.model_copy(update={"drop_rate": 0.25})
    net = shapes.kagglekit_model(recipe, 10)
    assert [module.p for module in net.modules() if isinstance(module, torch.nn.Dropout)] == [0.25]


def test_other_networks_are_left_to_other_plugins() -> None:
    recipe = shapes.RECIPE.model_copy(update={"arch": "resnet18"})
    assert shapes.kagglekit_model(recipe, 10) is None
    assert shapes.kagglekit_layer_groups(torch.nn.Linear(2, 2), recipe) is None


@pytest.mark.parametrize("change", [{"pretrained": True}, {"weights": "mine.safetensors"}, {"head": "concat-pool"}])
def test_what_the_small_network_has_not_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match="shapes-net starts from random weights and has a linear head"):
        shapes.kagglekit_model(shapes.RECIPE.model_copy(update=change), 10)


def test_the_recipe_is_the_same_for_every_preset_and_names_what_plugins_provide() -> None:
    hooks = Hooks(load("shapes"))
    recipes = [hooks.recipe(preset) for preset in ("quick", "standard", "best")]
    assert recipes == [shapes.RECIPE] * 3
    hooks.check_names(shapes.RECIPE, hooks.competition())
    with pytest.raises(UserError, match="no recipe for the preset 'lesson'"):
        hooks.recipe("lesson")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_demo_reaches_95_percent(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLEKIT_DATA", str(tmp_path / "data"))
    run = kagglekit.run("shapes", out=tmp_path, settings={"seed": seed}, device="cpu")
    assert run.info().scores[-1]["test_accuracy"][0] >= 0.95
