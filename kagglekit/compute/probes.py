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
    """Return a key for `recall` and `remember`: a hash of the measured thing, the machine and torch's version."""
    parts = [
        "4",  # version of the entries and of the measurement
        device_title(device),
        platform.machine(),
        cpu_name(),
        torch.__version__,
    ]
    return hashlib.sha256(repr([*parts, *what]).encode()).hexdigest()[:16]


def cpu_name() -> str:
    """Return the name of the CPU, if the system has one."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def recall(remembered: Path, key: str) -> dict[str, Any] | None:
    """Return the remembered measurement of a key; None if there is none."""
    return _read(remembered).get(key)


def remember(remembered: Path, key: str, found: dict[str, Any]) -> None:
    """Keep a measurement for later runs on this machine."""
    write_text(remembered, json.dumps({**_read(remembered), key: found}, indent=1))


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return {}
