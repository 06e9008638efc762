"""The executor ``ray``: jobs are tasks on a Ray cluster, each of which starts the command as a process.

``--on ray`` uses the cluster of RAY_ADDRESS, or starts one on this machine; ``--on ray://HOST:10001`` names one. Ray
keeps nothing that matters: a run's folder has all state. On a machine that does not see the folder, the task unpacks
a copy of what is needed, and sends back what was made, with its SHA-256.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING, Any

from kagglekit import Ended, Provides, UserError, hookimpl, pack_folder, start_process, unpack_folder

if TYPE_CHECKING:
    from kagglekit import Executor, Job, Need

POLL = 0.1  # between two looks at a process, s
PAUSE = 0.02  # between two looks at the tasks, s
# A process between the worker and the command, that ends as the command does. When a worker ends, as with its driver,
# Ray kills what the worker has started, before it can save its work; but not what that process has started.
BETWEEN = """
import os, signal, subprocess, sys
code = subprocess.call(sys.argv[1:], start_new_session=True)
if code < 0:
    if -code not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""
OWN_CHOICES = {  # of Ray's, unless the user has made them
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # below `uv run`, it would send the working folder to each machine
    "RAY_USAGE_STATS_ENABLED": "0",  # or it reports to its makers
}


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the executor's name."""
    return Provides(executor=["ray"])


@hookimpl
def kagglekit_executor(name: str, workers: int | None, need: Need) -> Executor | None:
    """Return the executor, connected to the cluster."""
    if name.partition("://")[0] != "ray":
        return None
    for variable, value in OWN_CHOICES.items():
        os.environ.setdefault(variable, value)
    try:
        with _handlers_kept():
            import ray
    except ImportError as error:
        raise UserError(
            f"--on ray needs the package ray, which cannot be imported ({error})", "pip install 'kagglekit[ray]'"
        ) from error
    address = name if "://" in name else os.environ.get("RAY_ADDRESS")
    if not ray.is_initialized():
        try:
            with _handlers_kept():
                _silence()
                dashboard = False if address is None else None
                ray.init(address, log_to_driver=False, include_dashboard=dashboard, logging_level=logging.ERROR)
        except Exception as error:  # Ray's own class of a node that does not start in time
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"cannot use Ray at {address or 'this machine'}: {reason}", "try: ray start --head"
            ) from error
    machines = [Machine.of(node["Resources"]) for node in ray.nodes() if node["Alive"]]
    return RayTasks(share_of(machines, workers, need))


def _silence() -> None:
    """Keep pages of Ray's about lost processes out of standard output, which may be for JSON; its own logs have them.

    It has no option for that. Without the function, as in other versions, all else works.
    """
    module = sys.modules.get("ray._private.worker")
    if hasattr(module, "print_to_stdstream"):
        module.print_to_stdstream = lambda *_, **__: None  # type: ignore[union-attr]


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Give SIGTERM its handler back after the block: Ray sets its own, after which no work is saved."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with suppress(ValueError, TypeError):  # not the main thread, where none was set; or not one of Python's
            signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True)
class Machine:
    """What a machine of the cluster has.

    Attributes:
        cpus: CPUs that tasks may use.
        gpus: GPUs.
    """

    cpus: int
    gpus: int

    @classmethod
    def of(cls, resources: Mapping[str, float]) -> Machine:
        """Return it from what Ray says of a node."""
        return cls(int(resources.get("CPU", 0)), int(resources.get("GPU", 0)))


@dataclass(frozen=True)
class Share:
    """How jobs share the cluster.

    Attributes:
        workers: How many run side by side.
        threads: CPUs of each.
        gpus: GPUs of each.
        machines: How many machines the cluster has.
        title: The same for people.
    """

    workers: int
    threads: int
    gpus: int
    machines: int
    title: str


