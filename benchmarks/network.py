"""One network for every contender: the same architecture, the same weights down to the head's random ones.

    python benchmarks/network.py --model resnet18 --work DIR

Without pretrained weights, the body is trained once, for a given number of steps, on drawn images of other classes than
those of the benchmarks. With random weights every contender would guess, and BatchNorm would have a dozen steps to find
its statistics.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pictures import draw
from safetensors.torch import save_file
from timing import options
from torch import nn

from kagglekit.compute.network import data_config, round_sizes
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.types.recipe import Recipe

COMPETITION = str(Path(__file__).with_name("drawn.py"))
OTHER_CLASSES, PER_CLASS, SIDE, STEPS = 30, 30, 96, 150


def main() -> None:
    """Train the weights if they are missing, and print their path."""
    asked = options(__doc__).parse_args()
    print(weights_file(asked))


def weights_file(asked: argparse.Namespace) -> Path:
    """Return the given weights, or those trained on drawn images once for each model."""
    if asked.weights:
        return Path(asked.weights).absolute()
    path: Path = asked.work / f"{asked.model}-drawn{'-tiny' if asked.tiny else ''}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        steps, per_class = (2, 2) if asked.tiny else (STEPS, PER_CLASS)
        save_file(_trained_body(asked.model, torch.device(asked.device), steps, per_class), path)
    return path.absolute()


def settings(asked: argparse.Namespace, **more: object) -> dict[str, object]:
    """Return the recipe fields that every run of kagglekit in the benchmarks sets."""
    both = {"stage.*.size": asked.size, "stage.*.batch_size": asked.batch}
    return {"arch": asked.model, "weights": str(weights_file(asked)), **both, **more}


def network(asked: argparse.Namespace, n_classes: int, seed: int = 0) -> nn.Module:
    """Build the network as kagglekit's runs do: `body`, pooled, and a linear `head` on it, on the CPU."""
    return _built(asked.model, asked.size, n_classes, weights=str(weights_file(asked)), seed=seed)


def untrained(asked: argparse.Namespace, n_classes: int) -> nn.Module:
    """Build the same network for its arithmetic alone: with the given weights, else random ones."""
    return _built(asked.model, asked.size, n_classes, weights=asked.weights, pretrained=bool(asked.weights))


def _built(arch: str, size: int, n_classes: int, **fields: Any) -> nn.Module:
    hooks = Hooks(load(COMPETITION))
    return hooks.model(_recipe(hooks, arch, size).model_copy(update=fields), n_classes)


def _recipe(hooks: Hooks, arch: str, size: int) -> Recipe:
    """Return a recipe with one size, px: vision transformers are built for the recipe's."""
    recipe = hooks.recipe("quick")
    stages = tuple(stage.model_copy(update={"size": size}) for stage in recipe.stages)
    return recipe.model_copy(update={"arch": arch, "stages": stages})


def _trained_body(name: str, device: torch.device, steps: int, per_class: int) -> dict[str, torch.Tensor]:
    """Train a timm network briefly and return the tensors of its body."""
    torch.manual_seed(0)
    model = _built(name, SIDE, OTHER_CLASSES, pretrained=False)
    (side, *_) = round_sizes(_recipe(Hooks(load(COMPETITION)), name, SIDE), data_config(model).multiple).sizes
    model = model.to(device, memory_format=torch.channels_last).train()
    images, labels = (torch.from_numpy(part) for part in _other_pictures(side, per_class))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    for _ in range(steps):
        picked = torch.randint(len(images), (64,))
        inputs = images[picked].to(device).float().div_(128).sub_(1).permute(0, 3, 1, 2)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type != "cpu"):  # very slow on some CPUs
            loss = nn.functional.cross_entropy(model(inputs), labels[picked].to(device))
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    print(f"trained {name} on drawn pictures of {OTHER_CLASSES} other classes: loss {loss.item():.2f}")
    return {key: value.detach().cpu().contiguous() for key, value in model.body.state_dict().items()}


def _other_pictures(side: int, per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw squares (N, side, side, 3) uint8 of classes that the benchmarks do not have, and their numbers (N)."""
    kinds = np.repeat(np.arange(OTHER_CLASSES), per_class)
    drawn = [draw(100 + int(kind), number, 256, 256) for number, kind in enumerate(kinds)]
    small = [cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)[:, :, ::-1] for picture in drawn]
    return np.stack(small), kinds


if __name__ == "__main__":
    main()
