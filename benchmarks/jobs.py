"""Many jobs of an empty command through an executor, and many run folders in `kagglekit history`.

    python benchmarks/jobs.py --jobs 100 300 1000 [--on ray] [--folders 10000] [--times 3]

Each number of jobs runs in a driver of its own, as a command does it, table included. Prints how long the executor took
to start, seconds, jobs per second, the memory that the driver gained by starting and by the jobs, and that of the
executor's other processes (proportional set size, before and after the jobs). The folders are copies of recipe.json and
run.json of a run of the demo; the command line lists them in a process of its own, with its seconds and CPU seconds:
with nothing remembered, again, and as a table.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.runs.folder import Run
from kagglekit.system.display.console import Display
from kagglekit.types.executor import Job, JobOptions, Need
from kagglekit.workflows.jobs import do_all, opened

DEMO = ["run", "shapes", "--limit", "60", "--preset", "quick", "--epochs", "1", "--device", "cpu"]


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, nargs="*", default=[100, 300, 1000])
    parser.add_argument("--on", default="local")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folders", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=1, help="how often each is measured")
    parser.add_argument("--inner", action="store_true", help="measure the jobs here, not in a process of their own")
    asked = parser.parse_args()
    if asked.inner:
        print(json.dumps(throughput(asked.on, asked.workers, asked.jobs[0])))
        return
    for _ in range(asked.times):
        for number in asked.jobs:
            own = ["--inner", "--on", asked.on, "--workers", asked.workers, "--jobs", number]
            subprocess.run([sys.executable, __file__, *map(str, own)], check=True)
    if asked.folders:
        history(asked.folders, asked.times)


def throughput(on: str, workers: int, number: int) -> dict[str, object]:
    """Run empty jobs; return seconds, jobs per second and memory."""
    hooks = Hooks(load("shapes"))
    first, began = memory(), time.perf_counter()
    executor = hooks.executor(on, workers, Need(cpus=1))
    said = io.StringIO()
    display = Display(Console(file=said))
    with tempfile.TemporaryDirectory() as place, opened(executor, JobOptions(), display) as jobs:
        started, start_memory, others = time.perf_counter() - began, memory() - first, others_memory()
        (Path(place) / "run.json").write_text("{}")
        source = [empty(Path(place), each) for each in range(number)]
        before, began = memory(), time.perf_counter()
        failure = do_all(jobs, source)
        seconds, gained, others_after = time.perf_counter() - began, memory() - before, others_memory()
    assert failure is None, f"{failure}\n{said.getvalue()[-3000:]}"
    return {
        "executor": on,
        "workers": workers,
        "start, s": round(started, 1),
        "start, driver MB": round(start_memory, 1),
        "other processes, MB": [round(others), round(others_after)],
        "jobs": number,
        "seconds": round(seconds, 2),
        "jobs per s": round(number / seconds, 1),
        "jobs, driver MB": round(gained, 2),
    }


def empty(place: Path, number: int) -> Job:
    """Return a job that does nothing; on Ray, the first word becomes the worker's Python."""
    return Job(f"job-{number}", (sys.executable, "-S", "-c", ""), place, place, place / f"{number}.log")


def memory() -> float:
    """Return the memory of this process now, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def others_memory() -> float:
    """Return the memory of the processes that this one has started, and of those that they have, MB."""
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
    own, total = {os.getpid()}, 0.0
    while found := {process for process, parent in parents.items() if parent in own} - own:
        own |= found
    for process in own - {os.getpid()}:
        with suppress(OSError):
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3
    return total


def history(number: int, times: int) -> None:
    """List so many run folders by the command line, and print its seconds."""
    with tempfile.TemporaryDirectory() as place:
        demo, out, cache = (Path(place) / name for name in ("demo", "out", "cache"))
        subprocess.run([sys.executable, "-m", "kagglekit", *DEMO, "--out", demo], stdout=subprocess.PIPE, check=True)
        (run,) = (Run(file.parent) for file in demo.glob("*/*/run.json"))
        recipe, facts = run.recipe_file.read_text(), json.loads(run.info_file.read_text())
        for each in range(number):
            copy = Run(out / "shapes" / f"20260101-{each:06}-tiny")
            copy.folder.mkdir(parents=True)
            copy.recipe_file.write_text(recipe)
            started = f"2026-01-{1 + each % 28:02}T00:00:00+00:00"
            copy.info_file.write_text(json.dumps({**facts, "started": started}, indent=1))
        for _ in range(times):
            for file in cache.rglob("*.json"):
                file.unlink()
            found: dict[str, object] = {"run folders": number}
            for what, form in (("first, s", "--json"), ("again, s", "--json"), ("again, as a table, s", "")):
                found[what] = listed(out, cache, form, number)
            print(json.dumps(found))


def listed(out: Path, cache: Path, form: str, number: int) -> list[float]:
    """List runs; return the seconds and the CPU seconds that the command took."""
    began, cpu = time.perf_counter(), sum(os.times()[2:4])
    done = subprocess.run(
        [sys.executable, "-m", "kagglekit", "history", "--out", out, *filter(None, [form])],
        stdout=subprocess.PIPE,
        env={**os.environ, "KAGGLEKIT_CACHE": str(cache)},
        check=True,
    )
    seconds = time.perf_counter() - began
    assert (len(json.loads(done.stdout)) if form else done.stdout.count(b"-tiny")) == number
    return [round(seconds, 2), round(sum(os.times()[2:4]) - cpu, 2)]


if __name__ == "__main__":
    main()