def share_of(machines: Sequence[Machine], workers: int | None, need: Need) -> Share:
    """Share a cluster out; each job runs on one machine.

    Args:
        machines: Its machines.
        workers: How many jobs run side by side; None for one a GPU, or without GPUs one a machine.
        need: What each one needs.

    Raises:
        UserError: No machine has what a job needs, for which Ray would wait for ever.
    """
    able = [machine for machine in machines if machine.cpus and machine.gpus >= need.gpus]
    if not able:
        most = max((machine.gpus for machine in machines), default=0)
        what = f"{need.gpus} GPUs were requested for each run, and no machine of the Ray cluster has more than {most}"
        raise UserError(what if need.gpus else "no machine of the Ray cluster has a CPU for tasks")
    most = max(machine.cpus for machine in able)
    if need.cpus > most:
        what = (
            f"{need.cpus} threads were requested for each run, and no machine of the Ray cluster has more than {most}"
        )
        raise UserError(f"{what} CPUs", f"use --threads {most}")
    workers = workers or (sum(machine.gpus // need.gpus for machine in able) if need.gpus else len(able))
    each = -(-workers // len(able))  # side by side on a machine, at most
    threads = need.cpus or max(1, min(machine.cpus for machine in able) // each)
    cpus, gpus = sum(machine.cpus for machine in machines), sum(machine.gpus for machine in machines)
    title = f"Ray, {len(machines)} machines, {cpus} CPUs, {gpus} GPUs, {workers} runs side by side"
    return Share(workers, threads, need.gpus, len(machines), title)


class RayTasks:
    """Runs each job as a task of Ray.

    Args:
        share: How they share the cluster.
    """

    def __init__(self, share: Share) -> None:
        import ray

        self.workers, self.title = share.workers, share.title
        self._several, self._threads = share.machines > 1, share.threads
        self._task = ray.remote(_do).options(num_cpus=share.threads, num_gpus=share.gpus, max_retries=0)
        self._running: dict[Any, tuple[Job, float]] = {}

    def submit(self, job: Job) -> None:
        """Start a task; where there are several machines, it gets what it needs if its own does not see the folder."""
        packed = pack_folder(job.root, job.folder) if self._several else None
        mark = sha256((job.root / "run.json").read_bytes()).hexdigest()
        self._running[self._task.remote(job, mark, packed, self._threads)] = job, time.perf_counter()

    def ended(self, wait: float) -> list[Ended]:
        """Return the jobs whose tasks have ended; a task that is gone is a lost job."""
        import ray

        if not self._running:
            return []
        until = time.monotonic() + wait
        while True:  # Ray's own waiting would turn SIGTERM into Ctrl-C
            references = list(self._running)
            ready, _ = ray.wait(references, num_returns=len(references), timeout=0)
            if ready or time.monotonic() >= until:
                return [self._take(reference) for reference in ready]
            time.sleep(PAUSE)

    def stop(self, name: str) -> bool:
        """Ask a task to let its process save and end."""
        import ray

        found = [reference for reference, (job, _) in self._running.items() if job.name == name]
        for reference in found:
            ray.cancel(reference, force=False)
        return bool(found)

    def close(self) -> None:
        """End the tasks, and with them their processes."""
        import ray

        for reference in self._running:
            ray.cancel(reference, force=True)
        ray.shutdown()

    def _take(self, reference: Any) -> Ended:
        import ray

        job, started = self._running.pop(reference)
        try:
            code, node, returned = ray.get(reference)
        except ray.exceptions.TaskCancelledError:
            return Ended(job, 143, time.perf_counter() - started)
        except ray.exceptions.RayTaskError as error:  # the job could not be started there: kagglekit is missing, ...
            _note(job.log, f"error: {error.cause}")
            return Ended(job, 1, time.perf_counter() - started)
        except ray.exceptions.RayError as error:  # of a worker or a machine that is gone
            _note(job.log, f"lost: {str(error).partition(chr(10))[0]}")
            return Ended(job, None, time.perf_counter() - started)
        if returned:
            content, digest = returned
            unpack_folder(content, digest, job.root)
        return Ended(job, code, time.perf_counter() - started, node)


def _note(log: Path, line: str) -> None:
    with suppress(OSError), log.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def _do(
    job: Job, mark: str, packed: tuple[bytes, str] | None, threads: int
) -> tuple[int, str, tuple[bytes, str] | None]:
    """Do a job on the machine of a worker.

    Args:
        job: The job, with the paths of the machine that submits it.
        mark: The SHA-256 of its run.json there.
        packed: What it needs, if this machine may not see the folder.
        threads: Threads of its numeric libraries.

    Returns:
        The exit code, this machine's name, and the job's folder if nobody else sees it.
    """
    import platform
    import tempfile

    argv = [sys.executable, *job.argv[1:]]
    if packed is None or _sees(job.root, mark):
        return _wait_for(argv, job.log, threads, job.cwd), platform.node(), None
    with tempfile.TemporaryDirectory(prefix="kagglekit-") as place:
        root = Path(place) / job.root.name
        unpack_folder(*packed, root)
        folder = root / job.folder.relative_to(job.root)
        code = _wait_for([_moved(word, job.root, root) for word in argv], folder / job.log.name, threads, job.cwd)
        return code, platform.node(), pack_folder(root, folder, alone=True)


def _sees(root: Path, mark: str) -> bool:
    file = root / "run.json"
    return file.is_file() and sha256(file.read_bytes()).hexdigest() == mark


def _moved(word: str, root: Path, here: Path) -> str:
    """Return a word of a command for the copy of a run's folder on this machine."""
    if word == str(root):
        return str(here)
    copy = here / "plugins" / Path(word).name
    return str(copy) if word.endswith(".py") and not Path(word).exists() and copy.exists() else word


def _wait_for(argv: list[str], log: Path, threads: int, cwd: Path) -> int:
    """Run a command to its end; if the task is cancelled, or its worker is gone, it saves its work first."""
    process = start_process([sys.executable, "-S", "-c", BETWEEN, *argv], log, threads, cwd=cwd)
    while True:
        try:
            while (code := process.poll()) is None:
                with suppress(TimeoutExpired):
                    process.process.wait(POLL)
            return code
        except KeyboardInterrupt:  # how Ray cancels a task
            process.stop()
