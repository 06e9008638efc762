"""The stored copies' side against one twice as large, by what a network makes of them: real images, real weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from store_parts import built

from kagglekit.hooks import Hooks
from kagglekit.loader import Loader
from kagglekit.manager import load
from kagglekit.model import data_config
from kagglekit.recipe import Recipe, Stage
from kagglekit.solver import fit_linear_head
from kagglekit.store import StoreSpec
from kagglekit.table import check_table
from kagglekit.view import image_keys
from kagglekit.warp import copy_side

SHARED = Path(__file__).parents[2] / "shared"
PETS, WEIGHTS = SHARED / "data" / "oxford-iiit-pet", SHARED / "weights" / "mobilenetv2_100_in1k.safetensors"
SIZE = 96
N_CLASSES, PER_CLASS = 37, 80  # half of them for the fit, half for the loss


@pytest.fixture(scope="module")
def images() -> tuple[tuple[Path, ...], NDArray[np.int64]]:
    """Return files and class numbers of some breeds' pictures, the classes in turn."""
    table, _ = check_table(Hooks(load("pets")).labels(PETS), PETS)
    breeds = sorted(set(table["label"]))[:: 37 // N_CLASSES][:N_CLASSES]
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


@pytest.mark.skipif(not (PETS.is_dir() and WEIGHTS.is_file()), reason="pets and weights are not beside the repository")
def test_copies_twice_as_large_do_not_lower_the_log_loss(
    images: tuple[tuple[Path, ...], NDArray[np.int64]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path))
    files, labels = images
    ours, larger = losses(files, labels, copy_side(SIZE)), losses(files, labels, 2 * copy_side(SIZE))
    assert ours.mean() < 0.5 * np.log(N_CLASSES)  # the network knows what it sees
    difference = ours - larger
    print(f"log loss {ours.mean():.4f}, with copies twice as large {larger.mean():.4f}")
    assert difference.mean() < 2 * difference.std(ddof=1) / len(difference) ** 0.5
