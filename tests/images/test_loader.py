from __future__ import annotations

import gc
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from kagglekit import DataConfig, UserError, View, uniforms
from kagglekit.images.build import build
from kagglekit.images.loader import Loader, Passes, place, placed
from kagglekit.images.store import ImageStore, StoreSpec, open_store
from kagglekit.types.randomness import image_keys

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIG = DataConfig(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
CPU = torch.device("cpu")
SIZE = 32


def jittered(keys: NDArray[np.uint64], aspects: NDArray[np.float32], pass_number: int) -> NDArray[np.float32]:
    draws = 2 * uniforms(keys, pass_number, 6).reshape(-1, 2, 3) - 1
    return (0.5 * draws + [[1, 0, 0], [0, 1, 0]]).astype(np.float32)


def identity(keys: NDArray[np.uint64], aspects: NDArray[np.float32], pass_number: int) -> NDArray[np.float32]:
    return np.tile(np.array([[1, 0, 0], [0, 1, 0]], np.float32), (len(keys), 1, 1))


def lit(keys: NDArray[np.uint64], pass_number: int) -> NDArray[np.float32]:
    return (uniforms(keys, pass_number, 8)[:, 6:] * [0.4, 0.2] + [0.8, -0.1]).astype(np.float32)


VIEW = View(maps=jittered, colours=lit)


def store_of(n: int) -> ImageStore:
    rng = np.random.default_rng(0)
    shapes = rng.integers(20, 60, (n, 2))
    pictures = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in shapes]
    pixels = np.concatenate([picture.reshape(-1) for picture in pictures])
    pixels.flags.writeable = False  # as a memory map is
    lengths = shapes.prod(axis=1) * 3
    heights, widths = shapes.T.astype(np.int32)
    return ImageStore(
        folder=Path(),
        names=tuple(f"{i}.jpg" for i in range(n)),
        pixels=pixels,
        offsets=np.cumsum(lengths) - lengths,
        heights=heights,
        widths=widths,
        aspects=(widths / heights).astype(np.float32),
        bad={},
        constant=(),
    )


def loader_of(n: int, view: View = VIEW) -> Loader:
    store = store_of(n)
    return Loader(store, view, SIZE, CONFIG, image_keys(store.names, "seed", 0), CPU)


def chunks(n: int, size: int) -> list[NDArray[np.int64]]:
    return [np.arange(i, min(i + size, n)) for i in range(0, n, size)]


@pytest.mark.parametrize("resident", [False, True])
def test_neither_batch_size_nor_order_change_an_image(resident: bool):
    loader = loader_of(24)
    if resident:
        loader = replace(loader, resident=placed(loader.store, CPU))
    whole = loader.batch(np.arange(24), 3)
    assert whole.shape == (24, 3, SIZE, SIZE)
    assert whole.dtype == torch.float32
    assert whole.is_contiguous(memory_format=torch.channels_last)
    in_fives = torch.cat(list(loader.batches(chunks(24, 5), 3)))
    assert torch.equal(in_fives, whole)
    shuffled = np.random.default_rng(1).permutation(24)
    assert torch.equal(loader.batch(shuffled, 3), whole[torch.from_numpy(shuffled)])


@pytest.mark.parametrize("size", [1, 4, 7, 40])
def test_a_stream_of_passes_shows_what_each_pass_by_itself_does(size: int):
    plain, augmented = loader_of(9, View(maps=identity)), loader_of(9)
    rows = np.array([7, 2, 3, 8, 0])
    passes = Passes([(plain, 0), (augmented, 1), (augmented, 2)], rows)
    alone = torch.cat([plain.batch(rows, 0), augmented.batch(rows, 1), augmented.batch(rows, 2)])
    stream = list(passes.batches([passes.places[i : i + size] for i in range(0, 15, size)], 0))
    assert torch.equal(torch.cat(stream), alone)
    assert all(batch.is_contiguous(memory_format=torch.channels_last) for batch in stream)
    filled = np.resize(passes.places[11:], 16)  # as the last batch of a prediction is
    assert torch.equal(next(passes.batches([filled], 0)), alone[torch.from_numpy(filled)])


