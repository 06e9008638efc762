"""Count what a tiny run passes through: functions, entries, crossings between packages, reads of run.json.

An entry is the call of a function of kagglekit, or the resumption of a generator of it, in the main thread. It crosses
if the nearest function of kagglekit below it on the stack is of another package. A first run, which is not counted,
imports the modules and draws the images.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch

import kagglekit

ROOT = Path(kagglekit.__file__).parent
SETTINGS = {"limit": 60}


class Way:
    """Counts the entries of functions, as `sys.setprofile` reports them."""

    def __init__(self) -> None:
        self.entered: Counter[CodeType] = Counter()
        self.crossings = 0
        self.reads = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """Count an event."""
        if event != "call":
            return
        code = frame.f_code
        if (
            code.co_name in ("read_text", "read_bytes")
            and getattr(frame.f_locals.get("self"), "name", "") == "run.json"
        ):
            self.reads += 1
        own = package(code)
        if own is None:
            return
        self.entered[code] += 1
        self.crossings += own != _below(frame)


def package(code: CodeType) -> str | None:
    """Return the package or top module of kagglekit that a function is in; None for other functions."""
    file = Path(code.co_filename)
    return file.relative_to(ROOT).parts[0].removesuffix(".py") if file.is_relative_to(ROOT) else None


def _below(frame: FrameType) -> str | None:
    below = frame.f_back
    while below is not None and package(below.f_code) is None:
        below = below.f_back
    return package(below.f_code) if below else None


def measure(out: Path) -> dict[str, int]:
    """Run the demo twice; return the counts of the second run."""
    way = Way()
    for counted in (False, True):
        sys.setprofile(way if counted else None)
        try:
            kagglekit.run("shapes", settings=SETTINGS, epochs=1, precision="fp32", device="cpu", out=out)
        finally:
            sys.setprofile(None)
    functions = {code: n for code, n in way.entered.items() if not code.co_name.startswith("<")}
    listing = sum(n for code, n in functions.items() if code.co_filename.endswith("listing.py"))
    return {
        "functions": len(functions),
        "entries": sum(functions.values()),
        "entries but for data/listing": sum(functions.values()) - listing,
        "crossings": way.crossings,
        "reads of run.json": way.reads,
    }


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(measure(Path(place)), indent=1))
