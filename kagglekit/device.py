"""Where and how a run computes: device, precision and memory layout, decided once."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kagglekit.device_memory import give_back, is_full, keep_freed_memory
from kagglekit.errors import UsageError, UserError, unknown
from kagglekit.files import write_text
from kagglekit.folding import copied, folded
from kagglekit.model import set_input_size

Precision = Literal["fp32", "bf16", "fp16"]
BATCH = 64  # images of a forward pass without gradients, unless a GPU's number was probed
HOPELESS = 1.5  # a probed step this many times slower than the best one is not timed again
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Format:
    """A precision with a memory layout."""

    precision: Precision
    channels_last: bool

    def __str__(self) -> str:
        return f"{self.precision} {'channels_last' if self.channels_last else 'contiguous'}"

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout in torch's terms."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """Return the context in which a forward pass runs."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(device.type, dtype=DTYPES[self.precision])


@dataclass
class Compute:
    """Device and formats of a run; they stay as they are, but for `batch`.

    Attributes:
        device: Where the model lives.
        train: Format of training steps through the body.
        infer: Format of everything without gradients through the body.
        why: How the formats were found, for the log.
        train_cost: Time of a training step through all layers in forward passes for inference; only estimates
            of the time left use it. None where it could not be measured.
        batch: Images of a forward pass without gradients; halved where the device's memory does not hold them.
    """

    device: torch.device
    train: Format
    infer: Format
    why: str
    train_cost: float | None = 3.0  # forward, and backward twice as long
    batch: int = BATCH


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; ``auto`` takes CUDA, then Apple's, then the CPU.

    Of several GPUs the named one becomes this thread's own: what names no device (pinned memory, questions about
    precisions) would else start a context on the first one. On the CPU this process keeps memory that is freed.

    Raises:
        UserError: There is no such device here.
    """
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    chosen = next(kind for kind, there in found.items() if there) if name == "auto" else name
    try:
        device = torch.device(chosen)
    except RuntimeError:
        raise UserError(f"{name!r} is no device", "use auto, cpu, cuda, cuda:1 or mps") from None
    there = found.get(device.type, False)
    if not there or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        usable = ", ".join(kind for kind, is_there in found.items() if is_there)
        raise UserError(f"there is no device {name!r} here", f"torch {torch.__version__} sees: {usable}")
    use_device(device)
    if device.type == "cpu":
        keep_freed_memory()
    return device


def use_device(device: torch.device) -> None:
    """Make a GPU the calling thread's own."""
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)


@contextmanager
def chosen_algorithms(deterministic: bool) -> Iterator[None]:
    """In the block, let torch use only algorithms whose result is the same every time, if asked for.

    If not, cuDNN times its convolutions once for each shape: all batches of a stage have one. cuBLAS reads its setting
    when a process first uses it.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = not deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def device_title(device: torch.device) -> str:
    """Name the hardware for people and for run.json."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({_threads(torch.get_num_threads())})" if device.type == "cpu" else device.type


def _threads(n: int) -> str:
    return f"{n} thread{'s' * (n != 1)}"


def choose_formats(
    model: nn.Module, device: torch.device, precision: str, size: int, batch: int, arch: str, remembered: Path
) -> Compute:
    """Decide precision and layout: the one asked for, or the fastest in a short probe, training and inference apart.

    A probe runs up to 4 steps of each candidate on a copy of the model, for inference folded as it is used
    (`kagglekit.folding`); what it found is remembered for the machine, torch version, architecture and image size, so
    that later runs agree with this one. Where the memory holds a batch in no format, the likeliest winner is taken and
    nothing is remembered: at another time there may be room.

    Args:
        model: On any device; not changed.
        device: Where to compute.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        size: Image side of the longest stage, px.
        batch: Images a step.
        arch: Name of the architecture.
        remembered: The JSON file in which probes are kept.

    Raises:
        UserError: The device has no such precision.
    """
    if precision != "auto":
        check_precision(precision, device)
        chosen = Format(precision, channels_last=True)  # type: ignore[arg-type]
        return Compute(device, chosen, chosen, "as asked")
    batch = min(batch, 16) if device.type == "cpu" else batch
    key = machine_key(device, arch, size, batch)
    if found := recall(remembered, key):
        return Compute(device, Format(*found["train"]), Format(*found["infer"]), "remembered probe", found["cost"])
    probe = copied(model)
    if probe is None:
        plain = Format("fp32", channels_last=True)
        return Compute(device, plain, plain, "not probed: this network cannot be copied")
    set_input_size(probe.to(device), size)
    images = torch.rand(batch, 3, size, size, device=device)
    train, train_s = _fastest(candidates(device), lambda f: _train_step(probe, images, f))
    quick = folded(probe.eval())
    infer, infer_s = _fastest(candidates(device), lambda f: _infer_step(quick, images, f))
    if train_s is None or infer_s is None:
        return Compute(device, train, infer, f"{device} has no room to probe {batch} images at {size} px", None)
    found = {"train": [train.precision, train.channels_last], "infer": [infer.precision, infer.channels_last]}
    remember(remembered, key, {**found, "cost": train_s / infer_s})
    return Compute(device, train, infer, f"probed at {size} px", train_s / infer_s)


