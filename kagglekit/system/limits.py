"""How much of this machine a process may use: a container is often given less than the machine has."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")  # Linux: control groups, of version 2 or, a folder a controller, of version 1
OWN = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = CGROUPS, own: Path = OWN) -> float:
    """Return how many cores this process may use: by its affinity, and by its container's share of their time."""
    cores = float(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
    shares = [text.split() for text in _limits(cgroups, own, "", "cpu.max")]
    quotas, periods = (list(_limits(cgroups, own, "cpu", f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
    shares += [list(share) for share in zip(quotas, periods, strict=True)]
    return min([cores, *(int(quota) / int(period) for quota, period in shares if quota not in ("max", "-1"))])


def usable_memory(cgroups: Path = CGROUPS, own: Path = OWN) -> float:
    """Return how much memory this process may use, bytes; infinity where the system does not tell."""
    limits = [*_limits(cgroups, own, "", "memory.max"), *_limits(cgroups, own, "memory", "memory.limit_in_bytes")]
    known = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else math.inf
    return min([known, *(float(limit) for limit in limits if limit != "max")])


def _limits(cgroups: Path, own: Path, controller: str, name: str) -> Iterator[str]:
    """Yield a limit of each control group that this process is in; `controller` is empty for version 2."""
    root = cgroups / controller
    lines = own.read_text().splitlines() if own.exists() else []
    groups = [line.split(":", 2) for line in lines]
    paths = {path.strip("/") for _, names, path in groups if controller in names.split(",")}
    folders = {folder for path in paths for folder in (root / path, *(root / path).parents)}
    for folder in sorted({root, *folders}):  # a container sees its own group as the root, whatever it is called
        if folder.is_relative_to(root) and (folder / name).is_file():
            yield (folder / name).read_text().strip()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
