"""Runs the real command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "kagglekit"]


def kagglekit(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m kagglekit`` in `cwd`, in `surroundings`."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env={**surroundings(cwd), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def surroundings(cwd: Path) -> dict[str, str]:
    """Return an environment with its cache in `cwd`, on one thread; network proxies lead nowhere."""
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    own = {"KAGGLEKIT_CACHE": str(cwd / "cache"), "HF_HOME": str(cwd / "hub"), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return {**os.environ, **nowhere, **own}
