"""Start the kind of run that a request asks for: one training, folds, all images, repeats; resume interrupted ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from kagglekit.compute.device import chosen_algorithms
from kagglekit.compute.memory import memory_returned
from kagglekit.compute.processes.ranks import Ranks, joined
from kagglekit.compute.threads import ThreadChoice, threads_restored
from kagglekit.data.expected import check_tests
from kagglekit.images.placement import Keep
from kagglekit.planning.choose import check_request
from kagglekit.planning.identity import check_same_data, request_of, unfinished_info
from kagglekit.planning.plan import Plan
from kagglekit.planning.request import Request
from kagglekit.runs.checkpoint_file import newest_checkpoint
from kagglekit.runs.folder import Run, run_key
from kagglekit.runs.info import RunInfo
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UsageError
from kagglekit.system.job_process import is_job, is_launched
from kagglekit.system.limits import named_threads, share_of_cores
from kagglekit.system.signals import stoppable
from kagglekit.types.executor import IN_TURN, JobOptions
from kagglekit.workflows.folds import run_folds
from kagglekit.workflows.full_data import full_request
from kagglekit.workflows.launch import check_gpus, launched, starts_processes
from kagglekit.workflows.parts import train_part
from kagglekit.workflows.repeats import record_spread, repeated
from kagglekit.workflows.setup import planned, settled
from kagglekit.workflows.side_by_side import as_jobs, run_jobs
from kagglekit.workflows.single import begin, run_plan, train
from kagglekit.workflows.unfinished import find_unfinished, wait_until_free
from kagglekit.workflows.zoo import run_zoo


@dataclass(frozen=True)
class Resumed:
    """What may differ when a run is resumed.

    Attributes:
        device: Where to compute; empty for the device that it began on.
        store: Where decoded images are kept.
        jobs: How its trainings are done side by side.
    """

    device: str = ""
    store: Keep = "auto"
    jobs: JobOptions = IN_TURN

    def changed(self, request: Request, info: RunInfo) -> Request:
        """Return the request of the run with these changes; as many processes share each training as before."""
        gpus = info.ranks if self.jobs.gpus is None and info.ranks > 1 else self.jobs.gpus
        jobs = replace(self.jobs, gpus=gpus)
        return replace(request, device=self.device or request.device, store=self.store, jobs=jobs)


AS_BEGUN = Resumed()


def start(request: Request, display: Display, resume_latest: bool = False, began: float | None = None) -> Run:
    """Carry out a request: plan, train, predict, combine, write and check the submission.

    Args:
        request: The user's request.
        display: Shows progress.
        resume_latest: Resume the latest interrupted run with this recipe and data, if there is one.
        began: When the run began, by time.perf_counter, s; None for now.

    Returns:
        The finished run; of repeats the last one.

    Raises:
        UserError: Something the user can fix.
    """
    check_request(request, resume_latest)
    if request.full and not request.recipe:
        request = full_request(request)
    began = time.perf_counter() if began is None else began
    check_gpus(request)
    with _computing(request) as ranks:
        plan = _shared_plan(request, ranks, display)
        _check_single(plan)
        if not request.no_submission:
            check_tests(plan.table, plan.data, plan.competition)
        if as_jobs(plan):
            return run_jobs(plan, display, began)
        if request.repeats < 2:
            return _run(plan, display, resume_latest, began)
        runs = [_run(again, display, resume_latest, None) for again in repeated(plan)]
        record_spread(plan, runs, display)
    return runs[-1]


def resume(
    folder: Run,
    display: Display,
    data: Path | None = None,
    began: float | None = None,
    part: str = "",
    how: Resumed = AS_BEGUN,
    ranks: Ranks | None = None,
) -> Run:
    """Resume an interrupted run from its last checkpoint, with as many processes as before unless told otherwise.

    Args:
        folder: The run's folder.
        display: Shows progress.
        data: Its data folder; None for the one it began with.
        began: When this process began to resume it, by time.perf_counter, s; None for now.
        part: Do only this part of it (see `kagglekit.workflows.parts`), and combine nothing; empty for all.
        how: What may differ from the command that began it.
        ranks: The processes that share it, if they have been joined.

    Raises:
        UserError: Its data, plugins or checkpoints do not allow it, or another process works on it.
    """
    began = time.perf_counter() if began is None else began
    info = unfinished_info(folder, display)
    if info is None:
        return folder
    begun = folder.recipe_file.exists()
    key = run_key(folder, info)
    last = newest_checkpoint(folder.checkpoints, key, lambda _: None) if begun else None  # `train` warns
    request = how.changed(request_of(folder, info, data, fresh=last is None), info)
    if is_job() and not part:
        wait_until_free(folder)
    if starts_processes(request, folder.recipe(), part):
        return launched(folder, request, display, data, part)
    with _computing(request, ranks) as ranks:
        plan = _shared_plan(request, ranks, display)
        if part:
            check_same_data(folder, info, plan)
            return train_part(plan, folder, part, display)
        _check_single(plan)
        if as_jobs(plan) and _asks_for_jobs(request):
            return run_jobs(plan, display, began, folder)
        if last or not is_launched():
            display.report(f"resuming {folder.folder}")
        if plan.recipe.zoo:
            return run_zoo(plan, display, folder)
        if not plan.recipe.folds:
            model, plan = _settled(plan) if last is None else (None, plan)
            return train(plan, folder, display, model, began)
        check_same_data(folder, info, plan)
        model, plan = settled(replace(plan, request=replace(request, into=str(folder.folder))))
        if not info.weights:  # a job that begins it: until now, the network was not known
            folder.write_recipe(plan.recipe)
        return run_folds(plan, model, display, began=began)


def _shared_plan(request: Request, ranks: Ranks, display: Display) -> Plan:
    """Return the plan of one of several processes, after the first of this machine has found or downloaded the data."""
    with ranks.in_turn():
        plan = planned(replace(request, device=ranks.device(request.device)), display)
    if not ranks.several:
        return plan
    if not ranks.is_first:
        plan.hooks.ignore_watchers()
    threads = named_threads(request.threads) or share_of_cores(ranks.here)
    return replace(plan, ranks=ranks, threads=ThreadChoice(threads))


def _asks_for_jobs(request: Request) -> bool:
    """Return whether a resumed run's trainings become jobs; within a job, only those that processes share do."""
    jobs = request.jobs
    return jobs.given or jobs.ranks > 1 or (jobs.gpus is not None and not is_job())


