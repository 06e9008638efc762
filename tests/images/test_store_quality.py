"""The stored copies' side against one twice as large, by what a network makes of them: real images, real weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from places import SHARED
from store_parts import built

from kagglekit.compute.network import data_config
from kagglekit.data.table import check_table
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.images.loader import Loader
from kagglekit.images.store import StoreSpec
from kagglekit.images.warp import copy_side
from kagglekit.tasks.softmax_regression import fit_linear_head
from kagglekit.types.randomness import image_keys
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

PETS, WEIGHTS = SHARED / "data" / "oxford-iiit-pet", SHARED / "weights" / "mobilenetv2_100_in1k.safetensors"
SIZE = 80  # px: the files beside the repository have short sides of 160
N_CLASSES, PER_CLASS = 37, 80  # half of them for the fit, half for the loss


@pytest.fixture(scope="module")
def images() -> tuple[tuple[Path, ...], NDArray[np.int64]]:
    """Return files and class numbers of some pictures of each breed, the breeds in turn."""
    table, _ = check_table(Hooks(load("pets")).labels(PETS), PETS)
    breeds = sorted(set(table["label"]))
    files = [table.loc[table["label"] == breed, "path"].tolist()[:PER_CLASS] for breed in breeds]
    assert {len(some) for some in files} == {PER_CLASS}
    order = [Path(path) for same_place in zip(*files, strict=True) for path in same_place]
    return tuple(order), np.tile(np.arange(N_CLASSES), PER_CLASS)


def losses(files: tuple[Path, ...], labels: NDArray[np.int64], side: int) -> NDArray[np.float64]:
    """Return the log loss of each image of the second half, nats, of a head fitted to the first half's features."""
    hooks, stage = Hooks(load("pets")), Stage(name="head", size=SIZE)
    recipe = Recipe(arch="mobilenetv2_100.ra_in1k", weights=str(WEIGHTS), stages=(stage,))
    model = hooks.model(recipe, N_CLASSES).eval()
    config = data_config(model)
    view = hooks.views(recipe, stage, "plain", config)
    store = built(StoreSpec(files, PETS, side, view.fit, hooks.reader()))
    loader = Loader(store, view, SIZE, config, image_keys([path.stem for path in files]), torch.device("cpu"))
    model.head = torch.nn.Identity()
    chunks = np.array_split(np.arange(len(files)), 10)
    with torch.no_grad():
        features = torch.cat([model(batch) for batch in loader.batches(chunks, 0)]).numpy()
    half = len(files) // 2
    head = fit_linear_head(features[:half], labels[:half], N_CLASSES, 0)
    logits = torch.from_numpy(features[half:] @ head.weight.T + head.bias)
    truth = torch.from_numpy(labels[half:])
    found: NDArray[np.float64] = torch.nn.functional.cross_entropy(logits, truth, reduction="none").double().numpy()
    return found


def standard_errors(ours: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return by how many standard errors of the paired difference the mean of `ours` is the greater one."""
    difference = ours - other
    return float(difference.mean() / difference.std(ddof=1) * len(difference) ** 0.5)


@pytest.mark.slow
@pytest.mark.skipif(not (PETS.is_dir() and WEIGHTS.is_file()), reason="pets and weights are not beside the repository")
def test_copies_twice_as_large_do_not_lower_the_log_loss_and_smaller_ones_raise_it(
    images: tuple[tuple[Path, ...], NDArray[np.int64]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path))
    sides = (copy_side(SIZE), 2 * copy_side(SIZE), SIZE * 9 // 8)
    ours, larger, smaller = (losses(*images, side) for side in sides)
    print(
        *(
            f"copies of {side} px: log loss {each.mean():.4f}"
            for side, each in zip(sides, (ours, larger, smaller), strict=True)
        )
    )
    assert ours.mean() < 0.5 * np.log(N_CLASSES)  # the network knows what it sees
    assert standard_errors(ours, larger) < 2
    assert standard_errors(smaller, larger) > 2  # so few images show a difference of that kind
