"""Images on a GPU: copied there, and warped there, they are what a CPU makes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from random_stores import FORMS, jittered, lit, loader_of, store_of

from kagglekit.images import device_warp
from kagglekit.images.device_warp import gather, gathered_by_torch, slack
from kagglekit.images.loader import place, placed
from kagglekit.images.warp import colour_map, normalise_on_device, warp
from kagglekit.types.stage import Border

pytestmark = pytest.mark.cuda
SIZE = 48


@pytest.mark.parametrize("border", get_args(Border))
@pytest.mark.parametrize("form", FORMS)
def test_a_store_on_the_device_gives_the_batches_of_a_memory_map(device, form, border):
    mapped = loader_of(store_of(33, FORMS[form]), border, torch.device("cpu"), SIZE)
    resident = replace(mapped, device=device, resident=placed(mapped.store, device))
    rows = [np.arange(i, min(i + 8, 33)) for i in range(0, 33, 8)]
    expected, batches = torch.cat(list(mapped.batches(rows, 1))), torch.cat(list(resident.batches(rows, 1)))
    assert batches.device.type == device.type
    assert batches.is_contiguous(memory_format=torch.channels_last)
    assert (batches.cpu() - expected).abs().mean() <= 2 / 255 / 0.25


def test_a_store_is_placed_whole_in_pieces(device, monkeypatch):
    monkeypatch.setattr("kagglekit.images.loader._CHUNK", 1000)
    store = store_of(12)
    flat = placed(store, device).cpu().numpy()
    assert np.array_equal(flat[: len(store.pixels)], store.pixels)
    assert len(flat) == len(store.pixels) + slack(store.widths, store.form)
    assert (place(store, device) is not None) == (device.type == "cuda")


@pytest.mark.parametrize("border", get_args(Border))
def test_the_warps_of_device_and_cpu_agree(device, border):
    store, draw = store_of(40), np.random.default_rng(1)
    maps = np.concatenate([draw.normal(0, 0.6, (40, 2, 2)), draw.normal(0, 1.5, (40, 2, 1))], axis=2)
    given = maps.astype(np.float32), store.aspects
    on_cpu = warp([store.image(row) for row in range(40)], *given, SIZE, border).astype(np.float32)
    places = store.offsets, store.heights, store.widths
    on_device = gather(placed(store, device), *places, *given, SIZE, border).permute(0, 2, 3, 1).cpu().numpy()
    assert np.abs(on_cpu - on_device).mean() <= 2.0
    assert np.abs(on_cpu - on_device).max() <= 32.0


def test_a_colour_map_in_the_warp_is_the_one_after_it(device):
    store, loader = store_of(9), loader_of(store_of(9), "reflect", device, SIZE)
    flat, places = placed(store, device), (store.offsets, store.heights, store.widths)
    given = *places, jittered(loader.keys, store.aspects, 0), store.aspects, SIZE, "reflect", store.form
    colours = lit(loader.keys, 0)
    at_once = gather(flat, *given, colour_map(colours, loader.config, 255))
    after = normalise_on_device(gather(flat, *given), colours, loader.config)
    torch.testing.assert_close(at_once, after, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("border", get_args(Border))
@pytest.mark.parametrize("form", FORMS)
def test_where_triton_is_installed_its_kernel_is_used_and_agrees(gpu, form, border):
    pytest.importorskip("triton")
    store = store_of(20, FORMS[form])
    assert device_warp._triton_agrees(gpu, store.form.channels, store.form.depth, border)
    from kagglekit.images.triton_warp import gathered_by_triton

    last = np.stack([store.widths, store.heights], axis=1) - 1
    matrices = np.random.default_rng(0).normal(0, 8, (20, 2, 3))
    given = placed(store, gpu), store.offsets // store.form.pixel_bytes, last, matrices, SIZE, border, store.form
    difference = (gathered_by_triton(*given) - gathered_by_torch(*given)).abs()
    assert float(difference.max()) < store.form.white / 255
