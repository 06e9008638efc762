"""Runs the real command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import forks

COMMAND = [sys.executable, "-m", "kagglekit"]


def kagglekit(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m kagglekit`` in `cwd`, in `surroundings`."""
    return forks.run(["-m", "kagglekit", *arguments], cwd, {**surroundings(cwd), **environment})


def begin(
    *arguments: object, cwd: Path, stderr: int | None = None, **environment: str
) -> forks.Process | subprocess.Popen[str]:
    """Start it likewise, without waiting for its end; its errors may go to a descriptor, such as a terminal's."""
    return forks.start(["-m", "kagglekit", *arguments], cwd, {**surroundings(cwd), **environment}, stderr)


def surroundings(cwd: Path) -> dict[str, str]:
    """Return an environment with its cache in `cwd`, on one thread; network proxies lead nowhere."""
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    return {**os.environ, **nowhere, **forks.SET, "KAGGLEKIT_CACHE": str(cwd / "cache"), "COLUMNS": "200"}
