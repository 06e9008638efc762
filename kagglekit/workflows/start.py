"""Which kind of run a request asks for: one training, folds, all images, repeats; and going on with a stopped one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from kagglekit.compute.device import chosen_algorithms
from kagglekit.compute.memory import memory_returned
from kagglekit.planning.identity import check_same_data, request_of
from kagglekit.planning.plan import Plan
from kagglekit.planning.request import Request
from kagglekit.runs.checkpoint_file import newest_checkpoint
from kagglekit.runs.folder import Run, run_key
from kagglekit.runs.lock import READ_ONLY
from kagglekit.system.console import Display
from kagglekit.system.errors import UsageError, UserError
from kagglekit.system.files import check_writable
from kagglekit.system.signals import stoppable
from kagglekit.workflows.folds import run_folds
from kagglekit.workflows.full_data import full_request
from kagglekit.workflows.repeats import record_spread, repeated
from kagglekit.workflows.setup import planned, settled
from kagglekit.workflows.single import run_plan, train
from kagglekit.workflows.unfinished import find_unfinished


def start(request: Request, display: Display, go_on: bool = False) -> Run:
    """Carry out a request: plan, train, predict, combine, write and check the submission.

    Args:
        request: What was asked.
        display: Where it shows itself.
        go_on: Resume the newest stopped run of the same recipe and data, if there is one.

    Returns:
        The finished run; of repeats the last one.

    Raises:
        UserError: Something the user can mend.
    """
    if go_on and request.repeats > 1:
        raise UsageError("--resume and --repeats do not go together", "go on with one run: kagglekit resume RUN")
    if request.full and not request.recipe:
        request = full_request(request)
    with _computing(request):
        plan = planned(request, display)
        if request.repeats < 2:
            return _run(plan, display, go_on)
        runs = [_run(again, display, go_on) for again in repeated(plan)]
        record_spread(plan, runs, display)
    return runs[-1]


def resume(folder: Run, display: Display, data: Path | None = None) -> Run:
    """Go on with a run that was stopped, from its last checkpoint.

    Args:
        folder: The run's.
        display: Where it shows itself.
        data: Where its data lie now; None for where they were.

    Raises:
        UserError: Its data, its plugins or its checkpoints do not allow it, or another process works on it.
    """
    info = folder.info()
    if info.get("status") == "finished":
        folder.remove_checkpoints()  # of a process that was killed just then
        folder.remove_parts()
        display.report(f"{folder.folder} is finished")
        return folder
    if info.get("fold"):
        whole = f"go on with the whole: kagglekit resume {folder.folder.parent}"
        raise UserError(f"{folder.folder} is a part of a run", whole)
    check_writable(folder.folder, READ_ONLY)
    begun = folder.recipe_file.exists()
    last = newest_checkpoint(folder.checkpoints, run_key(folder), lambda _: None) if begun else None  # `train` warns
    request = request_of(folder, data, fresh=last is None)
    with _computing(request):
        plan = planned(request, display)
        display.report(f"going on with {folder.folder}")
        if not plan.recipe.folds:
            return train(plan, folder, display)
        check_same_data(folder, plan)
        model, plan = settled(replace(plan, request=replace(request, into=str(folder.folder))))
        return run_folds(plan, model, display)


@contextmanager
def _computing(request: Request) -> Iterator[None]:
    """Compute in the block: it can be stopped, and leaves no memory in use that it needed."""
    with memory_returned(), stoppable(), chosen_algorithms(request.deterministic):
        yield


def _run(plan: Plan, display: Display, go_on: bool) -> Run:
    model, plan = settled(plan)
    stopped = find_unfinished(plan)
    if stopped and go_on:
        return resume(stopped, display, plan.data)
    if stopped:
        display.report(f"a run of the same recipe and data was stopped; to go on: kagglekit resume {stopped.folder}")
    return (run_folds if plan.recipe.folds else run_plan)(plan, model, display)
