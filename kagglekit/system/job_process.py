"""Start a command as a process that ends in an orderly way when this process asks it to, or dies.

The process's standard input is a pipe that nobody writes to. When this end is closed, by us or because this process was
killed, the other process reads the end of the file, and stops as after SIGTERM: it saves its work. So no training is
left behind without a driver, on any system.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kagglekit.system.errors import UserError
from kagglekit.system.process import process_place

IS_JOB = "KAGGLEKIT_JOB"  # set for a process that is to end with the one that started it
LOST = 137  # exit code of one that started several, of which one was killed: that of a shell whose command was
ERRORS = "TORCHELASTIC_ERROR_FILE"  # where torchrun lets a process say why it failed
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class JobProcess:
    """A running command.

    Attributes:
        process: The process.
        started: When it was started, by time.perf_counter, s.
    """

    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.perf_counter)

    def wait(self) -> int:
        """Wait for the end; return the exit code, negative if a signal ended it."""
        code = self.process.wait()
        self.stop()  # closes this end of the pipe
        return code

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        code = self.process.poll()
        if code is not None:
            self.stop()
        return code

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    def stop(self) -> None:
        """Ask it to save its work and to end."""
        if self.process.stdin:
            with suppress(OSError):
                self.process.stdin.close()

    def kill(self) -> None:
        """End it at once."""
        self.stop()
        with suppress(OSError):
            self.process.kill()


def start_process(
    argv: Sequence[str], log: Path, threads: int = 0, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> JobProcess:
    """Start a command whose output is added to a file.

    Args:
        argv: The command.
        log: The file.
        threads: Threads of its numeric libraries, unless the user has set them; 0 for the libraries' own choice.
        env: Further environment variables.
        cwd: The folder to start it in; None, or one that is not there, for this process's own.

    Raises:
        UserError: It cannot be started, or its file cannot be written.
    """
    own = {**os.environ, IS_JOB: "1", "PYTHONUNBUFFERED": "1", **(env or {})}
    for name in THREADS if threads else ():
        own.setdefault(name, str(threads))
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=own,
                cwd=cwd if cwd and cwd.is_dir() else None,
                start_new_session=True,  # a Ctrl-C of the terminal is for this process, which asks the others to stop
            )
    except OSError as error:
        raise UserError(f"cannot start {argv[0]} with its output in {log}: {error.strerror or error}") from error
    return JobProcess(process)


_is_job = False  # of this process


def is_job() -> bool:
    """Return whether another process of kagglekit has started this one."""
    return _is_job


def is_launched() -> bool:
    """Return whether another process of kagglekit has started this one as one of several that share a training."""
    return _is_job and process_place().world > 1


def tell_launcher(message: str) -> None:
    """Let the process that has launched this one report an error in its place, in the form that torchrun reads."""
    told = {"message": message, "extraInfo": {"timestamp": str(int(time.time()))}}
    if file := os.environ.get(ERRORS):
        with suppress(OSError):
            Path(file).write_text(json.dumps({"message": told}), encoding="utf-8")


def end_with_starter() -> None:
    """In a process of `start_process`: stop as after SIGTERM once the process that started this one asks, or dies."""
    global _is_job
    if os.environ.pop(IS_JOB, "") and sys.stdin is not None:
        _is_job = True
        threading.Thread(target=_stop_at_end_of_input, args=(sys.stdin.fileno(),), daemon=True).start()


def _stop_at_end_of_input(descriptor: int) -> None:
    with suppress(OSError):
        while os.read(descriptor, 1):
            pass
    if hasattr(signal, "pthread_kill"):  # interrupts what the main thread waits for
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    else:
        signal.raise_signal(signal.SIGTERM)
