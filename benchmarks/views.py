"""Training batches with each augmentation, beside the default view alone and torchvision's own augmentations.

    python benchmarks/views.py --size 128 [--data pets=DIR]

Each contender makes batches of the stored images in one thread, as the loader does, without a network. CPU time is what
a training step misses on a machine whose cores are all busy.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from network import COMPETITION
from pictures import asked_for
from real import data_options
from timing import Report, fresh_cache, interleaved, median_of, options, spread

from kagglekit import Recipe, Stage
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.images.decode import built_store
from kagglekit.images.loader import Loader, place
from kagglekit.images.store import StoreSpec
from kagglekit.images.warp import copy_side
from kagglekit.types.data_config import DataConfig
from kagglekit.types.randomness import image_keys

CONFIG = DataConfig(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
AUGMENT = (
    "",
    "trivial-augment",
    "torchvision.TrivialAugmentWide",
    "rand-augment",
    "torchvision.RandAugment",
    "random-erasing",
    "torchvision.RandomErasing(value=random)",
    "color-jitter",
    "torchvision.ColorJitter(brightness=0.4,contrast=0.4,saturation=0.4,hue=0.1)",
    "gaussian-blur",
    "jpeg",
    "grayscale",
    "trivial-augment+random-erasing",
)
MOST = 512  # images


def main() -> None:
    """Compare all contenders."""
    parser = options(__doc__, without=("model", "weights"))
    data_options(parser)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    hooks, files = Hooks(load(COMPETITION)), tuple(sorted(asked_for(asked).glob("*/*/*.jpg")))[:MOST]
    with fresh_cache(asked.work):
        spec = StoreSpec(files, files[0].parent, copy_side(asked.size), "short", hooks.reader())
        store = built_store(spec, hooks.read_image)
        keys, device = image_keys([str(file) for file in files]), torch.device(asked.device)
        resident = place(store, device)
        contenders = {}
        for augment in AUGMENT:
            recipe = Recipe(arch="none", stages=(Stage(name="all", size=asked.size, augment=augment),))
            view = hooks.views(recipe, recipe.stages[0], "train", CONFIG)
            loader = Loader(store, view, asked.size, CONFIG, keys, device, resident)
            contenders[augment or "side_on alone"] = partial(made, loader, asked.batch)
        for work in contenders.values():
            work(0)
        taken = interleaved(contenders, asked.runs)
    report = Report("views", asked)
    default = median_of(next(iter(taken.values())), "cpu")
    for name, runs in taken.items():
        cpu = median_of(runs, "cpu")
        report.rows.append(
            {
                "augment": name,
                "CPU ms an image": 1000 * cpu / len(files),
                "of all runs": spread([1000 * run.cpu / len(files) for run in runs]),
                "images/s": len(files) / median_of(runs),
                "beside the default": f"{cpu / default:.2f}x",
            }
        )
    report.notes.append(f"{len(files)} images, each in batches of {asked.batch}, one epoch a run")
    report.finish()


def made(loader: Loader, batch: int, run: int) -> None:
    """Make all batches of one epoch."""
    rows = np.arange(len(loader.store))
    for start in range(0, len(rows), batch):
        loader.batch(rows[start : start + batch], run)
    if loader.device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
