"""What a GPU would do for a batch, on CPU tensors: how many kernels, one transfer, and pixels beyond 2 GiB."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import forks
import numpy as np
import pytest
import torch
from random_stores import FORMS, loader_of, store_of
from torch.utils._python_dispatch import TorchDispatchMode

from kagglekit.images import device_warp
from kagglekit.images.device_warp import gather
from kagglekit.images.loader import placed
from kagglekit.types.stage import Border

CPU = torch.device("cpu")


class Kernels(TorchDispatchMode):
    """The names of the operations in its block that a GPU would run as kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view and "empty" not in func._schema.name:
            self.names.append(func._schema.name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("border", "most"), [("reflect", 12), ("edge", 11), ("zero", 17)])
def test_a_batch_takes_few_kernels_and_one_transfer(monkeypatch, border: Border, most: int):
    loader = loader_of(store_of(8), border, CPU, 32)
    loader = replace(loader, resident=placed(loader.store, CPU))
    transfers, real = [], device_warp.all_to_device
    monkeypatch.setattr(device_warp, "all_to_device", lambda *given: transfers.append(1) or real(*given))
    loader.batch(np.arange(8), 0)
    with Kernels() as kernels:
        loader.batch(np.arange(8), 1)
    finish = 2  # the colour map
    assert len(kernels.names) == most + finish, kernels.names
    assert len(transfers) == 2


def test_pixels_beyond_2_gib_are_found(tmp_path: Path):
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    start, n = 3 * (1 << 30), 3 * (1 << 30) + 40 * 30 * 3 + 31 * 3
    with (tmp_path / "pixels").open("wb") as file:  # sparse: it takes no room
        file.seek(start)
        file.write(image.tobytes())
        file.truncate(n)
    flat = torch.from_numpy(np.memmap(tmp_path / "pixels", np.uint8, "r+"))
    places = np.array([start]), np.array([40], np.int32), np.array([30], np.int32)
    given = np.eye(2, 3, dtype=np.float32)[None], np.array([0.75], np.float32), 40, "edge"
    near = torch.cat([torch.from_numpy(image.reshape(-1)), torch.zeros(31 * 3, dtype=torch.uint8)])
    assert torch.equal(gather(flat, *places, *given), gather(near, np.array([0]), *places[1:], *given))


def test_a_store_without_slack_is_refused():
    store = store_of(3)
    places = store.offsets, store.heights, store.widths
    maps = np.repeat(np.eye(2, 3, dtype=np.float32)[None], 3, axis=0)
    with pytest.raises(ValueError, match="slack"):
        gather(torch.from_numpy(store.pixels), *places, maps, store.aspects, 8, "edge")


INTERPRETED = """
import numpy as np, torch
from kagglekit.images.device_warp import gathered_by_torch
from kagglekit.images.loader import placed
from kagglekit.images.triton_warp import gathered_by_triton
from random_stores import FORMS, store_of

draw = np.random.default_rng(1)
for form in FORMS.values():
    for border in ("reflect", "edge", "zero"):
        store = store_of(3, form)
        last = np.stack([store.widths, store.heights], axis=1) - 1
        given = placed(store, torch.device("cpu")), store.offsets // form.pixel_bytes, last
        given += draw.normal(0, 5, (3, 2, 3)), 20, border, form
        colours = [draw.normal(size=(3, form.channels)).astype(np.float32) for _ in range(2)]
        finish = (*colours, np.full((1, form.channels), -500.0), np.full((1, form.channels), 500.0))
        for finished in (None, finish):
            off = (gathered_by_triton(*given, finished) - gathered_by_torch(*given, finished)).abs().max()
            print(border, form.channels, float(off) / form.white)
"""


def test_tritons_kernel_gives_the_same_values(tmp_path: Path):
    pytest.importorskip("triton")
    support = Path(__file__).parents[1] / "support"
    surroundings = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(support)}
    done = forks.run(["-c", f"import sys; sys.path.insert(0, {str(support)!r})\n{INTERPRETED}"], tmp_path, surroundings)
    assert done.returncode == 0, done.stderr
    differences = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(differences) == 2 * len(FORMS) * len(get_args(Border))
    assert max(differences) < 1e-3
