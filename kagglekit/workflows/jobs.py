"""Do jobs side by side: start what fits, start lost ones again, show how far each is, and say how all ended.

A job is a process that trains one run, or one part of a run, in its folder. All state is in these folders, so nothing
here has to survive: the same command finds what is done, and resumes what is not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from kagglekit.runs.folder import Run
from kagglekit.system.display.console import Display, duration
from kagglekit.system.display.live_table import live_table
from kagglekit.system.errors import UserError, listing
from kagglekit.system.job_process import LOST
from kagglekit.system.signals import stoppable_again
from kagglekit.types.executor import Ended, Executor, Job, JobOptions
from kagglekit.types.metric import title_of

TICK = 1.0  # between two looks at the runs, s
SAVING = 120.0  # how long jobs may take to save their work after Ctrl-C, s
SHOWN = 20  # last lines of a failed job's output
COLUMNS = ("run", "state", "stage", "epoch", "score", "left")
ENDED = ("finished", "failed", "stopped")  # states that nothing follows
ASKED = (130, 143)  # exit codes of a process that a signal has asked to stop


@dataclass
class Progress:
    """Where a job is.

    Attributes:
        job: The job.
        state: ``waiting``, ``running``, ``lost`` (and waiting again), ``finished``, ``failed`` or ``stopped``.
        attempts: How often it was started.
        asked: Whether we asked it to stop.
        row: Its last line of the table, once it has ended: nothing in its folder changes any more.
    """

    job: Job
    state: str = "waiting"
    attempts: int = 0
    asked: bool = False
    row: tuple[str, ...] = ()


@dataclass
class Jobs:
    """The jobs of a command on an executor.

    Attributes:
        executor: Runs them.
        options: How often to retry, and when to give up.
        display: Shows what happens.
        all: Every job so far, by name.
    """

    executor: Executor
    options: JobOptions
    display: Display
    all: dict[str, Progress] = field(default_factory=dict)

    def work(self, source: Iterator[Job]) -> Iterator[Ended | None]:
        """Run the jobs of a source, and yield each when it has ended for good, and None about once a second.

        The source is asked for the next job whenever a worker is free; after `JobOptions.maxfail` failures it is asked
        no more.
        """
        waiting: list[Job] = []
        while True:
            self._fill(waiting, source)
            if not self._in("running"):
                return
            for ended in self.executor.ended(TICK):
                if self._settle(ended, waiting):
                    yield ended
            yield None

    def stop(self, name: str) -> bool:
        """Ask a running job to save its work and to end; return False if it does not run any more."""
        self.all[name].asked = True
        return self.executor.stop(name)

    @property
    def failed(self) -> list[Progress]:
        """The jobs that failed."""
        return self._in("failed")

    @property
    def is_over(self) -> bool:
        """True if so many have failed that no more are started."""
        most = self.options.maxfail
        return most is not None and len(self.failed) >= most

    def _in(self, state: str) -> list[Progress]:
        return [each for each in self.all.values() if each.state == state]

    def _fill(self, waiting: list[Job], source: Iterator[Job]) -> None:
        while len(self._in("running")) < self.executor.workers:
            job = waiting.pop(0) if waiting else None if self.is_over else next(source, None)
            if job is None:
                return
            progress = self.all.setdefault(job.name, Progress(job))
            progress.state, progress.attempts = "running", progress.attempts + 1
            _note_start(job, progress.attempts)
            self.executor.submit(job)

    def _settle(self, ended: Ended, waiting: list[Job]) -> bool:
        """Take note of a job's end; return whether it has ended for good, since a lost one is started again."""
        progress = self.all[ended.job.name]
        if is_lost(ended) and not progress.asked:
            why = "its process or machine was lost" if ended.code is None else f"ended by signal {-ended.code}"
            why = "one of its processes was lost" if ended.code == LOST else why
            why = "asked to stop by somebody else" if ended.code in ASKED else why
            if progress.attempts <= self.options.retries:
                again = f"resuming it, attempt {progress.attempts + 1} of {1 + self.options.retries}"
                self.display.warn(f"{ended.job.name}: {why}{_on(ended)}; {again}")
                progress.state = "lost"
                waiting.append(ended.job)
                return False
            self.display.warn(f"{ended.job.name}: {why}{_on(ended)}; it was started {progress.attempts} times")
        progress.state = "stopped" if progress.asked and ended.code else "failed" if ended.code != 0 else "finished"
        if progress.state == "failed":
            log = ended.job.log
            self.display.warn(f"{ended.job.name} failed{_on(ended)}; the end of {log}:\n{last_lines(log)}")
        return True

    def stop_all(self) -> None:
        """Let the running jobs save their work; a second signal ends all of them at once."""
        running = self._in("running")
        if getattr(self.executor, "runs_on", False):  # and says so itself
            for each in running:
                each.state = "stopped"
            return
        if not running:
            return
        self.display.report(f"stopping {listing([each.job.name for each in running])}: they save their work")
        for each in running:
            if not self.stop(each.job.name):
                each.state = "stopped"
        until = time.monotonic() + SAVING
        with stoppable_again():
            while self._in("running") and time.monotonic() < until:
                for ended in self.executor.ended(TICK):
                    self.all[ended.job.name].state = "stopped"


