"""The trainings that a run consists of: each can be done by a process of its own, on this machine or another."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.hooks.trust import is_path
from kagglekit.planning.zoo import networks
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UsageError, listing
from kagglekit.types.executor import Job
from kagglekit.workflows.folds import assigned, run_fold
from kagglekit.workflows.setup import settled
from kagglekit.workflows.unfinished import wait_until_free
from kagglekit.workflows.zoo import network_run, train_network

if TYPE_CHECKING:
    from kagglekit.planning.plan import Plan
    from kagglekit.planning.request import Request
    from kagglekit.system.display.console import Display


@dataclass(frozen=True)
class Part:
    """One training of a run.

    Attributes:
        name: Its folder within the run's, with ``/`` between names: ``fold-3``, ``2-resnet18/fold-3``; empty if it is
            the whole run.
        run: Its folder.
    """

    name: str
    run: Run


def parts_of(plan: Plan, folder: Run) -> list[Part]:
    """List the trainings of a run, in the order in which one process does them."""
    wholes = [("", folder)]
    if plan.recipe.zoo:
        runs = [network_run(folder, number, one.recipe.arch) for number, one in enumerate(networks(plan), 1)]
        wholes = [(run.name, run) for run in runs]
    if not plan.recipe.folds:
        return [Part(name, run) for name, run in wholes]
    numbers = range(1, plan.recipe.folds + 1)
    return [Part(f"{name}/fold-{k}".lstrip("/"), run.fold(k)) for name, run in wholes for k in numbers]


def train_part(plan: Plan, folder: Run, name: str, display: Display) -> Run:
    """Do one training of a run, or what is left of it; nothing is combined.

    Args:
        plan: The plan of the whole run.
        folder: The run's folder, which has begun.
        name: The part's.
        display: Shows progress.

    Raises:
        UsageError: The run has no such part.
        UserError: See `kagglekit.workflows.single.train`.
    """
    parts = {part.name: part.run for part in parts_of(plan, folder)}
    if name not in parts:
        raise UsageError(f"{folder.folder} has no part {name!r}", f"its parts: {listing(list(parts), 20)}")
    part = parts[name]
    plan.ranks.of_first(lambda: wait_until_free(part))
    fold = name.rpartition("fold-")[2] if plan.recipe.folds else ""
    within = folder
    if plan.recipe.zoo:
        with plan.ranks.in_turn():  # weights that are downloaded are found by those that follow
            plan = settled(_network(plan, name))[1]
        if not fold:
            train_network(plan, part, folder, display)
            return part
        within = Run(part.folder.parent)
    plan, numbers = assigned(plan)
    run_fold(plan, numbers, int(fold), within, display)
    return part


def _network(plan: Plan, name: str) -> Plan:
    """Return the plan of the network that a part's name begins with: ``2-resnet18``."""
    return networks(plan)[int(name.partition("-")[0]) - 1]


def job_of(part: Part, folder: Run, request: Request) -> Job:
    """Return the job that does a part: the command that a person would type to do it.

    Args:
        part: The part.
        folder: The run's folder, which has begun: its run.json has the request.
        request: What run.json has not: where images are kept, the device, on how many GPUs, plugin files for other
            machines.
    """
    argv = resume_command(folder, part.name, request)
    argv += ["--gpus", str(request.jobs.gpus)] if request.jobs.gpus is not None else []
    place = part.run.folder.absolute()
    name = f"{folder.name}/{part.name}" if part.name else folder.name
    return Job(name, tuple(argv), place, folder.folder.absolute(), Run(place).output_file, Path.cwd())


def resume_command(folder: Run, part: str, request: Request) -> list[str]:
    """Return the command that resumes a run, or a part of it, in a process of its own."""
    argv = [sys.executable, "-m", "kagglekit", "resume", str(folder.folder.absolute())]
    argv += ["--part", part] if part else []
    argv += ["--device", request.device, "--store", request.store]
    for file in filter(is_path, [request.competition, *request.plugins]):
        argv += ["--plugin", str(Path(file).absolute())]
    return argv