def candidates(device: torch.device) -> list[Format]:
    """List the formats worth trying on a device."""
    full = [Format("fp32", True), Format("fp32", False)]  # likely winners first: others are given up early
    narrow = [Format("bf16", True)] if device.type == "cpu" and _has_bf16() else []
    if device.type == "cuda":
        half: Precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        return [Format(half, True), Format(half, False), Format("fp32", True)]
    return [*narrow, *full]


def _has_bf16() -> bool:
    """Whether bf16 may be worth a try on this CPU: x86 without AVX-512 took 17 times as long (EPYC, resnet18)."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return not x86 or torch.backends.cpu.get_cpu_capability() == "AVX512"


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the generators that layers on the device draw from.

    torch.manual_seed would also queue a call, with a stack trace, for every kind of device that is not in use:
    too slow for each step, and the queue never ends.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def free_bytes(device: torch.device) -> int:
    """Return how much memory of its own the device has free; 0 for one that shares the CPU's.

    What torch keeps of freed tensors (a probe's, another size's store) is given back first: it counts as used.
    """
    if device.type != "cuda":
        return 0
    give_back()
    return int(torch.cuda.mem_get_info(device)[0])


def check_precision(precision: str, device: torch.device) -> None:
    """Check that a device can compute in a precision.

    Raises:
        UsageError: There is no such precision.
        UserError: The device does not have it.
    """
    if precision not in ("auto", *DTYPES):
        raise UsageError(unknown("precision", precision, ("auto", *DTYPES)))
    if precision == "fp16" and device.type == "cpu":
        raise UserError("fp16 is for GPUs", "use --precision bf16, fp32 or auto on a CPU")
    if precision != "fp32" and device.type == "mps":
        raise UserError(f"{precision} has not been tried on Apple's GPUs", "use --precision fp32 or auto")
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UserError("this GPU has no bf16", "use --precision fp16, fp32 or auto")


def _fastest(formats: list[Format], step: Callable[[Format], None]) -> tuple[Format, float | None]:
    """Return the fastest format and the time of its fastest step, s; the first and None if the memory holds none."""
    best, least = formats[0], _least_seconds(step, formats[0], None)
    for candidate in formats[1:]:
        seconds = _least_seconds(step, candidate, least)
        if seconds is not None and (least is None or seconds < least):
            best, least = candidate, seconds
    return best, least


def _least_seconds(step: Callable[[Format], None], candidate: Format, best: float | None) -> float | None:
    """Return the time of the fastest step, s; None where the device's memory does not hold it.

    A step that takes `HOPELESS` times the best of the others is the last one.
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
    give_back()  # only here is nothing of the step held any more, by the error's frames
    return None


def _seconds(step: Callable[[Format], None], candidate: Format) -> Iterator[float]:
    step(candidate)  # the first one sets up kernels and layouts
    for _ in range(3):
        start = time.perf_counter()
        step(candidate)
        yield time.perf_counter() - start


def _train_step(model: nn.Module, images: Tensor, chosen: Format) -> None:
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


def machine_key(device: torch.device, *what: object) -> str:
    """Hash what was measured, together with the machine and torch's version: a key for `recall` and `remember`."""
    parts = [
        "4",  # the form of the entries, and how they were measured
        device_title(device),
        platform.machine(),
        cpu_name(),
        torch.__version__,
    ]
    return hashlib.sha256(repr([*parts, *what]).encode()).hexdigest()[:16]


def cpu_name() -> str:
    """Name the CPU as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def recall(remembered: Path, key: str) -> dict[str, Any] | None:
    """Return what was measured under a key before; None if nothing was."""
    return _read(remembered).get(key)


def remember(remembered: Path, key: str, found: dict[str, Any]) -> None:
    """Keep what was measured, for later runs on this machine."""
    write_text(remembered, json.dumps({**_read(remembered), key: found}, indent=1))


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return {}
