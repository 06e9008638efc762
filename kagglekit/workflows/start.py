"""Start the kind of run that a request asks for: one training, folds, all images, repeats; resume interrupted ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from kagglekit.compute.device import chosen_algorithms
from kagglekit.compute.memory import memory_returned
from kagglekit.data.expected import check_tests
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
from kagglekit.workflows.zoo import run_zoo


def start(request: Request, display: Display, resume_latest: bool = False) -> Run:
    """Carry out a request: plan, train, predict, combine, write and check the submission.

    Args:
        request: The user's request.
        display: Shows progress.
        resume_latest: Resume the latest interrupted run with this recipe and data, if there is one.

    Returns:
        The finished run; of repeats the last one.

    Raises:
        UserError: Something the user can fix.
    """
    if resume_latest and request.repeats > 1:
        raise UsageError("--resume cannot be combined with --repeats", "resume one run: kagglekit resume RUN")
    if request.full and not request.recipe:
        request = full_request(request)
    with _computing(request):
        plan = planned(request, display)
        if not request.no_submission:
            check_tests(plan.table, plan.data, plan.competition)
        if request.repeats < 2:
            return _run(plan, display, resume_latest)
        runs = [_run(again, display, resume_latest) for again in repeated(plan)]
        record_spread(plan, runs, display)
    return runs[-1]


def resume(folder: Run, display: Display, data: Path | None = None) -> Run:
    """Resume an interrupted run from its last checkpoint.

    Args:
        folder: The run's folder.
        display: Shows progress.
        data: Its data folder; None for the one it began with.

    Raises:
        UserError: Its data, plugins or checkpoints do not allow it, or another process works on it.
    """
    info = folder.info()
    if info.status == "finished":
        folder.remove_checkpoints()  # left by a process that was killed at the very end
        folder.remove_parts()
        display.report(f"{folder.folder} is finished")
        return folder
    if info.fold:
        whole = f"resume the run: kagglekit resume {folder.folder.parent}"
        raise UserError(f"{folder.folder} is one fold of a run", whole)
    if info.part_of:
        whole = f"resume the run: kagglekit resume {folder.folder.parent}"
        raise UserError(f"{folder.folder} is one network of the zoo {info.part_of}", whole)
    check_writable(folder.folder, READ_ONLY)
    begun = folder.recipe_file.exists()
    key = run_key(folder, info)
    last = newest_checkpoint(folder.checkpoints, key, lambda _: None) if begun else None  # `train` warns
    request = request_of(folder, info, data, fresh=last is None)
    with _computing(request):
        plan = planned(request, display)
        display.report(f"resuming {folder.folder}")
        if plan.recipe.zoo:
            return run_zoo(plan, display, folder)
        if not plan.recipe.folds:
            return train(plan, folder, display)
        check_same_data(folder, info, plan)
        model, plan = settled(replace(plan, request=replace(request, into=str(folder.folder))))
        return run_folds(plan, model, display)


@contextmanager
def _computing(request: Request) -> Iterator[None]:
    """Compute in the block: it can be interrupted, and its memory is freed at the end."""
    with memory_returned(), stoppable(), chosen_algorithms(request.deterministic):
        yield


def _run(plan: Plan, display: Display, resume_latest: bool) -> Run:
    model, plan = (None, plan) if plan.recipe.zoo else settled(plan)
    interrupted = find_unfinished(plan)
    if interrupted and resume_latest:
        return resume(interrupted, display, plan.data)
    if interrupted:
        display.report(f"found an interrupted run with this recipe and data: {interrupted.folder}")
        display.report(f"hint: to resume it: kagglekit resume {interrupted.folder}")
    if model is None:
        return run_zoo(plan, display)
    return (run_folds if plan.recipe.folds else run_plan)(plan, model, display)
