"""A plugin file for tests: the executor ``forked`` runs jobs as forks of a process that has torch loaded."""

from __future__ import annotations

import os
import signal
import threading

import forks

from kagglekit import Ended, Provides, hookimpl


@hookimpl
def kagglekit_provides():
    return Provides(executor=["forked"])


@hookimpl
def kagglekit_executor(name, workers, need):
    return Forked(workers or 1) if name == "forked" else None


class Forked:
    title = "forks"

    def __init__(self, workers):
        self.workers = workers
        self._running = {}

    def submit(self, job):
        with job.log.open("a") as log:
            process = forks.start(list(job.argv[1:]), job.cwd, {**os.environ, **forks.SET}, log.fileno())
        reader = threading.Thread(target=_write, args=(process, job), daemon=True)
        reader.start()
        self._running[job.name] = job, process, reader

    def ended(self, wait):
        for name, (job, process, reader) in list(self._running.items()):
            try:
                code = process.wait(wait / len(self._running))
            except forks.subprocess.TimeoutExpired:
                continue
            reader.join()
            process.communicate()
            del self._running[name]
            return [Ended(job, code)]
        return []

    def stop(self, name):
        self._running[name][1].send_signal(signal.SIGTERM)

    def close(self):
        for _, process, _ in self._running.values():
            process.send_signal(signal.SIGKILL)


def _write(process, job):
    with job.log.open("a") as log:
        for line in process.stdout:
            log.write(line)
            log.flush()
