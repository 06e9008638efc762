"""Cores and memory that this process may use: a container may have less than the machine."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path(
    "/sys/fs/cgroup"
)  # Linux: control groups of version 2, or of version 1 with a folder for each controller
OWN = Path("/proc/self/cgroup")


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