def test_each_turn_shows_another_crop():
    loader = loader_of(4)
    first, second = loader.batch(np.arange(4), 0), loader.batch(np.arange(4), 1)
    assert all((a - b).abs().mean() > 0.1 for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("border", ["reflect", "edge", "zero"])
def test_a_resident_store_gives_the_same_batches(border: str):
    loader = loader_of(32, replace(VIEW, border=border))
    on_device = replace(loader, resident=placed(loader.store, CPU))
    rows = np.arange(32)[::-1].copy()
    difference = (loader.batch(rows, 0) - on_device.batch(rows, 0)).abs().mean()
    assert difference <= 2 / 255 / 0.22


def test_a_loader_reads_a_built_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    drawn = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    files = tuple(tmp_path / f"{i}.png" for i in range(3))
    for picture, file in zip(drawn, files, strict=True):
        Image.fromarray(picture).save(file)
    spec = StoreSpec(files, tmp_path, SIZE, "short", "test 1")
    *_, n = build(spec, lambda path, size: np.array(Image.open(path)), threads=1)
    assert n == 3
    store = open_store(spec)
    plain = View(maps=lambda keys, aspects, pass_number: np.eye(2, 3, dtype=np.float32)[None].repeat(len(keys), axis=0))
    config = DataConfig(mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))  # bytes stay what they are
    loader = Loader(store, plain, SIZE, config, image_keys(store.names), CPU)
    batch = loader.batch(np.array([2, 0, 1]), 0).permute(0, 2, 3, 1)
    assert np.array_equal(batch.round().numpy().astype(np.uint8), drawn[[2, 0, 1]])


def test_the_function_of_pixels_comes_last():
    loader = loader_of(4)
    doubled = replace(loader, view=replace(VIEW, pixels=lambda batch: 2 * batch))
    assert torch.equal(doubled.batch(np.arange(4), 0), 2 * loader.batch(np.arange(4), 0))


@pytest.mark.parametrize("part", ["maps", "colours"])
def test_an_answer_of_a_wrong_shape_is_named(part: str):
    wrong = {"maps": lambda keys, aspects, pass_number: jittered(keys, aspects, pass_number)[:, :, :2]}
    wrong["colours"] = lambda keys, pass_number: lit(keys, pass_number)[0]
    loader = loader_of(4, replace(VIEW, **{part: wrong[part]}))
    with pytest.raises(UserError, match=f"the view returned {part} of shape"):
        loader.batch(np.arange(4), 0)


def test_batches_are_made_two_ahead_and_no_further():
    made: list[int] = []

    def counted(keys: NDArray[np.uint64], aspects: NDArray[np.float32], pass_number: int) -> NDArray[np.float32]:
        made.append(len(keys))
        return jittered(keys, aspects, pass_number)

    batches = loader_of(24, replace(VIEW, maps=counted)).batches(chunks(24, 2), 0)
    assert not made
    next(batches)
    deadline = time.monotonic() + 5
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(made) == 3
    batches.close()


def test_leaving_the_loop_early_ends_the_thread():
    before = threading.active_count()
    loader = loader_of(24)
    for _ in loader.batches(chunks(24, 2), 0):
        assert threading.active_count() == before + 1
        break
    gc.collect()  # an interpreter that does not count references closes generators late
    assert threading.active_count() == before


def test_an_error_in_a_view_is_raised_where_its_batch_is_due():
    def failing(keys: NDArray[np.uint64], aspects: NDArray[np.float32], pass_number: int) -> NDArray[np.float32]:
        if len(keys) == 1:
            raise ZeroDivisionError("in the view")
        return jittered(keys, aspects, pass_number)

    before = threading.active_count()
    batches = loader_of(9, replace(VIEW, maps=failing)).batches(chunks(9, 4), 0)
    seen: list[int] = []
    with pytest.raises(ZeroDivisionError, match="in the view"):
        seen.extend(len(batch) for batch in batches)
    assert seen == [4, 4]
    assert threading.active_count() == before


def test_a_consumer_that_computes_does_not_wait():
    loader = loader_of(24)
    for _ in loader.batches(chunks(24, 4), 0):
        time.sleep(0.2)
    assert len(loader.waits) == 6
    assert sum(loader.waits[1:]) < 0.2  # of the second that the consumer computed


def test_a_store_is_not_copied_to_the_cpu():
    assert place(store_of(2), CPU) is None


def test_only_a_view_that_always_shows_the_same_can_be_told_from_others():
    rows = np.arange(6)

    def shown(view: View, pass_number: int = 0) -> NDArray[np.uint64] | None:
        return loader_of(6, view).fingerprints(rows, pass_number)

    def mirrored(keys, aspects, pass_number):
        return identity(keys, aspects, pass_number) * np.float32([[-1, 1, 1], [1, 1, 1]] if pass_number else 1)

    plain = shown(View(maps=identity))
    assert len(plain) == 6
    assert plain.all()
    assert np.array_equal(plain, shown(View(maps=mirrored)))
    assert not np.isin(shown(View(maps=mirrored), 1), plain).any()
    assert shown(VIEW) is None
    assert shown(View(maps=identity, colours=lit)) is None
    assert shown(View(maps=identity, pixels=lambda images: images)) is None
    assert shown(View(maps=identity, effects=lambda images, keys, pass_number: images)) is None
