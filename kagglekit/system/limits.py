"""Cores, memory and threads of this process: a container may have less than the machine, and others use it as well."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kagglekit.system.errors import UsageError

CGROUPS = Path(
    "/sys/fs/cgroup"
)  # Linux: control groups of version 2, or of version 1 with a folder for each controller
OWN = Path("/proc/self/cgroup")

Threads = int | Literal["auto"]

# How threads wait for one another: asleep. By default those of GNU's OpenMP spin for milliseconds, on a core that the
# thread they wait for may need. KMP_ is for LLVM's and Intel's, with which torch is built on macOS and Windows.
# Without any spinning, a step of mobilenetv2_100 took 1.2 times as long on two idle cores; with 1,000 turns as long as
# with 10,000, which took 1.7 times as long beside one busy process (three runs of each).
PASSIVE = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}
NUMBER = "OMP_NUM_THREADS"

STAT = Path("/proc/stat")  # Linux
MOMENT = 0.1  # s: the system counts hundredths
# Columns of /proc/stat, after the processor's name.
NICE, IDLE, WAITS_FOR_DISK = 1, 3, 4


def cores(cgroups: Path = CGROUPS, own: Path = OWN) -> float:
    """Return the number of cores that this process may use, by its affinity and its container's share of time."""
    allowed = float(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
    shares = [text.split() for text in _limits(cgroups, own, "", "cpu.max")]
    quotas, periods = (list(_limits(cgroups, own, "cpu", f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
    shares += [list(share) for share in zip(quotas, periods, strict=True)]
    return min([allowed, *(int(quota) / int(period) for quota, period in shares if quota not in ("max", "-1"))])


def usable_memory(cgroups: Path = CGROUPS, own: Path = OWN) -> float:
    """Return the memory that this process may use, bytes; infinity if unknown."""
    limits = [*_limits(cgroups, own, "", "memory.max"), *_limits(cgroups, own, "memory", "memory.limit_in_bytes")]
    known = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else math.inf
    return min([known, *(float(limit) for limit in limits if limit != "max")])


def private_memory() -> float:
    """Return the memory of this process apart from mapped files, bytes; 0 where the system does not say."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return 0.0
    _, resident, shared = (int(number) for number in pages.read_text().split()[:3])
    return float((resident - shared) * os.sysconf("SC_PAGE_SIZE"))


def _limits(cgroups: Path, own: Path, controller: str, name: str) -> Iterator[str]:
    """Yield a limit of each control group of this process; `controller` is empty for version 2."""
    root = cgroups / controller
    lines = own.read_text().splitlines() if own.exists() else []
    groups = [line.split(":", 2) for line in lines]
    paths = {path.strip("/") for _, names, path in groups if controller in names.split(",")}
    folders = {folder for path in paths for folder in (root / path, *(root / path).parents)}
    for folder in sorted({root, *folders}):  # a container sees its own group as the root, under any name
        if folder.is_relative_to(root) and (folder / name).is_file():
            yield (folder / name).read_text().strip()


def wait_passively(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let threads that wait for one another sleep instead of spin, unless the user has chosen how they wait.

    The variables are read once, when torch is loaded: afterwards nothing is set.
    """
    if "torch" not in sys.modules and not PASSIVE.keys() & environment.keys():
        environment.update(PASSIVE)


def check_threads(asked: Threads) -> None:
    """Check a number of threads that was asked for.

    Raises:
        UsageError: It is neither ``auto`` nor a number from 1.
    """
    if asked != "auto" and (not isinstance(asked, int) or isinstance(asked, bool) or asked < 1):
        raise UsageError(f"invalid number of threads {asked!r}: expected auto, or a number from 1")


def named_threads(asked: Threads = "auto") -> int | None:
    """Return the number of threads that the user has named, by an option or by ``OMP_NUM_THREADS``; None for none."""
    if asked != "auto":
        return asked
    first = os.environ.get(NUMBER, "").partition(",")[0].strip()  # further ones are for nested loops
    return int(first) if first.isdecimal() and int(first) else None


def share_of_cores(n: int) -> int:
    """Return how many of the cores each of `n` processes has, if they share them equally; at least one."""
    return max(1, math.floor(cores()) // n)


@dataclass(frozen=True)
class CpuTimes:
    """Counters of a moment.

    Attributes:
        at: The time, s.
        idle: Time that the processors of this process have spent on nothing, s.
        counted: Time that the system has counted for them, s.
        own: CPU time of this process, s.
    """

    at: float
    idle: float
    counted: float
    own: float


def cpu_times(stat: Path = STAT) -> CpuTimes | None:
    """Return the counters of now; None where the system has none.

    Work of lower priority than this process counts as idle time, since it steps aside.
    """
    if sys.platform != "linux" or not stat.exists():
        return None
    allowed = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    rows = [line.split() for line in stat.read_text().splitlines()]
    ticks = [[int(cell) for cell in row[1:9]] for row in rows if row and row[0] in allowed]
    free = (IDLE, WAITS_FOR_DISK, *((NICE,) if os.getpriority(os.PRIO_PROCESS, 0) <= 0 else ()))
    second = os.sysconf("SC_CLK_TCK")
    idle = sum(row[column] for row in ticks for column in free)
    return CpuTimes(time.monotonic(), idle / second, sum(map(sum, ticks)) / second, time.process_time())


def free_cores(before: CpuTimes | None, after: CpuTimes | None, most: float | None = None) -> float | None:
    """Return how many cores other processes left free between two moments; None if that is unknown.

    Args:
        before: Counters of the first moment.
        after: Those of the second.
        most: The number of cores that this process may use; None for `cores`.
    """
    if before is None or after is None or after.counted <= before.counted:  # some sandboxes count nothing
        return None
    left = (after.idle - before.idle + after.own - before.own) / (after.at - before.at)
    return min(left, cores() if most is None else most)


def free_now() -> float | None:
    """Return how many cores other processes leave free, after watching for a moment; None if that is unknown."""
    before = cpu_times()
    if before is None:
        return None
    time.sleep(MOMENT)
    return free_cores(before, cpu_times())
