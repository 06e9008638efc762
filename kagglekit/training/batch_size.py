"""Find batch sizes: double a batch while images/s rise and it fits into memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from kagglekit.compute.device import BATCH, Compute, synchronise, without_search
from kagglekit.compute.fuse_batchnorm import copied, folded
from kagglekit.compute.memory import give_back, is_full
from kagglekit.compute.network import in_channels, set_input_size
from kagglekit.compute.probes import machine_key, recall, remember
from kagglekit.training.loop import begin, take_step

if TYPE_CHECKING:
    from kagglekit.training.state import StageFit

LEAST, MOST = 8, 512
STEPS = 16  # an epoch has at least this many
GAIN = 1.05  # in images/s: the least that a batch of twice the size must bring
SPARE = 0.1  # share of a GPU's memory that is left free
LOADER = 13  # finished batches: what the loader takes on a GPU for those ahead and the one being gathered
TIMED = 3  # timed steps of each size, after one that sets up kernels


def largest_batch(n: int) -> int:
    """Return the largest batch that leaves an epoch over `n` images enough steps: a power of two within the bounds."""
    return max(LEAST, min(MOST, 1 << max(0, (n // STEPS).bit_length() - 1)))


def doubled(speed: Callable[[int], float | None], least: int, most: int) -> tuple[int, dict[int, float]]:
    """Double a batch while that makes it faster; return it, and the images/s of each size that was tried.

    Args:
        speed: Returns the images/s of a batch; None if it does not fit into the device's memory.
        least: Images of the smallest batch, which is returned even if it does not fit.
        most: Images of the largest batch.
    """
    speeds: dict[int, float] = {}
    best = size = least
    while size <= most and (found := speed(size)) is not None:
        speeds[size] = found
        if size > least and found < GAIN * speeds[best]:
            break
        best, size = size, 2 * size
    return best, speeds


def train_batch(fit: StageFit, about: tuple[object, ...], remembered: Path) -> tuple[int, str]:
    """Find the batch size of a stage with steps at rate 0 on random inputs; return it, and a message for the log.

    The weights are restored; the optimizer is not.

    Args:
        fit: What the stage trains with.
        about: What the speed of the steps depends on; a remembered probe of the same is used.
        remembered: The JSON file of remembered probes.
    """
    most = largest_batch(len(fit.rows))
    key = machine_key(fit.compute.device, "train batch", *about, most)
    if known := recall(remembered, key):
        return int(known["batch"]), f"batch size {known['batch']} (remembered probe)"
    before = {name: value.clone() for name, value in fit.model.state_dict().items()}
    (example,) = fit.inputs.batches([fit.rows[:1]], 0)
    for group in fit.optimizer.param_groups:
        group["lr"] = 0.0
    found, speeds = doubled(lambda size: _train_speed(fit, example, size), LEAST, most)
    fit.model.load_state_dict(before)
    remember(remembered, key, {"batch": found})
    return found, f"batch size {found} found ({_describe_speeds(speeds, fit.compute)}{_bound(found, most)})"


def _train_speed(fit: StageFit, example: Tensor, size: int) -> float | None:
    """Return images/s of training steps; None if a whole batch does not fit into the device's memory."""
    device, truth = fit.compute.device, np.resize(fit.truth, (size, *fit.truth.shape[1:]))

    def step() -> None:
        take_step(fit, images, truth, state)
        if state.parts > fit.stage.grad_accum_steps:
            raise torch.OutOfMemoryError

    try:
        images, state = torch.randn(size, *example.shape[1:], device=device), begin(fit)
        return _speed(step, images, device, loads=images.ndim == 4)
    except RuntimeError as error:
        if not is_full(error):
            raise
        return None


def predict_batch(model: nn.Module, compute: Compute, size: int, arch: str, remembered: Path) -> str:
    """Find the batch size of predictions, on a copy of the network; return a message for the log.

    Args:
        model: On the device; not changed.
        compute: Device and format; its `batch` is set.
        size: Image side, px.
        arch: Name of the architecture.
        remembered: The JSON file of remembered probes.
    """
    key = machine_key(compute.device, "predict batch", arch, size, str(compute.infer))
    if known := recall(remembered, key):
        compute.batch = int(known["batch"])
        return "remembered probe"
    probe = copied(model)
    if probe is None:
        return "not probed: this network cannot be copied"
    set_input_size(probe, size)
    quick = folded(probe.eval()).to(memory_format=compute.infer.memory_format)
    with without_search():
        compute.batch, speeds = doubled(lambda n: _predict_speed(quick, compute, size, n), BATCH, MOST)
    remember(remembered, key, {"batch": compute.batch})
    return f"probed at {size} px: {_describe_speeds(speeds, compute)}"


@torch.no_grad()
def _predict_speed(model: nn.Module, compute: Compute, size: int, n: int) -> float | None:
    def step() -> None:
        with compute.infer.autocast(compute.device):
            model(images)

    try:
        images = torch.randn(n, in_channels(model), size, size, device=compute.device)
        images = images.contiguous(memory_format=compute.infer.memory_format)
        return _speed(step, images, compute.device, loads=True)
    except RuntimeError as error:
        if not is_full(error):
            raise
        return None


def for_rows(batch: int, *rows: int) -> int:
    """Return the batch, at most about a quarter of the largest of `rows`, so that filling the last one repeats few.

    Smaller sets repeat a larger share, but take less time in any case.
    """
    return max(BATCH, min(batch, 1 << max(0, (max(rows) // 4).bit_length() - 1)))


def _speed(step: Callable[[], None], images: Tensor, device: torch.device, loads: bool) -> float | None:
    """Return images/s of the fastest step; None if it leaves too little of a GPU's memory free.

    Raises:
        RuntimeError: It does not fit into memory.
    """
    give_back()
    reserved = torch.empty(LOADER if loads and device.type == "cuda" else 0, *images.shape, device=device)
    seconds = []
    for _ in range(1 + TIMED):
        began = time.perf_counter()
        step()
        synchronise(device)
        seconds.append(time.perf_counter() - began)
    fits = _spare(device) >= SPARE
    del reserved
    return len(images) / min(seconds[1:]) if fits else None


def _spare(device: torch.device) -> float:
    """Return the share of a GPU's memory that torch never touched; 1 for a device that shares the CPU's."""
    if device.type != "cuda":
        return 1.0
    free, total = torch.cuda.mem_get_info(device)
    return free / total


def _describe_speeds(speeds: dict[int, float], compute: Compute) -> str:
    shown = ", ".join(f"{size}: {speed:,.0f}" for size, speed in speeds.items())
    return f"images/s {shown}" if shown else f"no larger batch fits on {compute.device}"


def _bound(found: int, most: int) -> str:
    return f"; an epoch must have {STEPS} steps" if found == most < MOST else ""
