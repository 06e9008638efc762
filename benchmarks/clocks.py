"""Where the time of a real kagglekit run goes: clocks around its own, unchanged functions.

Every second counts for the innermost running clock of the main thread. Background threads (decoding, making batches)
only count while the main thread waits for them. CPU seconds are those of the whole process during a part of the run,
with all threads.

On a GPU the loader's thread requests copies and views, and the device works on after a function has returned. With
`exact`, every clock waits for the device at its start and end. The split is then that of a run in which host and
device take turns. It shows how long each kind of work takes, not what overlaps, and the whole takes longer than
without clocks. Views and copies of the next batches count as what the main thread did while it waited, mostly compute
or wait. "copy" is what remains when a batch is delivered.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

import torch
from timing import cpu_seconds

from kagglekit.compute.device import synchronise

# Function, and the name of its time. Validation includes everything inside it. "network" is building it, loading
# weights and folding; "saving" is checkpoints, weights and predictions; "scores" are the ensemble, all
# scores and the checked CSV.
WATCHED = {
    "kagglekit.workflows.start.planned": "plan",
    "kagglekit.workflows.start.settled": "network",
    "kagglekit.training.stage.folded": "network",
    "kagglekit.training.trainer.refolded": "network",
    "kagglekit.prediction.members.network_of": "network",
    "kagglekit.workflows.setup.prepare_images": "decode",
    "kagglekit.workflows.setup.choose_formats": "probe",
    "kagglekit.workflows.setup.choose_threads": "probe",
    "kagglekit.images.loader.Loader._delivered": "copy",
    "kagglekit.training.loop.take_step": "compute",
    "kagglekit.training.state.LossWatch.read": "compute",
    "kagglekit.training.trainer._valid_predictions": "validation",
    "kagglekit.training.trainer.valid_scores": "validation",
    "kagglekit.training.trainer._keep": "saving",
    "kagglekit.training.trainer.save": "saving",
    "kagglekit.workflows.single.save": "saving",
    "kagglekit.runs.folder.Run.remove_checkpoints": "saving",
    "kagglekit.training.trainer.save_stack": "saving",
    "kagglekit.training.context.save_weights": "saving",
    "kagglekit.prediction.results.save_predictions": "saving",
    "kagglekit.prediction.members.save_predictions": "saving",
    "kagglekit.prediction.finalize.finish_run": "scores",
    "kagglekit.prediction.finalize.leave_pictures": "report",
    "kagglekit.prediction.explain.pictures.network_of": "network",
    "kagglekit.workflows.single.leave_report": "report",
}
KINDS = (
    *("decode", "wait", "copy", "compute", "validation", "saving"),
    *("plan", "network", "probe", "scores", "report", "rest"),
)
# Function, and the part of the run that starts with it; time without a clock above gets the name given here.
PARTS = {
    "kagglekit.training.stage.cached_activations": ("activations", "compute"),
    "kagglekit.training.trainer.cached_activations": ("activations", "compute"),
    "kagglekit.training.trainer.regress_head": ("regression", "compute"),
    "kagglekit.prediction.members._predict_split": ("TTA", "compute"),
}
Spent = dict[str, dict[str, float]]  # by part of the run, then by kind, s


class Clocks:
    """Seconds by part of the run and kind of work, and the process's CPU seconds by part of the run."""

    def __init__(self, device: torch.device, exact: bool) -> None:
        self.spent: Spent = defaultdict(lambda: defaultdict(float))
        self.cpu: dict[str, float] = defaultdict(float)
        self._device, self._exact = device, exact and device.type != "cpu"
        self._running: list[tuple[str, str]] = [("run", "rest")]
        self.begin()

    def begin(self) -> None:
        """Start now."""
        self._since, self._cpu_since = time.perf_counter(), cpu_seconds()

    @property
    def running(self) -> str:
        """The kind of work that is being timed."""
        return self._running[-1][1]

    def _charge(self) -> None:
        if self._exact:
            synchronise(self._device)
        part, kind = self._running[-1]
        since, cpu_since = self._since, self._cpu_since
        self.begin()
        self.spent[part][kind] += self._since - since
        self.cpu[part] += self._cpu_since - cpu_since

    @contextmanager
    def inside(self, part: str, kind: str) -> Iterator[None]:
        """Count the block as a kind of work; an empty `part` is the current one."""
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
        patches.enter_context(patch("kagglekit.workflows.single.timed_stage", _stage(clocks)))
        for source in ("kagglekit.images.loader.Loader.batches", "kagglekit.images.loader.Passes.batches"):
            patches.enter_context(patch(source, _waiting(clocks, found(source))))
        clocks.begin()  # by now the functions are imported
        yield clocks
        with clocks.inside("run", "rest"):
            pass  # counts the last interval


def found(name: str) -> Any:
    """Return the object of a dotted name.

    Raises:
        AttributeError: It no longer exists: update WATCHED or PARTS.
    """
    return resolve_name(name)


def _timed(clocks: Clocks, name: str, part: str, kind: str) -> Callable[..., Any]:
    work = found(name)

    @wraps(work)
    def timed(*args: Any, **kwargs: Any) -> Any:
        with clocks.inside(part, kind):
            return work(*args, **kwargs)

    return timed


def _stage(clocks: Clocks) -> Callable[..., Any]:
    from kagglekit.workflows.single import timed_stage

    def staged(context: Any, number: int) -> None:
        with clocks.inside(context.stage(number).name, "rest"):
            timed_stage(context, number)  # with the checkpoint at its end

    return staged


def _waiting(clocks: Clocks, plain: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
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
