"""The process of a command: when it began, and a quick end."""

from __future__ import annotations

import atexit
import gc
import io
import os
import stat
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

LONGEST_START = 60.0  # s from the start of the process to the import of this module; anything longer is an error
_imported = time.perf_counter()


@dataclass(frozen=True)
class Place:
    """The place of this process among those that share one training, as torchrun's variables say.

    Attributes:
        rank: Its number, from 0.
        world: How many there are; 1 without torchrun.
        local: Its number among those of this machine, from 0.
        here: How many of them this machine has.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    here: int = 1


def process_place() -> Place:
    """Return the place of this process among those that share one training."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    numbers = [os.environ.get(name, "") for name in names]
    return Place(*map(int, numbers)) if all(number.isdecimal() for number in numbers) else Place()


def process_began() -> float:
    """Return when this process started, by `time.perf_counter`, s; where that is unknown, when this was imported.

    Linux counts in hundredths of a second since the machine started (proc(5), the 22nd field of /proc/self/stat).
    """
    with suppress(OSError, ValueError, IndexError, AttributeError):
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        began = time.perf_counter() - age
        if 0 <= _imported - began <= LONGEST_START:  # a sandbox may count from elsewhere
            return began
    return _imported


def leave(code: int) -> NoReturn:
    """End the process with an exit code, without taking Python apart.

    After a training, Python spends seconds on freeing what torch and timm loaded, which the end of the process frees at
    once. Everything else happens as usual: threads are waited for, exit handlers are called, and files are flushed,
    including those that a plugin has not closed.
    """
    wait, call_handlers = getattr(threading, "_shutdown", None), getattr(atexit, "_run_exitfuncs", None)
    if not wait or not call_handlers:  # a Python that has other names for them
        sys.exit(code)
    wait()
    call_handlers()
    if _writes():
        for each in gc.get_objects():  # a quarter of a second, after a training
            if type(each) in (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom) and not each.closed:
                with suppress(OSError, ValueError):
                    each.flush()
    os._exit(code if _flushed() else code or 1)


def _writes() -> bool:
    """Return whether a file is open for writing, beside the standard streams; True where that is unknown."""
    try:
        import fcntl

        numbers = [int(name) for name in os.listdir("/dev/fd")]  # noqa: PTH208
    except (ImportError, OSError):
        return True
    for number in numbers:
        with suppress(OSError):  # the listing itself was open
            writable = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
            if number > 2 and writable and stat.S_ISREG(os.fstat(number).st_mode):
                return True
    return False


def _flushed() -> bool:
    """Return whether all that was printed has arrived."""
    arrived = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except (OSError, ValueError):
            arrived = False
    return arrived
