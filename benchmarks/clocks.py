"""Where the time of a real kagglekit run goes: clocks around its own functions, which stay what they are.

Every second belongs to the innermost clock that runs, on the main thread. What a thread does in the background
(decoding, making batches) only counts where the main thread waits for it. On a GPU the device works on after a
function has returned: with `exact` every clock waits for it, which takes a little away from what runs side by side.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from importlib import import_module
from typing import Any
from unittest.mock import patch

import torch

from kagglekit.device import synchronise

# Function, and what its time is called. Validation keeps all that happens inside it.
WATCHED = {
    "kagglekit.runner.prepare_pictures": "decode",
    "kagglekit.runner.choose_formats": "probe",
    "kagglekit.loader.Loader._delivered": "copy",
    "kagglekit.train.take_step": "compute",
    "kagglekit.held.LossWatch.read": "compute",
    "kagglekit.stages._valid_probabilities": "validation",
    "kagglekit.stages.valid_scores": "validation",
    "kagglekit.stages._keep": "saving",
    "kagglekit.stages.save": "saving",
    "kagglekit.finish.save_weights": "saving",
    "kagglekit.outcome.save_predictions": "saving",
    "kagglekit.members.save_predictions": "saving",
    "kagglekit.members.load_weights": "saving",
}
# Function, and the part of the run that begins with it; what no clock above takes is called as it says here.
PARTS = {
    "kagglekit.stages._cache": ("activations", "compute"),
    "kagglekit.stages._solve": ("regression", "compute"),
    "kagglekit.members._predict_split": ("TTA", "compute"),
}
Spent = dict[str, dict[str, float]]  # by part of the run, then by kind, s


class Clocks:
    """Seconds by part of the run and kind of work."""

    def __init__(self, device: torch.device, exact: bool) -> None:
        self.spent: Spent = defaultdict(lambda: defaultdict(float))
        self._device, self._exact = device, exact and device.type != "cpu"
        self._running: list[tuple[str, str]] = [("run", "rest")]
        self._since = time.perf_counter()

    def _charge(self) -> None:
        if self._exact:
            synchronise(self._device)
        now = time.perf_counter()
        part, kind = self._running[-1]
        self.spent[part][kind] += now - self._since
        self._since = now

    @contextmanager
    def inside(self, part: str, kind: str) -> Iterator[None]:
        """Charge the block to a kind of work; an empty `part` is the one that runs."""
        self._charge()
        outer = self._running[-1]
        self._running.append(outer if outer[1] == "validation" else (part or outer[0], kind))
        try:
            yield
        finally:
            self._charge()
            self._running.pop()


@contextmanager
def clocked(device: torch.device, exact: bool = True) -> Iterator[Clocks]:
    """Put clocks around kagglekit's functions while the block runs."""
    clocks = Clocks(device, exact)
    with ExitStack() as patches:
        for name, kind in WATCHED.items():
            patches.enter_context(patch(name, _timed(clocks, name, "", kind)))
        for name, (part, kind) in PARTS.items():
            patches.enter_context(patch(name, _timed(clocks, name, part, kind)))
        patches.enter_context(patch("kagglekit.runner.run_stage", _stage(clocks)))
        patches.enter_context(patch("kagglekit.loader.Loader.batches", _waiting(clocks)))
        yield clocks
        with clocks.inside("run", "rest"):
            pass  # charges what came last


def found(name: str) -> Any:
    """Return what a dotted name stands for.

    Raises:
        AttributeError: It is not there any more: kagglekit was changed, and WATCHED or PARTS must follow.
    """
    package, module, *rest = name.split(".")
    thing: Any = import_module(f"{package}.{module}")
    for part in rest:
        thing = getattr(thing, part)
    return thing


def _timed(clocks: Clocks, name: str, part: str, kind: str) -> Callable[..., Any]:
    work = found(name)

    @wraps(work)
    def timed(*args: Any, **kwargs: Any) -> Any:
        with clocks.inside(part, kind):
            return work(*args, **kwargs)

    return timed


def _stage(clocks: Clocks) -> Callable[..., Any]:
    from kagglekit.stages import run_stage

    def staged(work: Any, number: int, stage: Any, *args: Any, **kwargs: Any) -> Any:
        with clocks.inside(stage.name, "rest"):
            return run_stage(work, number, stage, *args, **kwargs)

    return staged


def _waiting(clocks: Clocks) -> Callable[..., Iterator[Any]]:
    from kagglekit.loader import Loader

    plain = Loader.batches

    def batches(self: Any, rows: Any, turn: int) -> Iterator[Any]:
        made = iter(plain(self, rows, turn))
        while True:
            with clocks.inside("", "wait"):
                try:
                    batch = next(made)
                except StopIteration:
                    return
            yield batch

    return batches
