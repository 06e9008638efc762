"""Trainings as SLURM jobs, by submitit: `--on slurm://PARTITION -n 8`; `--on slurm://local` tries it without SLURM."""

import time

from kagglekit import Ended, Provides, hookimpl, start_process


@hookimpl
def kagglekit_provides():
    return Provides(executor=["slurm"])


@hookimpl
def kagglekit_executor(name, workers, need):
    kind, _, partition = name.partition("://")
    return Slurm(workers or 4, need, partition) if kind == "slurm" else None


class Slurm:
    def __init__(self, workers, need, partition):
        import submitit

        self.workers, self.title = workers, f"SLURM, {workers} jobs at a time"
        self._lost = submitit.core.utils.UncompletedJobError
        self._executor = submitit.AutoExecutor("slurm", cluster="local" if partition == "local" else "slurm")
        self._executor.update_parameters(timeout_min=24 * 60, cpus_per_task=need.cpus or 4, gpus_per_node=need.gpus)
        if partition not in ("", "local"):
            self._executor.update_parameters(slurm_partition=partition)
        self._running = {}

    def submit(self, job):
        self._running[job.name] = job, self._executor.submit(work, job), time.perf_counter()

    def ended(self, wait):
        done = [name for name, (_, task, _) in self._running.items() if task.done()]
        if not done:
            time.sleep(wait)
        return [self._take(*self._running.pop(name)) for name in done]

    def _take(self, job, task, started):
        try:
            code = task.result()
        except self._lost:  # the node, or the time
            code = None
        return Ended(job, code, time.perf_counter() - started, task.job_id)

    def stop(self, name):
        if name in self._running:
            self._running[name][1].cancel()  # SIGTERM: the training saves its work
        return name in self._running

    def close(self):
        for name in self._running:
            self.stop(name)


def work(job):
    return start_process(job.argv, job.log).wait()
