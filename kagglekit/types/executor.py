"""Jobs that run side by side: what one needs, how it ended, and what an executor does with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

RETRIES = 2  # of a job whose process or machine was lost


@dataclass(frozen=True)
class Need:
    """What each job needs.

    Attributes:
        cpus: Threads; 0 for an equal share of the machine's cores.
        gpus: GPUs; 0 to compute on the CPU.
        accelerator: The kind of machine, by the executor's own names; empty for its default.
        hours: The limit of a session; None for the executor's default.
        yes_licence: Weights may be uploaded even if their licence may forbid sharing them.
    """

    cpus: int = 0
    gpus: int = 0
    accelerator: str = ""
    hours: float | None = None
    yes_licence: bool = False


@dataclass(frozen=True)
class Job:
    """A command that works in a run's folder, where it resumes if it is started again.

    Attributes:
        name: Unique among the jobs of a command.
        argv: The command; its first element is the Python that runs kagglekit here.
        folder: The run's folder, or that of one of its parts, which the command writes.
        root: The folder that the command reads: `folder`, or the run that it is a part of.
        log: The file that its output is added to.
        cwd: The folder to start it in, where there is one of that path.
    """

    name: str
    argv: tuple[str, ...]
    folder: Path
    root: Path
    log: Path
    cwd: Path = Path()


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Attributes:
        job: The job.
        code: Its exit code, negative if a signal ended it; None if its process or machine was lost.
        seconds: How long it ran, s.
        node: The machine it ran on; empty for this one.
    """

    job: Job
    code: int | None
    seconds: float = 0.0
    node: str = ""


@runtime_checkable
class Executor(Protocol):
    """Runs jobs, on this machine or on others.

    Attributes:
        workers: How many jobs it runs side by side; it may change.
        title: What it is, for people: ``2 processes``.
    """

    workers: int
    title: str

    def submit(self, job: Job) -> None:
        """Start a job; at most `workers` are submitted at a time."""

    def ended(self, wait: float) -> list[Ended]:
        """Return the jobs that have ended since the last call; wait up to `wait` seconds for the first one."""

    def stop(self, name: str) -> bool:
        """Ask a job to save its work and to end, which `ended` reports; return False if it does not run any more."""

    def close(self) -> None:
        """End the jobs that still run at once, and free everything."""


@dataclass(frozen=True)
class JobOptions:
    """How several trainings are run.

    Attributes:
        on: Name of the executor; empty for ``local``, if there is something to run side by side.
        workers: How many jobs run side by side; None for as many as the executor finds fit.
        gpus: GPUs that each training computes on, by as many processes; on CPUs the number of processes. None for one.
        retries: How often a lost job is started again.
        maxfail: Start no more jobs after so many have failed; None to try all.
        accelerator: See `Need`.
        hours: See `Need`.
        yes_licence: See `Need`.
    """

    on: str = ""
    workers: int | None = None
    gpus: int | None = None
    retries: int = RETRIES
    maxfail: int | None = None
    accelerator: str = ""
    hours: float | None = None
    yes_licence: bool = False

    @property
    def given(self) -> bool:
        """True if the user asked for jobs instead of one training after the other in this process."""
        return bool(self.on) or self.workers is not None or self.on_kaggle

    @property
    def ranks(self) -> int:
        """The number of processes that share each training."""
        return max(1, self.gpus or 1)

    @property
    def on_kaggle(self) -> bool:
        """True if the user asked for something that only Kaggle's machines have."""
        return bool(self.accelerator) or self.hours is not None or self.yes_licence


IN_TURN = JobOptions()
"""One training after the other in this process, unless several can share several GPUs."""
