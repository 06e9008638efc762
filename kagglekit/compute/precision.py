"""Choose precision and memory layout: as requested, or the fastest in a short probe."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from kagglekit.compute.accelerators import check_on_cpu
from kagglekit.compute.device import DTYPES, Compute, Format, synchronise, without_search
from kagglekit.compute.fuse_batchnorm import copied, folded
from kagglekit.compute.memory import give_back, is_full
from kagglekit.compute.network import in_channels, set_input_size
from kagglekit.compute.probes import machine_key, recall, remember
from kagglekit.system.errors import UsageError, UserError, unknown

if TYPE_CHECKING:
    from kagglekit.compute.device import Precision


HOPELESS = 1.5  # a probed step this many times slower than the best one is not timed again


def choose_formats(
    model: nn.Module, device: torch.device, precision: str, size: int, batch: int, arch: str, remembered: Path
) -> Compute:
    """Choose precision and layout: as requested, or the fastest in a short probe, training and inference separately.

    A probe runs up to 4 steps of each candidate on a copy of the model, for inference with BatchNorm folded
    (`kagglekit.compute.fuse_batchnorm`). The result is remembered for the machine, torch version, architecture and
    image size, so that later runs agree with this one. If no format fits the memory, the most promising one is taken
    and nothing is remembered, since there may be more memory later.

    Args:
        model: On any device; not changed.
        device: Device of the run.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        size: Image side of the longest stage, px.
        batch: Images a step.
        arch: Name of the architecture.
        remembered: The JSON file in which probes are kept.

    Raises:
        UserError: The device does not support the precision.
    """
    if precision != "auto":
        check_precision(precision, device)
        chosen = Format(precision, channels_last=True)  # type: ignore[arg-type]
        return Compute(device, chosen, chosen, "as requested")
    batch = min(batch, 16) if device.type == "cpu" else batch
    key = machine_key(device, arch, size, batch)
    if found := recall(remembered, key):
        return Compute(device, Format(*found["train"]), Format(*found["infer"]), "remembered probe", found["cost"])
    probe = copied(model)
    if probe is None:
        plain = Format("fp32", channels_last=True)
        return Compute(device, plain, plain, "not probed: the network cannot be copied")
    set_input_size(probe.to(device), size)
    images = torch.rand(batch, in_channels(model), size, size, device=device)
    with without_search():
        train, train_s = _fastest(candidates(device), lambda f: train_step(probe, images, f))
        quick = folded(probe.eval())
        infer, infer_s = _fastest(candidates(device), lambda f: _infer_step(quick, images, f))
    if train_s is None or infer_s is None:
        return Compute(
            device, train, infer, f"not probed: out of memory on {device} with {batch} images at {size} px", None
        )
    found = {"train": [train.precision, train.channels_last], "infer": [infer.precision, infer.channels_last]}
    remember(remembered, key, {**found, "cost": train_s / infer_s})
    return Compute(device, train, infer, f"probed at {size} px", train_s / infer_s)


def candidates(device: torch.device) -> list[Format]:
    """Return the formats worth probing on a device."""
    full = [Format("fp32", True), Format("fp32", False)]  # likely winners first: others are abandoned early
    narrow = [Format("bf16", True)] if device.type == "cpu" and _has_bf16() else []
    if device.type == "cuda":
        half: Precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        return [Format(half, True), Format(half, False), Format("fp32", True)]
    return [*narrow, *full]


def _has_bf16() -> bool:
    """Return whether bf16 is worth probing on this CPU: x86 without AVX-512 was 17 times slower (EPYC, resnet18)."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return not x86 or torch.backends.cpu.get_cpu_capability() == "AVX512"


def check_precision(precision: str, device: torch.device) -> None:
    """Check that a device supports a precision.

    Raises:
        UsageError: There is no such precision.
        UserError: The device does not support it.
    """
    if precision not in ("auto", *DTYPES):
        raise UsageError(unknown("precision", precision, ("auto", *DTYPES)))
    if device.type == "cpu":
        check_on_cpu(precision, "auto")
    if precision != "fp32" and device.type == "mps":
        raise UserError(f"{precision} has not been tested on Apple's GPUs", "use --precision fp32 or auto")
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UserError("this GPU does not support bf16", "use --precision fp16, fp32 or auto")


def _fastest(formats: list[Format], step: Callable[[Format], None]) -> tuple[Format, float | None]:
    """Return the fastest format and the time of its fastest step, s; the first and None if none fits the memory."""
    best, least = formats[0], _least_seconds(step, formats[0], None)
    for candidate in formats[1:]:
        seconds = _least_seconds(step, candidate, least)
        if seconds is not None and (least is None or seconds < least):
            best, least = candidate, seconds
    return best, least


def _least_seconds(step: Callable[[Format], None], candidate: Format, best: float | None) -> float | None:
    """Return the time of the fastest step, s; None if the device runs out of memory.

    A step that takes `HOPELESS` times as long as the best so far is the last one.
    """
    taken: list[float] = []
    try:
        for seconds in _seconds(step, candidate):
            taken.append(seconds)
            if best is not None and min(taken) > HOPELESS * best:
                break
    except RuntimeError as error:
        if not is_full(error):
            raise
        taken.clear()
    if taken:
        return min(taken)
    give_back()  # only here: before, the error's frames still hold the step
    return None


def _seconds(step: Callable[[Format], None], candidate: Format) -> Iterator[float]:
    step(candidate)  # the first one sets up kernels and layouts
    for _ in range(3):
        start = time.perf_counter()
        step(candidate)
        yield time.perf_counter() - start


def train_step(model: nn.Module, images: Tensor, chosen: Format) -> None:
    """Take a training step without an optimizer.

    Args:
        model: On the device; its BatchNorm statistics change.
        images: (B, C, S, S) float32, on the device.
        chosen: Precision and layout.
    """
    model.train().to(memory_format=chosen.memory_format)
    with chosen.autocast(images.device):
        logits = model(images.contiguous(memory_format=chosen.memory_format))
    logits.float().logsumexp(1).mean().backward()
    model.zero_grad(set_to_none=True)
    synchronise(images.device)


@torch.no_grad()
def _infer_step(model: nn.Module, images: Tensor, chosen: Format) -> None:
    model.eval().to(memory_format=chosen.memory_format)
    with chosen.autocast(images.device):
        model(images.contiguous(memory_format=chosen.memory_format))
    synchronise(images.device)
