"""Runs the program of a kernel in the tests' own environment, in seconds: ``python run_kernel.py SCRIPT``.

The program is the pushed one, unchanged. pip finds everything installed, and what it starts of kagglekit is a fork of a
process that has torch loaded.
"""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import forks

OWN = [sys.executable, "-m", "kagglekit"]
LIBRARY = subprocess.Popen, subprocess.run


def popen(command: Any, *rest: Any, **how: Any) -> Any:
    if command[:3] != OWN:
        return LIBRARY[0](command, *rest, **how)
    sys.stdout.flush()
    place = (how.get("stdout") or sys.stdout).fileno()
    read_at_import = {"HF_HUB_OFFLINE"}  # the forks' network leads nowhere either
    environment = {name: value for name, value in how["env"].items() if name not in read_at_import}
    return forks.start(command[1:], Path.cwd(), environment, place, place)


def run(command: Any, **how: Any) -> Any:
    if command[:3] != OWN:
        return LIBRARY[1](command, **how)
    return subprocess.CompletedProcess(command, popen(command, **how).wait())


if __name__ == "__main__":
    subprocess.Popen, subprocess.run = popen, run  # type: ignore[misc, assignment]
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
