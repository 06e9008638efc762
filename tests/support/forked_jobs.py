"""A plugin file for tests: the executor ``forked`` runs jobs as forks of a process that has torch loaded.

The executor ``here`` runs each within the driver's own process, which takes a second where processes are not the point.

Two variables make trouble: FORKED_KILL names a job that is killed once, when it has logged an epoch; FORKED_ASK one
after whose end this process is asked to stop.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading

from kagglekit import Ended, Provides, hookimpl

KILLED = "FORKED_KILLED"  # of a job that is to be killed


@hookimpl
def kagglekit_provides():
    return Provides(executor=["forked", "here"])


@hookimpl
def kagglekit_epoch_end(run, stage, row):
    if KILLED in os.environ:  # in the job, which loads this file, too: from outside, the kill might come too late
        os.kill(os.getpid(), signal.SIGKILL)


@hookimpl
def kagglekit_executor(name, workers, need):
    if name == "here":
        return Here()
    return Forked(workers or 1) if name == "forked" else None


class Forked:
    title = "forks"

    def __init__(self, workers):
        self.workers = workers
        self._running = {}

    def submit(self, job):
        import forks  # the jobs, which load this file too, do not find it

        own = {**os.environ, **forks.SET}
        if job.name.endswith(os.environ.get("FORKED_KILL") or "nothing"):
            own[KILLED] = os.environ.pop("FORKED_KILL")
        with job.log.open("a") as log:
            process = forks.start(list(job.argv[1:]), job.cwd, own, log.fileno())
        reader = threading.Thread(target=_write, args=(process, job), daemon=True)
        reader.start()
        self._running[job.name] = job, process, reader

    def ended(self, wait):
        for name, (job, process, reader) in list(self._running.items()):
            try:
                code = process.wait(wait / len(self._running))
            except subprocess.TimeoutExpired:
                continue
            reader.join()
            process.communicate()
            del self._running[name]
            _ask_after(name)
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


class Here:
    title, workers = "this process", 1

    def __init__(self):
        self._ended = []

    def submit(self, job):
        from click.testing import CliRunner

        from kagglekit.cli import cli

        done = CliRunner().invoke(cli, job.argv[3:])
        with job.log.open("a") as log:
            log.write(done.output)
        self._ended.append(Ended(job, done.exit_code))

    def ended(self, wait):
        ended, self._ended = self._ended, []
        for each in ended:
            _ask_after(each.job.name)
        return ended

    def stop(self, name):
        return False

    def close(self):
        pass


def _ask_after(name):
    if name.endswith(os.environ.get("FORKED_ASK") or "nothing"):
        del os.environ["FORKED_ASK"]
        os.kill(os.getpid(), signal.SIGINT)


def _write(process, job):
    with job.log.open("a") as log:
        for line in process.stdout:
            log.write(line)
            log.flush()
