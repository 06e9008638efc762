"""How many operations the host launches for a batch, a step and an epoch's end, and what they cost the host.

    python benchmarks/launches.py --model resnet50 --size 64 --batch 64 --device cpu [--compile]

Operations are those that a GPU would run as kernels or copies: views and empty tensors are not counted, one call for
many tensors counts once. The same Python launches the same operations on a CPU, so their number can be counted on any
machine. Host time is that of tiny tensors, where the arithmetic takes nothing. On a GPU, plain steps are also timed
beside recorded ones and, with `--compile`, compiled ones.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from limit import N_CLASSES, steady, synthetic, training_step
from network import untrained
from timing import Report, median, options
from torch.utils._python_dispatch import TorchDispatchMode

from kagglekit.compute.device import Compute, Format, synchronise
from kagglekit.compute.finite import all_finite
from kagglekit.compute.fuse_batchnorm import folded, refolded
from kagglekit.compute.precision import candidates
from kagglekit.images.device_warp import gathered_by_torch, slack
from kagglekit.images.warp import colour_map, pixel_maps
from kagglekit.tasks.single_label import SingleLabel
from kagglekit.training.state import MovingAverage, StageFit
from kagglekit.training.tuning import compiled, recorded
from kagglekit.types.data_config import DataConfig
from kagglekit.types.pixel_form import RGB
from kagglekit.types.schedule import Schedule
from kagglekit.types.stage import Stage

EMPTY = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")
TINY = 8  # px


class Counted(TorchDispatchMode):
    """Counts the operations in its block."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view and func._schema.name.removeprefix("aten::") not in EMPTY:
            self.names.append(func._schema.name)
        return func(*args, **(kwargs or {}))


def main() -> None:
    """Count, time and print."""
    parser = options(__doc__, model="resnet50", size=64)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement of steps on a GPU, at least")
    parser.add_argument("--compile", action="store_true", help="also time compiled steps (GPUs)")
    asked = parser.parse_args()
    report = Report("launches", asked)
    for what, work in pieces(asked).items():
        report.rows.append(cost(what, work, torch.device(asked.device), 20 if asked.tiny else 200))
    if torch.device(asked.device).type == "cuda":
        report.rows += [gathers(asked), *timed_steps(asked)]
    report.finish()


def cost(what: str, work: Callable[[], Any], device: torch.device, repeats: int) -> dict[str, Any]:
    """Count the operations of a piece of work, and time the host while it launches them."""
    work()
    with Counted() as counted:
        work()
    taken = []
    for _ in range(repeats):
        synchronise(device)
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return {"what": what, "operations": len(counted.names), "host ms": 1000 * median(taken)}


def pieces(asked: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Return the pieces of work that a run repeats, on tiny tensors and the asked network."""
    device = torch.device(asked.device)
    model = untrained(asked, N_CLASSES).to(device)
    average, trained = MovingAverage(model, 0.99), untrained(asked, N_CLASSES).to(device).eval()
    batches = {f"batch gathered, {border}": batch(asked.batch, TINY, device, border) for border in ("reflect", "zero")}
    return {
        **batches,
        "moving average of a step": average.update,
        "finite check of a checkpoint": lambda: all_finite(model.state_dict().values()),
        "network folded": lambda: folded(trained),
        "network folded again": lambda: refolded(trained),
    }


def batch(n: int, size: int, device: torch.device, border: str) -> Callable[..., Any]:
    """Return the work of warping a batch of `n` images on the device, with its colour map."""
    draw = np.random.default_rng(0)
    last = draw.integers(150, 250, (n, 2)).astype(np.int32)
    lengths = (last + 1).prod(axis=1, dtype=np.int64)
    n_bytes = int(lengths.sum()) * 3 + slack(last[:, 0] + 1, RGB)
    flat = torch.from_numpy(draw.integers(0, 256, n_bytes, dtype=np.uint8)).to(device)
    maps = (np.eye(2, 3)[None] + draw.normal(0, 0.2, (n, 2, 3))).astype(np.float32)
    light = np.tile(np.array([1.1, -0.05], np.float32), (n, 1))
    config = DataConfig((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def work(gathered: Callable[..., Any] = gathered_by_torch) -> Any:
        matrices = pixel_maps(maps, last[:, 1] + 1, last[:, 0] + 1, np.ones(n, np.float32), size)
        starts = np.cumsum(lengths) - lengths
        return gathered(flat, starts, last, matrices, size, border, RGB, colour_map(light, config, 255))

    return work


def gathers(asked: argparse.Namespace) -> dict[str, Any]:
    """Time a batch of the asked size by torch's functions and by Triton's kernel."""
    work, device = batch(asked.batch, asked.size, torch.device(asked.device), "reflect"), torch.device(asked.device)
    row: dict[str, Any] = {"what": f"batch of {asked.batch} gathered at {asked.size} px"}
    row["images/s"] = steady(work, asked.batch, device, asked.seconds).rate
    try:
        from kagglekit.images.triton_warp import gathered_by_triton
    except ImportError:
        return row
    row["images/s by Triton"] = steady(lambda: work(gathered_by_triton), asked.batch, device, asked.seconds).rate
    return row


def timed_steps(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Time training steps in the format that is tried first: plain, recorded, compiled."""
    one = synthetic(asked)
    chosen = candidates(one.device)[0]
    model, images = one.model.to(memory_format=chosen.memory_format).train(), one.images
    one = replace(one, images=images.contiguous(memory_format=chosen.memory_format))
    fit, rows = stage_fit(one.model, chosen, asked), []
    for name, make in {"plain": None, "recorded": recorded, "compiled": compiled if asked.compile else None}.items():
        if make is None and name != "plain":
            continue
        called, seconds = make(fit, asked.batch) if make else (None, 0.0)
        step = training_step(model, one.images, one.targets, chosen, called)
        reached = steady(step, asked.batch, one.device, asked.seconds, untimed=3)
        row = {"what": f"{name} steps, {asked.model} at {asked.size} px, {chosen}", "images/s": reached.rate}
        rows.append({**row, "ms/step": 1000 * asked.batch / reached.rate, "s to make": seconds})
        del called, step
    torch.compiler.reset()
    return rows


def stage_fit(model: torch.nn.Module, chosen: Format, asked: argparse.Namespace) -> StageFit:
    """Return what recording and compiling need of a stage."""
    stage = Stage(name="steps", size=asked.size, batch_size=asked.batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    compute = Compute(torch.device(asked.device), chosen, chosen, "as requested")
    rows, task = np.arange(asked.batch), SingleLabel(tuple(map(str, range(N_CLASSES))))
    schedule = Schedule(np.full(1, 1e-5), np.full(1, 0.9), (1,))
    loss = torch.nn.functional.cross_entropy
    return StageFit(model, None, rows, rows, task, stage, 1, optimizer, schedule, loss, compute, chosen, 0)


if __name__ == "__main__":
    main()
