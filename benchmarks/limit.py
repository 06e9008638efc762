"""The ceiling: images/s of a model on synthetic tensors that are on the device already.

    python benchmarks/limit.py --model resnet18 --size 128 --batch 64 --device cpu

For each precision and memory layout: a training step of all layers, a step of the head on a frozen body, and a
forward pass. Nothing is loaded, copied or looked at in between.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from network import network
from timing import Report, interleaved, median, options, spread
from torch import Tensor, nn

from kagglekit.device import Format, candidates, choose_device, synchronise
from kagglekit.model import set_input_size

N_CLASSES = 10
MODES = ("train", "head", "infer")


@dataclass(frozen=True)
class Synthetic:
    """A network on a device, with one batch that never changes."""

    model: nn.Module
    images: Tensor
    targets: Tensor

    @property
    def device(self) -> torch.device:
        """Where both are."""
        return self.images.device


def main() -> None:
    """Measure every mode in every format, in turn."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, at least")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile and CUDA graphs (GPUs)")
    asked = parser.parse_args()
    batch = synthetic(asked)
    contenders: dict[str, Callable[[int], float]] = {}
    for mode in MODES:
        for chosen in formats(batch.device):
            contenders[f"{mode}: {chosen}"] = partial(_in_turn, batch, mode, chosen, asked.seconds, False)
            if asked.compile and mode != "head":
                contenders[f"{mode}: {chosen}, compiled"] = partial(_in_turn, batch, mode, chosen, asked.seconds, True)
    taken = interleaved(contenders, asked.runs)
    report = Report("limit", asked)
    for name, runs in taken.items():
        rates = [run.answer for run in runs]
        mode, _, variant = name.partition(": ")
        report.rows.append(
            {
                "mode": mode,
                "format": variant,
                "images/s": median(rates),
                "ms/step": 1000 * asked.batch / median(rates),
                "of all runs": spread(rates),
            }
        )
    report.finish()


def synthetic(asked: argparse.Namespace) -> Synthetic:
    """Build the network and its batch."""
    device = choose_device(asked.device)
    model = network(asked, N_CLASSES).to(device)
    set_input_size(model, asked.size)
    images = torch.randn(asked.batch, 3, asked.size, asked.size, device=device)
    targets = nn.functional.one_hot(torch.arange(asked.batch, device=device) % N_CLASSES, N_CLASSES).float()
    return Synthetic(model, images, targets)


def formats(device: torch.device) -> list[Format]:
    """List all formats worth measuring, those that kagglekit does not try included."""
    tried = candidates(device)
    return [*tried, *(Format(p, channels_last=False) for p in ("bf16", "fp32") if _is_new(p, tried))]


def _is_new(precision: str, tried: list[Format]) -> bool:
    return Format(precision, True) in tried and Format(precision, False) not in tried  # type: ignore[arg-type]


def _in_turn(batch: Synthetic, mode: str, chosen: Format, seconds: float, compiled: bool, run: int) -> float:
    return rate(batch, mode, chosen, seconds, compiled)


def rate(batch: Synthetic, mode: str, chosen: Format, seconds: float, compiled: bool = False) -> float:
    """Return images/s of a mode in a format: at least 3 steps and `seconds`, after one that is not timed."""
    step = prepared(batch, mode, chosen, compiled)
    for _ in range(3 if compiled else 1):
        step()
    synchronise(batch.device)
    started, steps = time.perf_counter(), 0
    while steps < 3 or time.perf_counter() - started < seconds:
        step()
        steps += 1
        if steps % 8 == 0:  # a device that is asked for much more than it has done yet would never be timed
            synchronise(batch.device)
    synchronise(batch.device)
    return steps * len(batch.images) / (time.perf_counter() - started)


def prepared(batch: Synthetic, mode: str, chosen: Format, compiled: bool = False) -> Callable[[], None]:
    """Lay out model and images as a format says, and return the step of a mode."""
    model, images = batch.model.to(memory_format=chosen.memory_format), batch.images
    images = images.contiguous(memory_format=chosen.memory_format)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(mode == "train" or (mode == "head" and name.startswith("head.")))
    model.train(mode == "train")
    called = torch.compile(model, mode="reduce-overhead") if compiled else model
    if mode == "infer":
        return partial(_forward, called, images, chosen)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    return partial(_train, called, images, batch.targets, chosen, optimizer)


def _train(
    model: Callable[[Tensor], Tensor], images: Tensor, targets: Tensor, chosen: Format, optimizer: torch.optim.Optimizer
) -> None:
    with chosen.autocast(images.device):
        logits = model(images)
    nn.functional.cross_entropy(logits.float(), targets).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@torch.no_grad()
def _forward(model: Callable[[Tensor], Tensor], images: Tensor, chosen: Format) -> None:
    with chosen.autocast(images.device):
        model(images)


if __name__ == "__main__":
    main()
