"""Allow one process per run, with a lock that the system releases when a process dies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from kagglekit.runs.folder import Run
from kagglekit.runs.info import Record
from kagglekit.system.errors import UserError
from kagglekit.system.files import check_writable

READ_ONLY = "make it writable, or copy it to another place and resume it there"  # the hint for a run that is read-only
LEADER = "leader"  # the lock of a process that starts a run's trainings as jobs
POLL = 0.2  # between two tries, s


@contextmanager
def locked(run: Run, wait: float = 0.0, hint: str = "wait until it ends, or stop it first") -> Iterator[Record]:
    """Keep other processes from working on a run, and record this one in run.json.

    Args:
        run: The run.
        wait: How long to wait for another process that works on it, s.
        hint: What to do if it still does.

    Yields:
        The record of the run, read under the lock.

    Raises:
        UserError: Another process works on it, or its folder cannot be written.
    """
    check_writable(run.folder, READ_ONLY)
    lock = FileLock(run.checkpoints / "lock", thread_local=False)
    try:
        _acquire(run, lock, time.monotonic() + wait)
    except Timeout:
        who = run.info().process or "unknown"
        raise UserError(f"another process (number {who}) is working on {run.folder}", hint) from None
    except OSError as error:
        raise UserError(f"cannot write {run.checkpoints / 'lock'}: {error.strerror}", READ_ONLY) from error
    try:
        record = Record.of(run.info_file)
        record.update(process=os.getpid())
        yield record
    finally:
        lock.release()


def _acquire(run: Run, lock: BaseFileLock, until: float) -> None:
    """Try to acquire the lock until it is free; the process that holds it may remove its folder."""
    while True:
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if time.monotonic() >= until:
                raise
            time.sleep(POLL)
        else:
            return


@contextmanager
def leading(run: Run) -> Iterator[None]:
    """Keep other processes from starting the run's trainings as jobs, which this one does in the block.

    Raises:
        UserError: Another process does, or the folder cannot be written.
    """
    check_writable(run.folder, READ_ONLY)
    lock = FileLock(run.checkpoints / LEADER, thread_local=False)
    try:
        _acquire(run, lock, time.monotonic())
    except Timeout:
        raise UserError(f"another process runs the trainings of {run.folder}", "wait until it ends") from None
    try:
        yield
    finally:
        lock.release()


def is_led(run: Run) -> bool:
    """Return whether a process starts the run's trainings as jobs right now."""
    return any(map(_is_held, run.folder.glob(f"checkpoint/{LEADER}")))


def is_locked(run: Run) -> bool:
    """Return whether a process works on the run, or on one of its folds, right now."""
    return is_led(run) or is_trained(run)


def is_trained(run: Run) -> bool:
    """Return whether a process trains the run, or one of its folds, or combines these, right now."""
    files = [*run.folder.glob("checkpoint/lock"), *run.folder.glob("fold-*/checkpoint/lock")]
    return any(map(_is_held, files))


def _is_held(file: Path) -> bool:
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # it cannot be written, so no process here can hold it
        return False
