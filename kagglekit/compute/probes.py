"""Measurements remembered for this machine."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import torch

from kagglekit.compute.device import device_title
from kagglekit.system.files import write_text


def machine_key(device: torch.device, *what: object) -> str:
    """Hash what was measured, together with the machine and torch's version: a key for `recall` and `remember`."""
    parts = [
        "4",  # the form of the entries, and how they were measured
        device_title(device),
        platform.machine(),
        cpu_name(),
        torch.__version__,
    ]
    return hashlib.sha256(repr([*parts, *what]).encode()).hexdigest()[:16]


def cpu_name() -> str:
    """Name the CPU as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def recall(remembered: Path, key: str) -> dict[str, Any] | None:
    """Return what was measured under a key before; None if nothing was."""
    return _read(remembered).get(key)


def remember(remembered: Path, key: str, found: dict[str, Any]) -> None:
    """Keep what was measured, for later runs on this machine."""
    write_text(remembered, json.dumps({**_read(remembered), key: found}, indent=1))


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return {}