def is_lost(ended: Ended) -> bool:
    """Return whether a job was lost, instead of having ended by its own decision."""
    return ended.code is None or ended.code < 0 or ended.code in (*ASKED, LOST)


def _on(ended: Ended) -> str:
    return f" on {ended.node}" if ended.node else ""


def _note_start(job: Job, attempt: int) -> None:
    with suppress(OSError):  # the executor will say it
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("a", encoding="utf-8") as log:
            log.write(f"--- {datetime.now():%Y-%m-%d %H:%M:%S} attempt {attempt}: {' '.join(job.argv)}\n")


def last_lines(log: Path, most: int = SHOWN) -> str:
    """Return the last lines of a file, indented."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "  (it cannot be read)"
    return "\n".join(f"  {line}" for line in lines[-most:])


@contextmanager
def opened(executor: Executor, options: JobOptions, display: Display) -> Iterator[Jobs]:
    """Use an executor in the block.

    After Ctrl-C, or an error, the running jobs save their work; a second Ctrl-C ends all at once.
    """
    display.report(f"jobs: {executor.title}")
    jobs = Jobs(executor, options, display)
    try:
        yield jobs
    except BaseException:
        jobs.stop_all()
        raise
    finally:
        executor.close()


def do_all(jobs: Jobs, source: Sequence[Job]) -> UserError | None:
    """Do jobs, with a live table of them; return the error that lists those that failed, if any did."""
    names = [job.name for job in source]
    with live_table(jobs.display, COLUMNS) as table:
        for job in source:
            jobs.all.setdefault(job.name, Progress(job))
        try:
            for _ in jobs.work(iter(source)):
                if table.is_due:
                    table.show([row_of(jobs.all[name]) for name in names])
        except BaseException:
            jobs.stop_all()
            raise
        table.show([row_of(jobs.all[name]) for name in names])
    failed = [each.job.name for each in jobs.failed if each.job.name in names]
    if not failed:
        return None
    not_started = [name for name in names if jobs.all[name].state == "waiting"]
    rest = f"; not started: {listing(not_started, 20)}" if not_started else ""
    return UserError(
        f"{len(failed)} of {len(names)} runs failed: {listing(failed, 20)}{rest}",
        "everything finished is kept; after a fix, the same command does what is left",
    )


def row_of(progress: Progress) -> tuple[str, ...]:
    """Return a job's line of the table."""
    if progress.row:
        return progress.row
    facts = _facts(Run(progress.job.folder)) if progress.state in ("running", "finished") else ("", "", "", None)
    left = duration(facts[3]) if facts[3] is not None and progress.state == "running" else ""
    row = (progress.job.name, progress.state, *facts[:3], left)
    if progress.state in ENDED:
        progress.row = row
    return row


def _facts(run: Run) -> tuple[str, str, str, float | None]:
    """Return stage, epoch, score and time left, s, of a run in another process; of folds, those of the newest."""
    with suppress(UserError, OSError, ValueError, KeyError):
        folds = sorted(run.folder.glob("fold-*/log.csv"), key=lambda file: file.stat().st_mtime)
        inner = Run(folds[-1].parent) if folds else run
        info, log = inner.info(), inner.log_rows()
        if not log:
            return "", "", "", None
        last = log[-1]
        key = f"valid_{info.metric}"
        score = last.get(key) or last["valid_loss"]
        title = f"{title_of(info.metric) if key in last else 'loss'} {float(score):.4f}"
        if info.status == "finished" and (known := info.ensemble_scores.get(key)):
            title = f"{title_of(info.metric)} {known.value:.4f}"
        left = None
        if info.estimate_s and info.started:
            since = datetime.now().astimezone() - datetime.fromisoformat(info.started)
            left = info.estimate_s - since.total_seconds()
        return last["stage"], last["epoch"], title, left if left and left > 0 else None
    return "", "", "", None
