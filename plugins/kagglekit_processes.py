"""The default executor, ``local``: jobs are processes on this machine, one a GPU."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kagglekit import Ended, Provides, UserError, cores, hookimpl, start_process

if TYPE_CHECKING:
    from kagglekit import Executor, Job, JobProcess, Need


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the executor's name."""
    return Provides(executor=["local"])


@hookimpl
def kagglekit_executor(name: str, workers: int | None, need: Need) -> Executor | None:
    """Return the executor; without a number of workers, one for each GPU, or one for all CPUs."""
    if name != "local":
        return None
    devices = visible_gpus() if need.gpus else []
    if need.gpus > len(devices):
        raise UserError(f"{need.gpus} GPUs were requested for each run, and this machine has {len(devices)}")
    most = len(devices) // need.gpus if need.gpus else None
    if workers and most is not None and workers > most:
        what = f"{workers} runs side by side need {workers * need.gpus} GPUs, and this machine has {len(devices)}"
        raise UserError(what, f"use -n {most}, or -n auto")
    return Processes(workers or most or 1, need, devices)


class Processes:
    """Runs each job as a process.

    Args:
        workers: How many run side by side.
        need: What each one needs.
        devices: Names of the GPUs to share out.
    """

    def __init__(self, workers: int, need: Need, devices: Sequence[str]) -> None:
        self.workers = workers
        self.title = "1 process" if workers == 1 else f"{workers} processes"
        self.threads = need.cpus or (max(1, int(cores()) // workers) if workers > 1 else 0)
        self._gpus = need.gpus
        self._free = list(devices)
        self._running: dict[str, tuple[Job, JobProcess, list[str]]] = {}
        self._ended: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()

    def submit(self, job: Job) -> None:
        """Start a job on the next free GPUs."""
        taken, self._free = self._free[: self._gpus], self._free[self._gpus :]
        env = {"CUDA_VISIBLE_DEVICES": ",".join(taken)} if taken else {}
        process = start_process(job.argv, job.log, self.threads, env, job.cwd)
        self._running[job.name] = job, process, taken
        threading.Thread(target=self._wait_for, args=(job.name, process), daemon=True).start()

    def ended(self, wait: float) -> list[Ended]:
        """Return the jobs that have ended."""
        found = []
        try:
            found.append(self._take(*self._ended.get(timeout=wait)))
            while True:
                found.append(self._take(*self._ended.get_nowait()))
        except queue.Empty:
            return found

    def stop(self, name: str) -> bool:
        """Ask a job to save its work and to end."""
        if name not in self._running:
            return False
        self._running[name][1].stop()
        return True

    def close(self) -> None:
        """End all jobs at once."""
        for _, process, _ in self._running.values():
            process.kill()

    def _take(self, name: str, code: int) -> Ended:
        job, process, taken = self._running.pop(name)
        self._free += taken
        process.stop()  # closes the pipe
        return Ended(job, code, process.seconds)

    def _wait_for(self, name: str, process: JobProcess) -> None:
        self._ended.put((name, process.wait()))


def visible_gpus() -> list[str]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES leaves, as it names them."""
    import torch

    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    count = torch.cuda.device_count()
    return named[:count] if len(named) >= count else [str(number) for number in range(count)]