def _settled(plan: Plan) -> tuple[nn.Module, Plan]:
    with plan.ranks.in_turn():  # weights that are downloaded are found by those that follow
        return settled(plan)


def _check_single(plan: Plan) -> None:
    """Refuse several trainings where processes share one.

    Raises:
        UsageError: There are several.
    """
    recipe, request = plan.recipe, plan.request
    if plan.ranks.several and (recipe.folds or recipe.zoo or request.repeats > 1 or request.jobs.given):
        raise UsageError(
            "processes that torchrun has started share one training, and this run has several",
            f"without torchrun: kagglekit run ... --gpus {plan.ranks.here}",
        )


@contextmanager
def _computing(request: Request, known: Ranks | None = None) -> Iterator[Ranks]:
    """Compute in the block: it can be interrupted; at its end, memory and torch's number of threads are as before.

    Yields:
        The processes that share the work: the known ones, or those that torchrun has started.
    """
    computing = threads_restored(request.threads)
    with memory_returned(), stoppable(), computing, chosen_algorithms(request.deterministic):
        if known:
            yield known
            return
        with joined(request.device) as ranks:
            yield ranks


def _run(plan: Plan, display: Display, resume_latest: bool, began: float | None) -> Run:
    model, plan = (None, plan) if plan.recipe.zoo else _settled(plan)
    interrupted = plan.ranks.of_first(lambda: find_unfinished(plan))
    if interrupted and resume_latest:
        how = Resumed(store=plan.request.store, jobs=plan.request.jobs)
        return resume(interrupted, display, plan.data, began, how=how, ranks=plan.ranks)
    if interrupted:
        display.report(f"found an interrupted run with this recipe and data: {interrupted.folder}")
        display.report(f"hint: to resume it: {display.command('resume', interrupted.folder)}")
    if starts_processes(plan.request, plan.recipe):
        return launched(begin(plan), plan.request, display)
    if model is None:
        return run_zoo(plan, display)
    return (run_folds if plan.recipe.folds else run_plan)(plan, model, display, began=began)
