"""A plugin file for tests: the executor ``forked`` runs jobs as forks of a process that has torch loaded.

Two variables make trouble: FORKED_KILL names a job that is killed once, when it has logged an epoch; FORKED_ASK one
after whose end this process is asked to stop.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

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
        import forks  # the jobs, which load this file too, do not find it

        with job.log.open("a") as log:
            process = forks.start(list(job.argv[1:]), job.cwd, {**os.environ, **forks.SET}, log.fileno())
        reader = threading.Thread(target=_write, args=(process, job), daemon=True)
        reader.start()
        self._running[job.name] = job, process, reader
        if job.name.endswith(os.environ.get("FORKED_KILL") or "nothing"):
            del os.environ["FORKED_KILL"]
            threading.Thread(target=_kill_later, args=(process, job), daemon=True).start()

    def ended(self, wait):
        for name, (job, process, reader) in list(self._running.items()):
            try:
                code = process.wait(wait / len(self._running))
            except subprocess.TimeoutExpired:
                continue
            reader.join()
            process.communicate()
            del self._running[name]
            if name.endswith(os.environ.get("FORKED_ASK") or "nothing"):
                del os.environ["FORKED_ASK"]
                os.kill(os.getpid(), signal.SIGINT)
            return [Ended(job, code)]
        return []

    def stop(self, name):
        if name not in self._running:
            return False
        self._running[name][1].send_signal(signal.SIGTERM)
        return True

    def close(self):
        for _, process, _ in self._running.values():
            process.send_signal(signal.SIGKILL)


def _kill_later(process, job):
    while process.poll() is None and not (job.folder / "log.csv").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)


def _write(process, job):
    with job.log.open("a") as log:
        for line in process.stdout:
            log.write(line)
            log.flush()
