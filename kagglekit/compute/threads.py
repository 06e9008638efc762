"""Choose how many threads compute on the CPU, by the time of steps with one and with several.

Threads divide the work of each operation evenly, and the slowest of them ends it. Beside other processes one thread is
therefore often as fast as all cores together, and leaves the others alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import nn

from kagglekit.compute.device import Format
from kagglekit.compute.fuse_batchnorm import copied
from kagglekit.compute.memory import is_full
from kagglekit.compute.network import in_channels, set_input_size
from kagglekit.compute.precision import train_step
from kagglekit.system.limits import Threads, cores, free_now, named_threads

ROUNDS = 2  # of all candidates, so that a disturbance does not meet one of them alone
HOPELESS = 1.5  # a candidate this many times slower than the best one is not timed again
SLACK = 1.1  # fewer threads are taken if their step takes at most this many times as long as the fastest
TURN = 0.1  # s: how long a candidate's steps are timed, unless one takes longer
FEW, MANY, QUICK = 4, 16, 0.05  # images of a timed step: more than a few if those take less than so many s


@dataclass
class ThreadChoice:
    """The number of threads that a run computes with; one object for all its folds and networks.

    Attributes:
        number: None until it is chosen.
        fixed: Whether it stays: the user named it, the run is deterministic, or the CPU does not train.
        most: The most threads that are tried.
        free: Cores that other processes left free when the number was chosen; None if unknown.
        pace: Time of a timed training step of all layers, s for each pixel of its batch; None if none was timed.
    """

    number: int | None = None
    fixed: bool = True
    most: int = 1
    free: float | None = None
    pace: float | None = None

    def use(self, number: int) -> None:
        """Compute with so many threads from now on."""
        self.number = number
        torch.set_num_threads(number)

    def take_over(self, number: int | None) -> None:
        """Compute with the number of an earlier part of the same run, if it is known and none is chosen yet."""
        if self.number is None and number:
            self.use(number)


def threads_for(asked: Threads, device: torch.device, deterministic: bool) -> ThreadChoice:
    """Return how many threads a run begins with, as far as it can be known without timing steps."""
    if number := named_threads(asked):
        return ThreadChoice(number)
    if deterministic or device.type != "cpu":
        return ThreadChoice(most_threads())
    return ThreadChoice(fixed=False, most=most_threads())


def most_threads() -> int:
    """Return the most threads worth trying: one for each core that this process may use, if torch uses as many."""
    return min(torch.get_num_threads(), math.ceil(cores()))


def candidates(most: int, free: float | None) -> list[int]:
    """Return the numbers worth trying: one, all, as many as cores are free or may be used in full, and half.

    Args:
        most: The most threads.
        free: Cores that other processes leave free; None if unknown.
    """
    half = [most // 2] if most >= 8 else []
    some = [most if free is None else round(free), math.floor(cores()), *half]
    return sorted({1, most, *(min(max(number, 1), most) for number in some)})


def timed(numbers: Sequence[int], step_seconds: Callable[[int], float]) -> dict[int, float]:
    """Return the mean time of a step with each number of threads, s; they take turns, and hopeless ones leave early.

    Args:
        numbers: The candidates.
        step_seconds: Times steps with a number of threads.
    """
    taken = {number: [step_seconds(number)] for number in numbers}
    for _ in range(ROUNDS - 1):
        best = min(map(fmean, taken.values()))
        for seconds, number in [(taken[number], number) for number in reversed(numbers)]:
            if fmean(seconds) <= HOPELESS * best and len(numbers) > 1:
                seconds.append(step_seconds(number))
    return {number: fmean(seconds) for number, seconds in taken.items()}


def best_number(seconds: Mapping[int, float]) -> int:
    """Return the smallest number of threads whose step takes about as long as the fastest."""
    least = min(seconds.values())
    return min(number for number, taken in seconds.items() if taken <= SLACK * least)


def describe_times(seconds: Mapping[int, float], free: float | None = None) -> str:
    """Return why a number of threads was chosen, by the time of a step with each; empty if there was no choice."""
    parts = ["a step takes " + ", ".join(f"{taken:.2g} s with {each}" for each, taken in seconds.items())]
    parts = parts if len(seconds) > 1 else []
    if free is not None:
        parts.append(f"{max(free, 0):.1f} of {cores():g} cores are free")
    return "; ".join(parts)


def choose_threads(choice: ThreadChoice, model: nn.Module, size: int, batch: int, precision: str) -> str:
    """Choose the number of threads by timing training steps on a copy of the model, about half a second in all.

    Nothing is remembered: another run finds the machine busy with other work.

    Args:
        choice: Of the run, not chosen yet; this one chooses.
        model: On the CPU; not changed.
        size: Image side of the longest stage, px.
        batch: Images a step; a few of them are enough.
        precision: Of the steps; ``auto`` for fp32.

    Returns:
        Why, for the log.
    """
    most, free = choice.most, free_now()
    choice.free = free
    probe = copied(model) if most > 1 else None
    if probe is None:
        choice.use(most if free is None else min(max(1, round(free)), most))
        return describe_times({}, free)
    set_input_size(probe, size)
    chosen = Format("fp32" if precision == "auto" else precision, channels_last=True)  # type: ignore[arg-type]
    try:
        with torch.random.fork_rng(devices=[]):  # a run that names the number draws the same
            images, seconds = _timed_steps(probe, size, batch, chosen, candidates(most, free))
    except RuntimeError as error:
        if not is_full(error):
            raise
        choice.use(most)
        return describe_times({}, free)
    best = best_number(seconds)
    choice.use(best)
    choice.pace = seconds[best] / (images * size**2)
    return describe_times(seconds, free)


def _timed_steps(
    probe: nn.Module, size: int, batch: int, chosen: Format, numbers: Sequence[int]
) -> tuple[int, dict[int, float]]:
    """Return the number of images of a step, and the time of a step by number of threads, s."""
    images = torch.rand(min(batch, MANY), in_channels(probe), size, size)

    def step_seconds(number: int) -> float:
        torch.set_num_threads(number)
        train_step(probe, images, chosen)  # starts threads, and prepares kernels for so many
        return _mean_seconds(lambda: train_step(probe, images, chosen))

    few = images[: min(batch, FEW)]
    train_step(probe, few, chosen)
    began = time.perf_counter()
    train_step(probe, few, chosen)
    if time.perf_counter() - began > QUICK:
        images = few
    return len(images), timed(numbers, step_seconds)


def _mean_seconds(step: Callable[[], None]) -> float:
    """Return the mean time of steps that take `TURN` together, at least of one."""
    began, steps = time.perf_counter(), 0
    while not steps or time.perf_counter() - began < TURN:
        step()
        steps += 1
    return (time.perf_counter() - began) / steps


@contextmanager
def threads_restored(asked: Threads = "auto") -> Iterator[None]:
    """Compute with the number of threads that the user named, if any; in the end with as many as before the block."""
    before = torch.get_num_threads()
    if number := named_threads(asked):
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def free_threads(asked: Threads, device: torch.device) -> Iterator[None]:
    """Compute in the block with the named number of threads, else, on a CPU, with one for each core that is free now.

    This is for little work, which would take less time than timing steps.
    """
    with threads_restored(asked):
        if named_threads(asked) is None and device.type == "cpu" and (free := free_now()) is not None:
            torch.set_num_threads(min(max(1, round(free)), most_threads()))
        yield
