"""One process a run: a lock that the system takes away from a process that dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from kagglekit.errors import UserError
from kagglekit.files import check_writable
from kagglekit.run_folder import Run


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Keep other processes from working on a run, and note this one in run.json.

    Raises:
        UserError: Another process works on it, or its folder can't be written.
    """
    check_writable(run.folder, "make it writable, or copy it to another place and resume it there")
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run.checkpoints / "lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = run.info().get("process", "unknown")
        raise UserError(
            f"another process works on {run.folder}: number {who}", "wait until it ends, or stop it first"
        ) from None
    try:
        run.update_info(process=os.getpid())
        yield
    finally:
        lock.release()


def is_locked(run: Run) -> bool:
    """Return whether a process works on the run right now."""
    file = run.checkpoints / "lock"
    if not file.exists():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
