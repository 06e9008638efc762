"""A whole fine-tune, from JPEG files to test predictions under several views, with timm's own parts and in kagglekit.

    python benchmarks/vs_timm.py --model resnet18 --size 128 --batch 64 --runs 3 [--data pets=DIR]

The same network, weights, epochs and steps as in vs_fastai.py. timm's side is the loop of its training script:
timm.data.create_loader (random resized crop, flip, colour jitter; two workers a loader), timm.optim's AdamW,
timm.scheduler's cosine, validation after each epoch. timm has no test-time augmentation of its own: the test images
are predicted plain and four times with the training transforms. "timm tuned" adds channels_last, a body in eval
mode while it is frozen, and bf16 unless the CPU has no instructions for it.
"""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import timm.data
import timm.optim
import timm.scheduler
import torch
from network import network
from pictures import asked_for
from real import classes, data_options
from timing import options
from torch import Tensor, nn
from versus import Contender, Scores, compare, ours, scored

from kagglekit.compute.precision import candidates

LR = 1e-3
PASSES = 4


def main() -> None:
    """Compare all contenders."""
    parser = options(__doc__)
    parser.add_argument("--epochs", type=int, default=1, help="of all layers, after one with a frozen body")
    parser.add_argument("--only", nargs="*", default=(), help="names of contenders")
    data_options(parser)
    asked = parser.parse_args()
    data = asked_for(asked)
    peers = {"timm": timm_loop(asked, data, tuned=False), "timm tuned": timm_loop(asked, data, tuned=True)}
    own = {
        "kagglekit": ours(asked, data, "quick"),
        "kagglekit, head on cached activations": ours(asked, data, "standard"),
    }
    network(asked, len(classes(data)))  # makes missing weights, and imports what both need
    compare("vs_timm", asked, {**peers, **own}, peers)


def timm_loop(asked: argparse.Namespace, data: Path, tuned: bool) -> Contender:
    """Return timm's loop as a contender."""

    def run(seed: int) -> Scores:
        torch.manual_seed(seed)
        sets, model = image_sets(data), network(asked, len(classes(data)), seed).to(asked.device)
        if tuned:
            model.to(memory_format=torch.channels_last)
        train, valid = loader(asked, sets["train"], True), loader(asked, sets["valid"], False)
        fit(asked, model, train, valid, 1, tuned, frozen=True)
        fit(asked, model, train, valid, asked.epochs, tuned, frozen=False)
        chances, labels = predicted(asked, model, loader(asked, sets["test"], False), tuned)
        for _ in range(PASSES):
            chances += predicted(asked, model, loader(asked, sets["test"], True, in_order=True), tuned)[0]
        return scored((chances / (1 + PASSES)).numpy(), labels.tolist())

    return run


def image_sets(data: Path) -> dict[str, Any]:
    """Open each split, all with the same numbers of the classes: valid or test may lack some classes."""
    numbers = {name: number for number, name in enumerate(classes(data))}
    splits = ("train", "valid", "test")
    return {split: timm.data.create_dataset("", root=data / split, class_map=numbers) for split in splits}


def loader(asked: argparse.Namespace, images: Any, augmented: bool, in_order: bool = False) -> Any:
    """Make timm's loader; with `in_order` the training transforms are applied to all images in their order."""
    common = {"input_size": (3, asked.size, asked.size), "batch_size": asked.batch, "num_workers": workers()}
    common |= {"device": torch.device(asked.device), "persistent_workers": False}
    made = timm.data.create_loader(images, is_training=augmented and not in_order, **common)
    if in_order:  # the loader of evaluation, with the other transforms; mean and std are the prefetcher's in both
        made.dataset.transform = timm.data.create_transform(
            common["input_size"], is_training=True, use_prefetcher=True, color_jitter=0.4
        )
    return made


def workers() -> int:
    """Return the number of workers that fastai uses."""
    return min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def fit(
    asked: argparse.Namespace, model: nn.Module, train: Any, valid: Any, epochs: int, tuned: bool, frozen: bool
) -> None:
    """Train for some epochs, the head alone or all layers, with validation after each."""
    model.body.requires_grad_(not frozen)
    groups = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = timm.optim.create_optimizer_v2(groups, opt="adamw", lr=LR, weight_decay=0.01)
    steps = len(train) * epochs
    schedule = timm.scheduler.CosineLRScheduler(optimizer, t_initial=steps, t_in_epochs=False)
    for epoch in range(epochs):
        model.train()
        if tuned and frozen:
            model.body.eval()
        for i, (images, labels) in enumerate(train):
            with precision(asked.device, tuned):
                logits = model(laid_out(images, tuned))
                loss = nn.functional.cross_entropy(logits.float(), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step_update(epoch * len(train) + i + 1)
        predicted(asked, model, valid, tuned)


@torch.no_grad()
def predicted(asked: argparse.Namespace, model: nn.Module, images: Any, tuned: bool) -> tuple[Tensor, Tensor]:
    """Return probabilities (N, C) and class numbers (N) of a loader's images."""
    model.eval()
    chances, truth = [], []
    for batch, labels in images:
        with precision(asked.device, tuned):
            chances.append(model(laid_out(batch, tuned)).float().softmax(1).cpu())
        truth.append(labels.cpu())
    return torch.cat(chances), torch.cat(truth)


def precision(device: str, tuned: bool) -> Any:
    """Return the context of a forward pass."""
    there = torch.device(device)
    return candidates(there)[0].autocast(there) if tuned else nullcontext()


def laid_out(images: Tensor, tuned: bool) -> Tensor:
    """Convert a batch to the network's memory layout."""
    return images.contiguous(memory_format=torch.channels_last) if tuned else images


if __name__ == "__main__":
    main()
