"""Many jobs of an empty command through an executor, and many run folders in `kagglekit history`.

    python benchmarks/jobs.py --jobs 250 500 1000 [--on ray] [--folders 10000]

Prints seconds, jobs per second, and how much memory the driver's process gained. The folders are copies of a tiny
run.json and recipe.json; the command line lists them in a process of its own.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.runs.folder import Run
from kagglekit.system.console import Display
from kagglekit.types.executor import Job, JobOptions, Need
from kagglekit.workflows.jobs import opened


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, nargs="*", default=[250, 500, 1000])
    parser.add_argument("--on", default="local")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folders", type=int, default=10_000)
    asked = parser.parse_args()
    hooks = Hooks(load("shapes"))
    for number in asked.jobs:
        print(json.dumps(throughput(hooks, asked.on, asked.workers, number)))
    if asked.folders:
        print(json.dumps(history(hooks, asked.folders)))


def throughput(hooks: Hooks, on: str, workers: int, number: int) -> dict[str, object]:
    """Run empty jobs; return seconds, jobs per second and the memory that the driver gained, MB."""
    executor = hooks.executor(on, workers, Need(cpus=1))
    display = Display(Console(file=io.StringIO()))
    with tempfile.TemporaryDirectory() as place, opened(executor, JobOptions(), display) as jobs:
        (Path(place) / "run.json").write_text("{}")
        source = [empty(Path(place), each) for each in range(number)]
        before, began = memory(), time.perf_counter()
        ended = [each for each in jobs.work(iter(source)) if each]
        seconds = time.perf_counter() - began
    assert [each.code for each in ended] == [0] * number
    found = {"executor": on, "workers": workers, "jobs": number, "seconds": round(seconds, 2)}
    return {**found, "jobs per s": round(number / seconds, 1), "driver gained, MB": round(memory() - before, 1)}


def empty(place: Path, number: int) -> Job:
    """Return a job that does nothing; on Ray, the first word becomes the worker's Python."""
    return Job(f"job-{number}", (sys.executable, "-S", "-c", ""), place, place, place / f"{number}.log")


def memory() -> float:
    """Return the memory of this process now, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def history(hooks: Hooks, number: int) -> dict[str, object]:
    """List so many run folders by the command line; return its seconds."""
    recipe = hooks.recipe("quick").to_json()
    scores = [{"member": "ensemble", "views": "TTA", "valid_log_loss": [0.4, 0.02]}]
    facts = {"schema": 1, "status": "finished", "competition": "shapes", "plugin": "shapes", "metric": "log_loss"}
    with tempfile.TemporaryDirectory() as place:
        for each in range(number):
            run = Run(Path(place) / "shapes" / f"20260101-{each:06}-tiny")
            run.folder.mkdir(parents=True)
            run.recipe_file.write_text(recipe)
            started = f"2026-01-{1 + each % 28:02}T00:00:00+00:00"
            run.info_file.write_text(json.dumps({**facts, "started": started, "seconds": 60.0, "scores": scores}))
        began = time.perf_counter()
        listed = subprocess.run(
            [sys.executable, "-m", "kagglekit", "history", "--out", place, "--json"],
            stdout=subprocess.PIPE,
            check=True,
        )
        seconds = time.perf_counter() - began
    assert len(json.loads(listed.stdout)) == number
    return {"run folders": number, "history, seconds": round(seconds, 2)}


if __name__ == "__main__":
    main()
