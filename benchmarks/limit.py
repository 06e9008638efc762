"""The ceiling: images/s of a model on synthetic tensors that are already on the device.

    python benchmarks/limit.py --model resnet18 --size 128 --batch 64 --device cpu

For each precision and memory layout: a training step of all layers, a step of the head on a frozen body, and a
forward pass. The last two are also measured with BatchNorm folded into the convolutions, as in kagglekit's runs where
the body does not train. Nothing is loaded, copied or read in between. Without `--weights` they are random: the
arithmetic is the same.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from network import untrained
from timing import Report, Taken, clock, interleaved, median, options, spread
from torch import Tensor, nn

from kagglekit.compute.device import Format, choose_device, synchronise
from kagglekit.compute.fuse_batchnorm import folded
from kagglekit.compute.network import set_input_size
from kagglekit.compute.precision import candidates

N_CLASSES = 10
MODES = ("train", "head", "head folded", "infer", "infer folded")


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


@dataclass(frozen=True)
class Speed:
    """Images/s, and CPU seconds of 1,000 images."""

    rate: float
    cpu: float


def main() -> None:
    """Measure every mode in every format, in turn."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, at least")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile and CUDA graphs (GPUs)")
    asked = parser.parse_args()
    batch = synthetic(asked)
    contenders: dict[str, Callable[[int], Speed]] = {}
    for mode in modes(batch.model):
        for chosen in formats(batch.device):
            contenders[f"{mode}: {chosen}"] = partial(in_turn, batch, mode, chosen, asked.seconds)
            if asked.compile and not mode.startswith("head"):
                work = partial(in_turn, batch, mode, chosen, asked.seconds, compiled=True)
                contenders[f"{mode}: {chosen}, compiled"] = work
    taken = interleaved(contenders, asked.runs)
    report = Report("limit", asked)
    for name, runs in taken.items():
        mode, _, variant = name.partition(": ")
        reached = speed_of(runs)
        report.rows.append(
            {
                "mode": mode,
                "format": variant,
                "images/s": reached.rate,
                "ms/step": 1000 * asked.batch / reached.rate,
                "of all runs": spread([run.answer.rate for run in runs]),
                "CPU s for 1,000 images": reached.cpu,
            }
        )
    report.finish()


def synthetic(asked: argparse.Namespace, n_classes: int = N_CLASSES) -> Synthetic:
    """Build the network and its batch."""
    device = choose_device(asked.device)
    model = untrained(asked, n_classes).to(device)
    set_input_size(model, asked.size)
    images = torch.randn(asked.batch, 3, asked.size, asked.size, device=device)
    targets = nn.functional.one_hot(torch.arange(asked.batch, device=device) % n_classes, n_classes).float()
    return Synthetic(model, images, targets)


def modes(model: nn.Module) -> list[str]:
    """List the modes that differ: those that fold only where a network has something to fold."""
    nothing = folded(model.eval()) is model
    return [mode for mode in MODES if not (nothing and mode.endswith("folded"))]


def formats(device: torch.device) -> list[Format]:
    """List all formats worth measuring, with those that kagglekit does not try."""
    tried = candidates(device)
    return [*tried, *(Format(p, channels_last=False) for p in ("bf16", "fp32") if _is_new(p, tried))]


def _is_new(precision: str, tried: list[Format]) -> bool:
    return Format(precision, True) in tried and Format(precision, False) not in tried  # type: ignore[arg-type]


def in_turn(batch: Synthetic, mode: str, chosen: Format, seconds: float, run: int = 0, compiled: bool = False) -> Speed:
    """Measure a mode in a format, as a contender."""
    step = prepared(batch, mode, chosen, compiled)
    return steady(step, len(batch.images), batch.device, seconds, untimed=3 if compiled else 1)


def steady(step: Callable[[], None], n: int, device: torch.device, seconds: float, untimed: int = 1) -> Speed:
    """Repeat a step over `n` images, at least 3 times and for `seconds`, after an untimed warm-up."""
    for _ in range(untimed):
        step()
    synchronise(device)
    steps = 0
    with clock() as taken:
        started = time.perf_counter()
        while steps < 3 or time.perf_counter() - started < seconds:
            step()
            steps += 1
            if steps % 8 == 0:  # without this wait, work would queue up and never be timed
                synchronise(device)
        synchronise(device)
    return speed(steps * n, taken)


def speed(images: int, taken: Taken) -> Speed:
    """Return the speed of `n` images in a time."""
    return Speed(images / taken.wall, 1000 * taken.cpu / images)


def speed_of(runs: Sequence[Taken]) -> Speed:
    """Return the medians of runs that measured a speed."""
    return Speed(median([run.answer.rate for run in runs]), median([run.answer.cpu for run in runs]))


def prepared(batch: Synthetic, mode: str, chosen: Format, compiled: bool = False) -> Callable[[], None]:
    """Convert model and images to a format, and return the step of a mode."""
    kind, _, way = mode.partition(" ")
    model, images = batch.model, batch.images.contiguous(memory_format=chosen.memory_format)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(kind == "train" or (kind == "head" and name.startswith("head.")))
    model.train(kind == "train")
    if way == "folded":
        model = folded(model, shared=model.head if kind == "head" else None)
    model.to(memory_format=chosen.memory_format)
    called = torch.compile(model, mode="reduce-overhead") if compiled else model
    if kind == "infer":
        return partial(_forward, called, images, chosen)
    return training_step(model, images, batch.targets, chosen, called)


def training_step(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    chosen: Format,
    called: Callable[[Tensor], Tensor] | None = None,
) -> Callable[[], None]:
    """Return a step of all parameters that require gradients; `called` is the compiled model, if any."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    return partial(_train, called or model, images, targets, chosen, optimizer)


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
