"""The executor ``ray``: jobs are tasks on a Ray cluster, each of which starts the command as a process.

``--on ray`` uses the cluster of RAY_ADDRESS, or starts one on this machine; ``--on ray://HOST:10001`` names one. Ray
keeps nothing that matters: a run's folder has all state. On a machine that does not see the folder, the task unpacks
a copy of what is needed, and sends back what was made, with its SHA-256.
"""

from __future__ import annotations

import os
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit import Ended, Provides, UserError, hookimpl, pack_folder, start_process, unpack_folder

if TYPE_CHECKING:
    from kagglekit import Executor, Job, Need

POLL = 0.1  # between two looks at a process, s


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the executor's name."""
    return Provides(executor=["ray"])


@hookimpl
def kagglekit_executor(name: str, workers: int | None, need: Need) -> Executor | None:
    """Return the executor, connected to the cluster."""
    if name.partition("://")[0] != "ray":
        return None
    try:
        import ray
    except ImportError as error:
        raise UserError(
            f"--on ray needs the package ray, which cannot be imported ({error})", "pip install 'kagglekit[ray]'"
        ) from error
    address = name if "://" in name else os.environ.get("RAY_ADDRESS")
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False if address is None else None)
        except Exception as error:  # Ray's own class of a node that does not start in time
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"cannot use Ray at {address or 'this machine'}: {reason}", "try: ray start --head"
            ) from error
    return RayTasks(workers, need)


class RayTasks:
    """Runs each job as a task of Ray.

    Args:
        workers: How many run side by side; None for one a GPU, or without GPUs one a machine.
        need: What each one needs.
    """

    def __init__(self, workers: int | None, need: Need) -> None:
        import ray

        total = ray.cluster_resources()
        self._machines = sum(1 for node in ray.nodes() if node["Alive"])
        gpus, cpus = int(total.get("GPU", 0)), int(total.get("CPU", 1))
        if need.gpus > gpus:
            raise UserError(f"{need.gpus} GPUs were requested for each run, and the Ray cluster has {gpus}")
        self.workers = workers or (gpus // need.gpus if need.gpus else self._machines)
        self._threads = need.cpus or max(1, cpus // max(self.workers, self._machines))
        self.title = f"Ray, {self._machines} machines, {cpus} CPUs, {gpus} GPUs, {self.workers} runs side by side"
        self._task = ray.remote(_do).options(num_cpus=self._threads, num_gpus=need.gpus, max_retries=0)
        self._running: dict[Any, tuple[Job, float]] = {}

    def submit(self, job: Job) -> None:
        """Start a task; where there are several machines, it gets what it needs if its own does not see the folder."""
        packed = pack_folder(job.root, job.folder) if self._machines > 1 else None
        mark = sha256((job.root / "run.json").read_bytes()).hexdigest()
        self._running[self._task.remote(job, mark, packed, self._threads)] = job, time.perf_counter()

    def ended(self, wait: float) -> list[Ended]:
        """Return the jobs whose tasks have ended; a task that is gone is a lost job."""
        import ray

        if not self._running:
            return []
        ready, _ = ray.wait(list(self._running), num_returns=1, timeout=wait)
        return [self._take(reference) for reference in ready]

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
        except ray.exceptions.RayError:  # of a worker or a machine that is gone
            return Ended(job, None, time.perf_counter() - started)
        if returned:
            content, digest = returned
            unpack_folder(content, digest, job.root)
        return Ended(job, code, time.perf_counter() - started, node)


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
    import sys
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
    """Run a command to its end; if the task is cancelled, it saves its work first."""
    process = start_process(argv, log, threads, cwd=cwd)
    while True:
        try:
            while (code := process.poll()) is None:
                time.sleep(POLL)
            return code
        except KeyboardInterrupt:  # how Ray cancels a task
            process.stop()
