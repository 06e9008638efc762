"""The form of a data set is found from some of its images."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kagglekit.images.decode import built_store as built
from kagglekit.images.find_form import describe_form, find_form, measured
from kagglekit.images.loader import Loader
from kagglekit.images.store import StoreSpec
from kagglekit.types.data_config import DataConfig
from kagglekit.types.pixel_form import RGB, PixelForm
from kagglekit.types.pixel_range import PixelRange
from kagglekit.types.presets import progressive_stages
from kagglekit.types.recipe import Recipe

RECIPE = Recipe(arch="resnet18", stages=progressive_stages([32]))


def form_of(images: Sequence[np.ndarray], **settings: Any) -> PixelForm:
    """Return the form of images that are named 0.png, 1.png, ..."""
    paths = [Path(f"{number}.png") for number in range(len(images))]
    recipe = RECIPE.model_copy(update=settings)
    return find_form(paths, lambda path, _: images[int(path.stem)], recipe)


def test_images_of_8_bits_stay_as_they_are() -> None:
    assert form_of([np.zeros((4, 4, 3), np.uint8)]) == RGB
    assert form_of([np.zeros((4, 4), np.uint8)]) == RGB
    assert describe_form(RGB) == ""


def test_one_range_holds_for_dark_and_bright_images() -> None:
    images = [np.linspace(low, low + 500, 400).reshape(20, 20).astype(np.uint16) for low in (0, 1000, 3500)]
    form = form_of(images)
    assert (form.channels, form.depth) == (3, 16)
    [(black, white)] = form.ranges
    assert 0 <= black < 5
    assert 3995 < white <= 4000
    stored = [form.stored(image).mean() for image in images]
    assert stored[0] < stored[1] < stored[2]
    assert describe_form(form).startswith("pixels: the numbers ")


def test_the_recipe_may_ask_for_other_ranges_and_bits() -> None:
    images = [np.arange(400, dtype=np.uint16).reshape(20, 20)]
    assert form_of(images, pixel_range="image", depth="8") == RGB
    assert form_of([np.zeros((4, 4, 3), np.uint8)], depth="16").depth == 16


def test_whole_numbers_of_8_bits_in_a_longer_type_keep_their_range() -> None:
    assert form_of([np.full((4, 4), 200, np.int32)]) == PixelForm(ranges=(PixelRange(0, 255),))


def test_channels_of_other_kinds_have_ranges_of_their_own() -> None:
    rng = np.random.default_rng(0)
    bands = np.stack([rng.uniform(-40, 0, (64, 64)), rng.uniform(0, 1, (64, 64))], axis=2).astype(np.float32)
    form = form_of([bands])
    assert form.channels == 2
    assert form.shown == (0, 1)
    assert [round(number) for pair in form.ranges for number in pair] == [-40, 0, 0, 1]


def test_a_single_deep_image_gives_its_range() -> None:
    images = [np.zeros((4, 4), np.uint8) for _ in range(400)]
    images[350] = np.full((4, 4), 4000, np.uint16)  # the seventh of the few, and none of the many
    images[350][0] = 100
    [(black, white)] = form_of(images).ranges
    assert (black, white) == (100, 4000)


def test_deep_images_of_other_channels_do_not_count() -> None:
    images = [np.zeros((4, 4, 3), np.uint8) for _ in range(8)]
    images[7] = np.full((4, 4, 4), 4000, np.uint16)
    assert form_of(images) == RGB


def test_the_range_is_that_of_the_whole_image_and_not_of_one_column() -> None:
    image = np.zeros((1024, 1024), np.uint16)  # a border of black, as wide as any step from row to row
    image[:, 100:] = 3000
    assert form_of([image]).ranges == (PixelRange(0, 3000),)


def test_of_large_images_only_some_pixels_are_kept() -> None:
    tracemalloc.start()
    large = np.random.default_rng(0).integers(0, 4096, (2000, 2000), dtype=np.uint16)
    before = tracemalloc.get_traced_memory()[0]
    find_form([Path(f"{n}.png") for n in range(60)], lambda path, _: large.copy(), RECIPE)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert peak < 20 * large.nbytes  # not 69 times


def test_unreadable_images_do_not_count() -> None:
    def read(path: Path, _: int) -> np.ndarray:
        if path.stem == "0":
            raise ValueError("damaged")
        return np.zeros((4, 4, 4), np.uint8)

    assert find_form([Path("0.png"), Path("1.png")], read, RECIPE).channels == 4
    assert find_form([Path("0.png")], read, RECIPE) == RGB


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 4, 5, 9])
def test_batches_of_any_channels_and_bits_are_normalised_by_the_images(
    tmp_path: Path, channels: int, depth: Any
) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 4096, (40, 40, channels), dtype=np.uint16)
    form = PixelForm(channels, depth, (PixelRange(0, 4095),))
    files = tuple(tmp_path / f"{number}.png" for number in range(3))
    for file in files:
        file.touch()
    store = built(StoreSpec(files, tmp_path, 40, "short", "test 1", form=form), lambda path, size: image)
    mean, std = measured(store, np.arange(3))
    assert np.allclose(mean, image.reshape(-1, channels).mean(axis=0) / 4095, atol=2e-3)
    batch = plain_batch(store, DataConfig(mean, std))
    assert batch.shape == (3, channels, 40, 40)
    expected = (image / 4095 - np.array(mean)) / np.array(std)
    assert np.allclose(batch[1].permute(1, 2, 0).numpy(), expected, atol=0.02 if depth == 8 else 1e-3)


def plain_batch(store: Any, config: DataConfig) -> Any:
    import torch

    from kagglekit import View
    from kagglekit.images.device_warp import gather
    from kagglekit.images.loader import placed
    from kagglekit.images.warp import normalise_on_device

    identity = np.eye(2, 3, dtype=np.float32)[None]
    view = View(maps=lambda keys, aspects, n: np.repeat(identity, len(keys), axis=0))
    loader = Loader(store, view, 40, config, np.zeros(3, np.uint64), torch.device("cpu"))
    batch = loader.batch(np.arange(3), 0)
    flat = placed(store, torch.device("cpu"))  # what a GPU does
    places = store.offsets, store.heights, store.widths
    maps = np.repeat(identity, 3, axis=0)
    same = gather(flat, *places, maps, store.aspects, 40, "reflect", store.form)
    assert torch.allclose(normalise_on_device(same, None, config, store.form.white), batch, atol=1e-4)
    return batch


def test_light_changes_each_of_other_channels_by_itself(tmp_path: Path) -> None:
    import torch

    from kagglekit import View, uniforms

    Image.new("RGB", (8, 8), (100, 100, 100)).save(tmp_path / "0.png")
    identity = np.eye(2, 3, dtype=np.float32)[None]
    view = View(
        maps=lambda keys, aspects, n: np.repeat(identity, len(keys), axis=0),
        colours=lambda keys, n: (uniforms(keys, n, 2) * 0.5 + [0.5, 0]).astype(np.float32),
    )

    def means(form: PixelForm) -> list[float]:
        files = (tmp_path / "0.png",)
        store = built(
            StoreSpec(files, tmp_path, 8, "short", "test 1", form=form),
            lambda path, size: np.full((8, 8, form.channels), 100, np.uint8),
        )
        config = DataConfig((0.0,) * form.channels, (1.0,) * form.channels)
        loader = Loader(store, view, 8, config, np.array([7], np.uint64), torch.device("cpu"))
        return loader.batch(np.zeros(1, np.int64), 1).mean(dim=(0, 2, 3)).tolist()

    assert len(set(means(RGB))) == 1
    assert len(set(means(PixelForm(4)))) == 4
