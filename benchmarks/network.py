"""One network for every contender: the same architecture, the same weights down to the head's random ones.

    python benchmarks/network.py --model resnet18 --work DIR

Where no pretrained weights are at hand, the body is trained once, for a given number of steps, on drawn pictures of
other classes than those of the benchmarks: random weights would make every contender guess, and BatchNorm's
statistics would have to be found in a dozen steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import timm
import torch
from pictures import draw
from safetensors.torch import save_file
from timing import options
from torch import nn

from kagglekit.hooks import Hooks
from kagglekit.manager import load

COMPETITION = str(Path(__file__).with_name("drawn.py"))
OTHER_CLASSES, PER_CLASS, SIDE, STEPS = 30, 30, 96, 150


def main() -> None:
    """Train the weights if they are not there, and say where they are."""
    asked = options(__doc__).parse_args()
    print(weights_file(asked))


def weights_file(asked: argparse.Namespace) -> Path:
    """Return the weights asked for, or those trained on drawn pictures; these are made once for each model."""
    if asked.weights:
        return Path(asked.weights).absolute()
    path: Path = asked.work / f"{asked.model}-drawn{'-tiny' if asked.tiny else ''}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(_trained_body(asked.model, torch.device(asked.device), 2 if asked.tiny else STEPS), path)
    return path.absolute()


def settings(asked: argparse.Namespace, **more: object) -> dict[str, object]:
    """Return the recipe fields that every run of kagglekit in the benchmarks sets."""
    both = {"stage.*.size": asked.size, "stage.*.batch_size": asked.batch}
    return {"arch": asked.model, "weights": str(weights_file(asked)), **both, **more}


def network(asked: argparse.Namespace, n_classes: int, seed: int = 0) -> nn.Module:
    """Build the network as kagglekit's runs do: `body`, pooled, and a linear `head` on it, on the CPU."""
    hooks = Hooks(load(COMPETITION))
    recipe = hooks.recipe("quick").model_copy(
        update={"arch": asked.model, "weights": str(weights_file(asked)), "seed": seed}
    )
    return hooks.model(recipe, n_classes)


def _trained_body(name: str, device: torch.device, steps: int) -> dict[str, torch.Tensor]:
    """Train a timm network for a little while; return its body's tensors."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=OTHER_CLASSES).to(device, memory_format=torch.channels_last).train()
    images, labels = (torch.from_numpy(part) for part in _other_pictures())
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    for _ in range(steps):
        picked = torch.randint(len(images), (64,))
        inputs = images[picked].to(device).float().div_(128).sub_(1).permute(0, 3, 1, 2)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type != "cpu"):  # some CPUs crawl in it
            loss = nn.functional.cross_entropy(model(inputs), labels[picked].to(device))
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.reset_classifier(0)
    print(f"trained {name} on drawn pictures of {OTHER_CLASSES} other classes: loss {loss.item():.2f}")
    return {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}


def _other_pictures() -> tuple[np.ndarray, np.ndarray]:
    """Draw squares (N, SIDE, SIDE, 3) uint8 of classes that the benchmarks do not have, and their numbers (N)."""
    kinds = np.repeat(np.arange(OTHER_CLASSES), PER_CLASS)
    drawn = [draw(100 + int(kind), number, 256, 256) for number, kind in enumerate(kinds)]
    small = [cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[:, :, ::-1] for picture in drawn]
    return np.stack(small), kinds


if __name__ == "__main__":
    main()
