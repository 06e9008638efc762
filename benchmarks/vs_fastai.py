"""A whole fine-tune, from JPEG files to test predictions with test-time augmentation, in fastai and in kagglekit.

    python benchmarks/vs_fastai.py --model resnet18 --size 128 --batch 64 --runs 3 [--data pets=DIR]

Both get the same network with the same weights, and train one epoch with a frozen body and `--epochs` of all layers,
in steps of `--batch`; then they predict the test images plain and under four augmented views. Each uses its own
augmentation and learning rates. kagglekit also predicts the valid images so, and writes the checked CSV. Imports do
not count; building kagglekit's store does.

fastai runs in three ways: the presizing that its book and tutorials recommend (460 px on the CPU, the rest on the
batch); one random resized crop an image; and the same tuned for speed: channels_last, frozen BatchNorm, and bf16
unless the CPU has no instructions for it.
"""

from __future__ import annotations

import argparse
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from network import network
from pictures import asked_for
from real import classes, data_options
from timing import options
from versus import Contender, Scores, compare, ours, scored

from kagglekit.compute.precision import candidates

warnings.filterwarnings("ignore", module="torch|fastai|fastprogress|plum")

PRESIZE = 460


def main() -> None:
    """Compare all contenders."""
    parser = options(__doc__)
    parser.add_argument("--epochs", type=int, default=1, help="of all layers, after one with a frozen body")
    parser.add_argument("--only", nargs="*", default=(), help="names of contenders")
    data_options(parser)
    asked = parser.parse_args()
    data = asked_for(asked)
    peers = {
        "fastai presizing": fastai(asked, data, "presizing"),
        "fastai rrc": fastai(asked, data, "rrc"),
        "fastai tuned": fastai(asked, data, "tuned"),
    }
    own = {
        "kagglekit": ours(asked, data, "quick"),
        "kagglekit, head on cached activations": ours(asked, data, "standard"),
        "kagglekit, first run on a machine": ours(asked, data, "quick", keep_formats=False),
    }
    import_module("fastai.vision.all")  # now, since imports do not count
    network(asked, len(classes(data)))  # makes missing weights, and imports what both need
    compare("vs_fastai", asked, {**peers, **own}, peers)


def fastai(asked: argparse.Namespace, data: Path, recipe: str) -> Contender:
    """Return one of fastai's recipes as a contender."""
    from fastai.vision import all as fv

    def run(seed: int) -> Scores:
        fv.set_seed(seed)
        dls = loaders(asked, data, recipe)
        learn = learner(asked, dls, recipe, seed)
        with learn.no_bar(), learn.no_logging():
            learn.fine_tune(asked.epochs)
            files = fv.get_image_files(data / "test")
            chances, _ = learn.tta(dl=dls.test_dl(files))
        return scored(chances.numpy(), [dls.vocab.o2i[file.parent.name] for file in files])

    return run


def loaders(asked: argparse.Namespace, data: Path, recipe: str) -> Any:
    """Build the DataLoaders of a recipe, with fastai's own number of workers."""
    from fastai.vision import all as fv

    normalise = fv.Normalize.from_stats(*fv.imagenet_stats)
    if recipe == "presizing":
        item = fv.Resize(PRESIZE)
        batch = [*fv.aug_transforms(size=asked.size, min_scale=0.75), normalise]
    else:
        item, batch = fv.RandomResizedCrop(asked.size, min_scale=0.35), [normalise]
    block = fv.DataBlock(
        blocks=(fv.ImageBlock, fv.CategoryBlock),
        get_items=lambda folder: fv.get_image_files(folder, folders=["train", "valid"]),
        splitter=fv.GrandparentSplitter(train_name="train", valid_name="valid"),
        get_y=fv.parent_label,
        item_tfms=item,
        batch_tfms=batch,
    )
    return block.dataloaders(data, bs=asked.batch, device=torch.device(asked.device))


def learner(asked: argparse.Namespace, dls: Any, recipe: str, seed: int) -> Any:
    """Put the network into a Learner whose layer groups are body and head, as fastai splits timm's networks."""
    from fastai.vision import all as fv

    model = network(asked, len(dls.vocab), seed).to(asked.device)
    callbacks = [fv.ChannelsLast(), half(asked.device)] if recipe == "tuned" else []
    return fv.Learner(
        dls,
        model,
        loss_func=fv.CrossEntropyLossFlat(),
        metrics=fv.accuracy,
        splitter=lambda m: [fv.params(m.body), fv.params(m.head)],
        cbs=callbacks,
        train_bn=recipe != "tuned",
        path=asked.work,
    )


def half(device: str) -> Any:
    """Return a callback like fastai's MixedPrecision, whose autocast is for CUDA only, for any device."""
    from fastai.vision import all as fv

    chosen = candidates(torch.device(device))[0]

    class Half(fv.Callback):
        order = 10

        def before_batch(self) -> None:
            self.context = chosen.autocast(torch.device(device))
            self.context.__enter__()
            (x,) = self.learn.xb
            self.learn.xb = (x.contiguous(memory_format=torch.channels_last),)

        def after_pred(self) -> None:
            self.learn.pred = self.pred.float()
            self.context.__exit__(None, None, None)

    return Half()


if __name__ == "__main__":
    main()
