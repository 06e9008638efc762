"""Do the trainings of a request as jobs: folds, networks, seeds, or a single run on another machine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import torch

from kagglekit.planning.plan import Plan
from kagglekit.planning.request import Request
from kagglekit.runs.folder import Run
from kagglekit.runs.lock import leading
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UsageError, UserError
from kagglekit.types.executor import Need
from kagglekit.workflows.folds import run_folds
from kagglekit.workflows.jobs import Jobs, do_all, opened
from kagglekit.workflows.parts import Part, job_of, parts_of
from kagglekit.workflows.repeats import record_spread, repeated
from kagglekit.workflows.setup import settled
from kagglekit.workflows.single import begin
from kagglekit.workflows.unfinished import find_begun
from kagglekit.workflows.zoo import run_zoo


def as_jobs(plan: Plan) -> bool:
    """Return whether a plan's trainings become jobs: if the user asks for it, or several can share several GPUs.

    So do several trainings of which each is to be shared by processes; a single one is started by this process.
    """
    request = plan.request
    if plan.ranks.several:
        return False
    if request.jobs.given:
        return True
    several = bool(plan.recipe.folds or plan.recipe.zoo or request.repeats > 1) and not request.only_fold
    gpus = str(plan.device) == "cuda" and torch.cuda.device_count() > 1
    return several and (gpus or request.jobs.gpus is not None)


def need_of(plan: Plan) -> Need:
    """Return what each job of a plan needs.

    Raises:
        UsageError: The device is one certain GPU, which jobs cannot share.
    """
    if plan.device.type == "cuda" and plan.device.index is not None:
        what = f"--device {plan.device} names one GPU, and jobs are given theirs"
        raise UsageError(what, "use --device cuda; CUDA_VISIBLE_DEVICES says which GPUs may be used")
    jobs = plan.request.jobs
    gpus = 0 if plan.request.device == "cpu" else jobs.gpus
    threads = plan.request.threads  # jobs read them from run.json, too; auto is an equal share
    gpus = (1 if plan.device.type == "cuda" else 0) if gpus is None else gpus
    return Need(0 if threads == "auto" else threads, gpus, jobs.accelerator, jobs.hours, jobs.yes_licence)


def run_jobs(plan: Plan, display: Display, began: float | None, folder: Run | None = None) -> Run:
    """Do a plan's trainings as jobs, and combine them here.

    Args:
        plan: The plan.
        display: Shows progress.
        began: When this process began, by time.perf_counter, s; None for now.
        folder: The run to resume; None to look for one that the same command has begun, or else make one.

    Returns:
        The run; of repeats the last one.

    Raises:
        UserError: A training failed: the others are finished first.
    """
    request = plan.request
    need = need_of(plan)
    executor = plan.hooks.executor(request.jobs.on or "local", request.jobs.workers, need)
    plans = list(repeated(plan)) if request.repeats > 1 else [plan]
    with opened(executor, request.jobs, display) as jobs:
        if plan.recipe.zoo or plan.recipe.folds:
            runs = [_combined(again, jobs, need, display, began, folder) for again in plans]
        else:
            runs = _singles(plans, jobs, need, display, folder)
        if request.repeats > 1:
            record_spread(plan, runs, display)
    return runs[-1]


def _combined(plan: Plan, jobs: Jobs, need: Need, display: Display, began: float | None, folder: Run | None) -> Run:
    """Do the folds or networks of one run, and combine them."""
    model, plan = (None, plan) if plan.recipe.zoo else settled(plan)
    folder = folder or find_begun(plan)
    if folder and folder.info().status == "finished":
        return folder
    if folder:
        display.report(f"resuming {folder.folder}")
    train_all = partial(_train_all, jobs, need)
    if model is None:
        return run_zoo(plan, display, folder, train_all)
    if folder:
        plan = replace(plan, request=replace(plan.request, into=str(folder.folder)))
    return run_folds(plan, model, display, began=began, train_all=train_all)


def _train_all(jobs: Jobs, need: Need, plan: Plan, folder: Run) -> UserError | None:
    with leading(folder):
        parts = [part for part in parts_of(plan, folder) if part.run.info().status != "finished"]
        return do_all(jobs, [job_of(part, folder, for_job(plan, need)) for part in parts])


def _singles(plans: Sequence[Plan], jobs: Jobs, need: Need, display: Display, folder: Run | None) -> list[Run]:
    """Do runs of one training each.

    Raises:
        UserError: Some failed.
    """
    runs = []
    for plan in plans:
        own = settled(plan)[1]
        runs.append(folder or find_begun(own) or begin(own))
        display.report(f"results: {runs[-1].folder}")
    with ExitStack() as stack:
        left = [run for run in runs if run.info().status != "finished"]
        for run in left:
            stack.enter_context(leading(run))
        source = [job_of(Part("", run), run, for_job(plans[0], need)) for run in left]
        if failure := do_all(jobs, source):
            raise failure
    return runs


def for_job(plan: Plan, need: Need) -> Request:
    """Return the request that a job's command is made from, with the device that the executor gives it."""
    return replace(plan.request, device="cuda" if need.gpus else plan.device.type)
